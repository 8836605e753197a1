"""The gateway's settings: arguments > environment > defaults. Secrets come by environment or file, never as an argument."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from hallmark.core.errors import UsageError
from hallmark.core.grace import STOP_GRACE_S, STOP_GRACE_VARIABLE, drain_s
from hallmark.core.keys import SAFE_KEY_LENGTH, SAFE_SECRET_BYTES, TokenRules, is_safe, require_safe
from hallmark_services.connections.clients import Network, parse_networks
from hallmark_services.gateway.memory import LARGE_SHARE
from hallmark_services.log_lines import FORMAT_VARIABLE, log_format

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the gateway must know. Each field but the secrets is an argument, and a variable in capitals.

    Variables carry the prefix GATEWAY_ but for those that the engine's container knows by their plain names
    (HOST, PORT, ENGINE_URL, MODEL_ID, BUILD_SHA, BUILD_TIME, STOP_GRACE_S, LOG_FORMAT).
    """

    host: str = "127.0.0.1"
    port: int = 8000
    """0 for a free one; the log says which."""
    engine_url: str = "http://127.0.0.1:8001"
    model_id: str = ""
    """What /version reports; empty: what the engine lists. The health probe always asks for what the engine lists."""
    build_sha: str = "dev"
    build_time: str = "dev"
    extra_paths: str = ""
    """Paths of the engine beside /v1/* that are passed on too, parted by commas (`/metrics,/tokenize`); with a token."""
    max_body_mib: float = 64.0
    max_head_kib: float = 32.0
    request_memory_mib: float = 512.0
    """Bodies of requests in memory, over all connections. The last quarter is for bodies of at most 1 MiB."""
    max_connections: int = 4096
    max_connections_per_client: int = 1024
    """Of one IPv4 address, or one /64 of IPv6."""
    trusted_proxies: str = ""
    """Addresses and networks, parted by commas, whose connections are many clients': they are not held to the limit of one."""
    probe_connections: int = 32
    """Connections beside all those, for probes (/livez, /healthz, /version) alone."""
    probe_timeout_s: float = 2.0
    """How long a connection kept for probes may take to send its request."""
    connect_timeout_s: float = 5.0
    head_timeout_s: float = 20.0
    """How long a client may take to send a head."""
    body_rate_kib_s: float = 1.0
    """What a body must bring at least, on average over each `body_window_s`."""
    body_window_s: float = 20.0
    body_timeout_s: float = 300.0
    """How long a body may take in all."""
    keep_alive_s: float = 75.0
    first_byte_timeout_s: float = 600.0
    """How long the engine may take to begin an answer, then 504. An answer that is not streamed begins when it is whole."""
    idle_timeout_s: float = 600.0
    """How long an answer that has begun may stand still (engine silent, or client not reading)."""
    probe_every_s: float = 3.0
    stall_s: float = 8.0
    """Without a sign of progress for so long, /healthz is red. Must exceed `probe_every_s`."""
    stop_grace_s: float = STOP_GRACE_S
    """From SIGTERM to the end of all that stops with this gateway (core/grace.py); answers under way have most of it."""
    access_log: bool = True
    log_format: str = "text"
    """text, or json: one object a line (hallmark_services/log_lines.py)."""
    audience: str = ""
    """What the claim `aud` of a token must hold; empty: it may say anything."""
    issuer: str = ""
    """What the claim `iss` of a token must say; empty: anything."""
    server_id: str = ""
    """A name drawn for this start: tokens that are made for it need no expiry. Empty: every token must have one."""
    insecure: bool = False
    """Take a JWT_SECRET under 32 bytes, which can be found from any one token: for a trial alone."""
    jwt_secret: str = field(default="", repr=False)
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    """Plain keys that are accepted beside tokens."""
    engine_api_key: str = field(default="", repr=False)
    """What the engine itself demands; the client's own token never reaches it."""

    @property
    def max_body_bytes(self) -> int:
        return int(self.max_body_mib * MIB)

    @property
    def max_head_bytes(self) -> int:
        return int(self.max_head_kib * 1024)

    @property
    def request_memory_bytes(self) -> int:
        return int(self.request_memory_mib * MIB)

    @property
    def proxies(self) -> tuple[Network, ...]:
        return parse_networks(self.trusted_proxies)

    @property
    def drain_s(self) -> float:
        """How long answers under way may go on after SIGTERM."""
        return drain_s(self.stop_grace_s)

    @property
    def guarded(self) -> bool:
        return bool(self.jwt_secret or self.api_keys)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What can be meant, and is weak all the same."""
        found = []
        if not is_safe(self.jwt_secret):
            found.append(f"JWT_SECRET is shorter than {SAFE_SECRET_BYTES} bytes: it can be found from any one token")
        if short := sum(len(key) < SAFE_KEY_LENGTH for key in self.api_keys):
            found.append(f"GATEWAY_API_KEYS: {short} shorter than {SAFE_KEY_LENGTH} characters, which can be guessed")
        return tuple(found)

    @property
    def token_rules(self) -> TokenRules:
        return TokenRules(audience=self.audience, issuer=self.issuer, server=self.server_id)

    @property
    def passed_paths(self) -> frozenset[str]:
        return frozenset(path.strip() for path in self.extra_paths.split(",") if path.strip())


_PLAIN_NAMES = frozenset({"host", "port", "engine_url", "model_id", "build_sha", "build_time", "stop_grace_s", "log_format"})
_SECRETS = {"jwt_secret": "JWT_SECRET", "api_keys": "GATEWAY_API_KEYS", "engine_api_key": "ENGINE_API_KEY"}
_RENAMED = {"GATEWAY_DRAIN_S": STOP_GRACE_VARIABLE}
_HEADER_TEXT = re.compile(r"[\x21-\x7e]+")


def variable_of(name: str) -> str:
    return name.upper() if name in _PLAIN_NAMES else f"GATEWAY_{name.upper()}"


def make_parser() -> argparse.ArgumentParser:
    secrets = ", ".join(f"{variable} or {variable}_FILE" for variable in _SECRETS.values())
    parser = argparse.ArgumentParser(
        prog="python -m hallmark_services.gateway",
        description="A gateway in front of one OpenAI-compatible engine: tokens, honest health, limits, streams passed on.",
        epilog=f"Secrets come from the environment or from a file, never from here: {secrets}.",
        allow_abbrev=False,
    )
    for known in fields(Settings):
        if known.name not in _SECRETS:
            default = f"default: ${variable_of(known.name)}, or {known.default!r}"
            parser.add_argument(f"--{known.name.replace('_', '-')}", metavar=known.name.upper(), help=default)
    return parser


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """The effective settings, checked; UsageError says which one is wrong and where it came from. Empty means not given."""
    options = vars(make_parser().parse_args(arguments))
    for former, present in _RENAMED.items():
        if environ.get(former):
            raise UsageError(f"this setting is now {present}", where=f"${former}", hint="the gateway's README.md has them all")
    types = get_type_hints(Settings)
    values: dict[str, Any] = {}
    for name, text in options.items():
        where = f"--{name.replace('_', '-')}" if text else f"${variable_of(name)}"
        if chosen := text or environ.get(variable_of(name), ""):
            values[name] = _converted(chosen, types[name], where)
    values |= _secrets(environ)
    return _checked(Settings(**values))


def _converted(text: str, kind: type, where: str) -> Any:
    try:
        if kind is bool:
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        return kind(text)
    except (ValueError, KeyError) as exc:
        raise UsageError(f"not a {'yes or no' if kind is bool else kind.__name__}: {text!r}", where=where) from exc


def _secrets(environ: Mapping[str, str]) -> dict[str, Any]:
    read = {name: _secret(variable, environ) for name, variable in _SECRETS.items()}
    keys = tuple(read["api_keys"].replace(",", " ").split())
    return {**read, "api_keys": keys}


def _secret(variable: str, environ: Mapping[str, str]) -> str:
    """From $VARIABLE, or from the file that $VARIABLE_FILE names, which must hold something."""
    path = environ.get(f"{variable}_FILE", "")
    if not path:
        return environ.get(variable, "")
    if environ.get(variable):
        raise UsageError(f"{variable} and {variable}_FILE are both set", hint="keep one")
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as exc:
        raise UsageError(f"cannot read the secret: {exc}", where=f"${variable}_FILE") from exc
    if not text:
        raise UsageError("the file of the secret is empty", where=f"${variable}_FILE={path}")
    return text


def _checked(settings: Settings) -> Settings:
    if not _is_address(settings.engine_url):
        raise UsageError(f"not an engine's address: {settings.engine_url}", where="ENGINE_URL", hint="http://HOST:PORT")
    if not 0 <= settings.port <= 65535:
        raise UsageError(f"no such port: {settings.port}", where="PORT")
    for known in fields(settings):
        value = getattr(settings, known.name)
        if known.name != "port" and isinstance(value, int | float) and not isinstance(value, bool) and not value > 0:
            raise UsageError(f"{known.name} must be above 0, not {value}", where=variable_of(known.name))
    if settings.stall_s <= settings.probe_every_s:
        raise UsageError("stall_s must exceed probe_every_s", where="GATEWAY_STALL_S", hint="an idle engine would look stuck")
    _check_limits(settings)
    _check_words(settings)
    require_safe(settings.jwt_secret, insecure=settings.insecure)
    if (settings.audience or settings.issuer) and not settings.jwt_secret:
        where = "GATEWAY_AUDIENCE" if settings.audience else "GATEWAY_ISSUER"
        raise UsageError("it is what a token must say, and no token is taken", where=where, hint="set JWT_SECRET")
    if settings.engine_api_key and not _HEADER_TEXT.fullmatch(settings.engine_api_key):
        raise UsageError("the engine's key cannot stand in a header", where="ENGINE_API_KEY")
    return settings


def _check_words(settings: Settings) -> None:
    try:
        log_format(settings.log_format)
    except ValueError as exc:
        raise UsageError(f"no format of a log: {settings.log_format!r}", where=FORMAT_VARIABLE, hint=str(exc)) from exc
    for path in settings.passed_paths:
        if not path.startswith("/"):
            raise UsageError(f"not a path: {path}", where="GATEWAY_EXTRA_PATHS", hint="/metrics,/tokenize")


def _check_limits(settings: Settings) -> None:
    try:
        _ = settings.proxies
    except ValueError as exc:
        raise UsageError(str(exc), where="GATEWAY_TRUSTED_PROXIES", hint="10.0.0.0/8,2001:db8::1") from exc
    if settings.request_memory_bytes * LARGE_SHARE < settings.max_body_bytes:
        least = settings.max_body_mib / LARGE_SHARE
        hint = f"at least {least:g} MiB, or a smaller GATEWAY_MAX_BODY_MIB"
        raise UsageError("the largest body would never fit", where="GATEWAY_REQUEST_MEMORY_MIB", hint=hint)


def _is_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        return bool(url.scheme == "http" and url.hostname and url.port != 0 and not url.path.strip("/") and not url.query)
    except ValueError:  # its port is no port
        return False
