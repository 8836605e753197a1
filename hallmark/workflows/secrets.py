"""Secrets go from the command line into the environment, at once: an argument list is there for everybody to read.

Standard library only: `run.py` calls it before anything is installed, and hands over to a process whose arguments hold
no secret any more.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

SECRETS = {"--jwt-secret": "JWT_SECRET", "--hf-token": "HF_TOKEN"}
"""Option -> the variable that it sets; the variable alone does as well."""


def moved_to_environment(arguments: Sequence[str], environ: MutableMapping[str, str]) -> list[str]:
    """`arguments` without the secrets, which are in `environ` now; the command line wins over what was there.

    An option without its value stays, for the parser to complain of. What follows `--` is not ours.
    """
    kept: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            return [*kept, word, *rest]
        name, equals, value = word.partition("=")
        if name not in SECRETS:
            kept.append(word)
            continue
        if not equals:
            value = next(rest, "")
        if value:
            environ[SECRETS[name]] = value
        else:
            kept.append(name)
    return kept
