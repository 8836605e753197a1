"""The values of options about the server, checked: each function gives the value, or a UsageError in one line."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.core.keys import require_safe
from hallmark.core.redact import is_secret_name
from hallmark.serving.launchers import default_kind, kind_named, launcher_kinds
from hallmark.serving.ports import free_port
from hallmark.specs.strict import ENGINE_ARGUMENT, VARIABLE

_HEADER_TEXT = re.compile(r"[\x21-\x7e]*")


def launcher(name: str, *, server_url: str) -> str:
    """The name of the launcher's kind: `name`, or what a server's URL implies."""
    kind = kind_named(name) if name else default_kind(server_url=server_url)
    if kind.needs_url and not server_url:
        raise UsageError(
            f"--server {kind.name} needs --server-url", hint="say where the server answers, e.g. http://127.0.0.1:8000"
        )
    if server_url and not kind.needs_url:
        raise UsageError(f"--server-url does not go with --server {kind.name}", hint="drop one of the two")
    return kind.name


def base_url(text: str, *, option: str = "--server-url") -> str:
    """A server's base URL; empty where none is given."""
    if text and not re.match(r"https?://[^/\s]+$", text.rstrip("/")):
        raise UsageError(f"'{text}' is not a server's base URL", where=option, hint="e.g. http://127.0.0.1:8000")
    return text


def interpreter(path: str) -> str:
    """A Python interpreter that exists; empty where none is given."""
    if path and not Path(path).is_file():
        raise UsageError("no such interpreter", where=f"--server-python {path}", hint="name the python that has the engine")
    return path


def image(name: str, *, server: str) -> str:
    """A container image; empty where none is given."""
    if name and not kind_named(server).takes_image:
        takers = " or ".join(f"--server {kind.name}" for kind in launcher_kinds() if kind.takes_image)
        raise UsageError(f"--image does not go with --server {server}", hint=f"add {takers}")
    return name


def whole_number(text: str, *, name: str, least: int, most: int | None = None) -> int | None:
    """A whole number within its bounds; None where none is given."""
    if not text:
        return None
    span = f"from {least} to {most}" if most else f"from {least} up"
    number = int(text) if text.isdecimal() else -1
    if number < least or (most and number > most):
        raise UsageError(f"'{text}' is not a whole number {span}", where=f"--{name}", hint="correct it")
    return number


def seconds(text: str, *, option: str) -> float | None:
    """A time from 0 up; None where none is given."""
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number < math.inf:
        raise UsageError(f"'{text}' is no number of seconds from 0 up", where=option, hint="e.g. 600")
    return number


def host(name: str) -> str:
    """An address of this machine to serve at."""
    try:
        free_port(name.encode("idna").decode())
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or exc
        hint = "e.g. 127.0.0.1, or 0.0.0.0 for every address of this machine"
        raise UsageError(f"no server can listen at {name!r}: {why}", where="--host", hint=hint) from exc
    return name


def port(text: str) -> int:
    """A port; 0 where none is given."""
    return whole_number(text, name="port", least=1, most=65535) or 0


def engine_args(pairs: Sequence[str], *, option: str) -> Mapping[str, str]:
    """`name=value` pairs as engine arguments; a name given twice is a contradiction."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        key = name.removeprefix("--").replace("-", "_")
        if not equals or not ENGINE_ARGUMENT.fullmatch(key):
            raise UsageError(f"'{pair}' is not NAME=VALUE", where=option, hint="e.g. max_num_seqs=8")
        if key in _OURS:
            raise UsageError(f"'{name}' is not for {option} to say", where=option, hint=_OURS[key])
        if key in found:
            raise UsageError(f"'{name}' is there twice", where=option, hint="drop one")
        found[key] = value
    return found


def variables(pairs: Sequence[str], *, option: str, server: str) -> Mapping[str, str]:
    """`NAME=value` pairs as variables of a server that is started; a name given twice is a contradiction."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not VARIABLE.fullmatch(name):
            raise UsageError(f"'{name}' is not NAME=VALUE", where=option, hint="e.g. VLLM_LOGGING_LEVEL=DEBUG")
        if not kind_named(server).starts_server:
            raise UsageError(f"{option} does not go with --server {server}", hint="a server that runs has its variables already")
        if is_secret_name(name):
            raise UsageError(f"{name} would put a secret on a command line", where=option, hint="set it in the environment")
        if name in found:
            raise UsageError(f"'{name}' is there twice", where=option, hint="drop one")
        found[name] = value
    return found


def secrets(environ: Mapping[str, str], *, server: str) -> None:
    """UsageError where a key or a secret of `environ` cannot do what it is there for."""
    key = environ.get("HALLMARK_API_KEY", "")
    if not _HEADER_TEXT.fullmatch(key):
        raise UsageError("no header can hold it", where="HALLMARK_API_KEY", hint="use printable ASCII without blanks")
    if "," in key and kind_named(server).starts_server:
        raise UsageError("the gateway parts keys by commas", where="HALLMARK_API_KEY", hint="make one without")
    insecure = environ.get("GATEWAY_INSECURE", "").lower() in ("1", "true", "yes")
    require_safe(environ.get("JWT_SECRET", ""), insecure=insecure)


_OURS = {
    "host": "use --host",
    "port": "use --port",
    "model": "it is the spec's",
    "served_model_name": "it is the spec's",
    "api_key": "secrets come by environment: HALLMARK_API_KEY",
}
"""Engine arguments that hallmark itself gives."""
