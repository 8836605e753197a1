"""The user's pip settings, said in uv's words: uv reads none of pip's. Standard library only; pure."""

from __future__ import annotations

import ast
from collections.abc import Mapping

UV_NAMES: dict[str, tuple[tuple[str, ...], str]] = {
    "index-url": (("UV_INDEX_URL",), " "),
    "extra-index-url": (("UV_EXTRA_INDEX_URL",), " "),
    "find-links": (("UV_FIND_LINKS",), ","),
    "trusted-host": (("UV_INSECURE_HOST",), " "),
    "constraint": (("UV_CONSTRAINT",), " "),
    "cert": (("SSL_CERT_FILE",), " "),
    "client-cert": (("SSL_CLIENT_CERT",), " "),
    "proxy": (("HTTPS_PROXY", "HTTP_PROXY"), " "),
    "timeout": (("UV_HTTP_TIMEOUT",), " "),
    "default-timeout": (("UV_HTTP_TIMEOUT",), " "),
}
"""pip's option -> uv's variables, and what separates several values there."""
_SECTIONS = ("global", "install", ":env:")
"""Of `pip config list`, weakest first."""


def settings(environ: Mapping[str, str], config_list: str) -> dict[str, str]:
    """pip's options in force for an install; `config_list` is the output of `pip config list`, empty if it has none."""
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in config_list.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.partition(".")
        if section in found:
            found[section][option] = _unquoted(value)
    # Its own look at the environment, too: a Python without pip still has PIP_INDEX_URL.
    direct = {name[4:].lower().replace("_", "-"): value for name, value in environ.items() if name.startswith("PIP_")}
    return {option: value for section in (*found.values(), direct) for option, value in section.items()}


def uv_environment(options: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` with pip's options added for uv; a variable of uv's own that is set already wins."""
    added: dict[str, str] = {}
    for option, (names, separator) in UV_NAMES.items():
        if values := options.get(option, "").split():
            added |= dict.fromkeys(names, separator.join(values))
    if "UV_EXTRA_INDEX_URL" in added:
        # pip takes the best version of all indexes; uv by itself would stop at the first that knows the name.
        added["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return added | dict(environ)


def uv_flags(options: Mapping[str, str]) -> list[str]:
    """Options that uv takes on its command line only."""
    return ["--no-index"] if options.get("no-index", "").lower() in ("1", "true", "yes", "on") else []


def _unquoted(value: str) -> str:
    try:
        return str(ast.literal_eval(value))
    except (ValueError, SyntaxError):
        return value
