"""The one place where secrets are taken out of what is written."""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

SECRET_NAME = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|[-_]PASS$|CREDENTIAL|AUTHORIZATION"
    r"|(API|ACCESS|AUTH|PRIVATE|SIGNING|ENCRYPTION)[-_]?KEY"
    r"|(API|ACCESS|AUTH|BEARER|HF|REFRESH|SESSION)[-_]?TOKENS"
    # One token is a secret; tokens, tokenizers and limits on them are what language models are about.
    r"|(?<!PER_)TOKEN(?!I[SZ]|S(?![A-Z])|_(BUDGET|COUNT|LENGTH|LIMIT|THRESHOLD))",
    re.IGNORECASE,
)
"""What the name of a secret holds; `environment/facts.py`, which runs where hallmark is not, has the same pattern."""
_KNOWN_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|AKIA[0-9A-Z]{16}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,})"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
)
"""Tokens that show themselves, and the name and password of a URL (an index or a proxy may have them)."""
_SHORTEST = 6
MASK = "[redacted]"


def is_secret_name(name: str) -> bool:
    """True for a variable or option whose value must never be shown."""
    return bool(SECRET_NAME.search(name))


def secrets_in(values: Mapping[str, object]) -> Iterator[str]:
    """The texts that stand under a secret's name; a switch (`hf_token: true`) is none."""
    return (value for name, value in values.items() if isinstance(value, str) and value and is_secret_name(name))


def redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """Plain JSON data with `redact` applied to each text in it.

    Before it is encoded: JSON escapes quotes and backslashes, so a secret that holds one would not be found
    afterwards, and a secret of digits would be cut out of the middle of a number.
    """
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {redacted(key, redact): redacted(item, redact) for key, item in value.items()}
        case list() | tuple():
            return [redacted(item, redact) for item in value]
        case _:
            return value


def _named_secret(name: str, value: object) -> bool:
    """A switch (`hf_token: true`) is none."""
    return is_secret_name(name) and value != "" and isinstance(value, str | int | float) and not isinstance(value, bool)


def masked(value: Any) -> Any:
    """Plain JSON data with whatever stands under a secret's name masked: a spec may set a variable such as HF_TOKEN."""
    if isinstance(value, Mapping):
        return {name: MASK if _named_secret(name, item) else masked(item) for name, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list | tuple) else value


def was_masked(_: str, value: object) -> bool:
    """Whether a value holds a mask in the place of a secret."""
    return isinstance(value, str) and MASK in value


def is_secret(name: str, value: object) -> bool:
    """Whether a value is a secret by its name or by its looks, or was masked for being one."""
    return _named_secret(name, value) or (isinstance(value, str) and Redactor()(value) != value) or was_masked(name, value)


def pruned(data: Any, drop: Callable[[str, object], bool]) -> tuple[Any, list[str]]:
    """Plain JSON data without the values that `drop` names, and the dotted places where they stood."""
    gone: list[str] = []

    def kept(value: Any, at: tuple[str, ...]) -> Any:
        if isinstance(value, list):
            return [kept(item, (*at, str(place))) for place, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        dropped = {name for name, item in value.items() if drop(name, item)}
        gone.extend(".".join((*at, name)) for name in value if name in dropped)
        return {name: kept(item, (*at, name)) for name, item in value.items() if name not in dropped}

    return kept(data, ()), gone


def _written(secret: str) -> frozenset[str]:
    """A secret as it may stand in a text that others wrote: plain, and as Python, JSON, HTML, a URL and a shell escape it."""
    escaped = (repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    # What is no UTF-8 is in os.environ as lone surrogates.
    of_urls = (quote(secret, safe="", errors="surrogateescape"), quote_plus(secret, errors="surrogateescape"))
    return frozenset({secret, *escaped, html.escape(secret), *of_urls, shlex.quote(secret)})


class Redactor:
    """Replaces every known secret value, and whatever looks like a token, in a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {form for s in secrets if len(s) >= _SHORTEST for form in _written(s)}
        # Longest first: a secret that contains another is replaced whole.
        self._values = re.compile("|".join(map(re.escape, sorted(known, key=len, reverse=True)))) if known else None

    @classmethod
    def of_environment(cls, environ: Mapping[str, str], extra: Iterable[str] = ()) -> Redactor:
        """A redactor of every variable whose name says that it is secret, and of `extra` values."""
        return cls([*extra, *secrets_in(environ)])

    def __call__(self, text: str) -> str:
        if self._values:
            text = self._values.sub(MASK, text)
        return _KNOWN_SHAPES.sub(MASK, text)
