"""What the sidecar is told: command line > environment > default, typed, each value with its origin.

Secrets come by environment only: a command line is shown to everybody on the machine.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import urlsplit

from hallmark.core.errors import UsageError
from hallmark.core.redact import Redactor
from hallmark.core.settings import Setting
from hallmark_services.log_lines import FORMAT_VARIABLE, LogFormat, log_format
from hallmark_services.sidecar.downloads.settings import secret_of
from hallmark_services.sidecar.metrics.rules import DEFAULT_PREFIX, Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarSettings:
    """Everything about the service but its downloads, whose settings are `DownloadSettings`."""

    engine: Engine
    pod: str
    """This instance's name, as people look for it."""
    model: str
    host: str = "0.0.0.0"  # noqa: S104 - it is scraped from outside its pod
    port: int = 9000
    """0 lets the system choose one."""
    engine_base_url: str = "http://localhost:8000"
    """Without a trailing slash."""
    engine_metrics_path: str = "/metrics"
    metrics_prefix: str = DEFAULT_PREFIX
    request_timeout_s: float = 30.0
    """For a request to the engine that is no scrape; loading an adapter is the longest."""
    scrape_timeout_s: float = 8.0
    """For a scrape, where the scraper does not say how long it waits itself (Prometheus does)."""
    max_body_bytes: int = 1 << 20
    body_timeout_s: float = 30.0
    """For a request's body to come."""
    head_timeout_s: float = 20.0
    """For a request's head to come, and for a connection to be silent."""
    max_connections: int = 512
    max_connections_per_client: int = 128
    probe_connections: int = 16
    """Kept for /health and /metrics, besides the others."""
    log_format: LogFormat = "text"
    token: str = field(default="", repr=False)
    """The bearer token that `/v1/...` wants; empty: none."""
    engine_api_key: str = field(default="", repr=False)
    origins: tuple[Setting, ...] = ()
    """The effective values and where they came from, without secrets."""


@dataclass(frozen=True, slots=True)
class _Option:
    field: str
    flags: tuple[str, ...]
    variables: tuple[str, ...]
    read: Callable[[str], Any]
    help: str


def _engine(text: str) -> Engine:
    try:
        return Engine(text.lower())
    except ValueError:
        raise ValueError("supported are " + " and ".join(Engine)) from None


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ValueError("write a number from 0 to 65535")
    return int(text)


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("write http://HOST:PORT, without credentials or a query")
    _ = parts.port
    return text.rstrip("/")


def _path(text: str) -> str:
    if not re.fullmatch(r"/[!-~]*", text) or "#" in text:
        raise ValueError("write an absolute path, as /metrics")
    return text


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", text):
        raise ValueError("write letters, digits, _ and :, not beginning with a digit")
    return text


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number <= 3600:
        raise ValueError("write seconds, above 0 and at most 3600")
    return number


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1 << 20:
        raise ValueError("write a number, from 1 to 1048576")
    return int(text)


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= 1 << 30:
        raise ValueError("write bytes, from 1024 to 1 GiB")
    return int(text)


def _word(text: str) -> str:
    if not text.isprintable() or len(text) > 253:
        raise ValueError("write at most 253 printable characters")
    return text


_OPTIONS = (
    _Option("engine", ("-E", "--engine"), ("RUNTIME_ENGINE",), _engine, "the engine beside this sidecar: vllm or sglang"),
    _Option("host", ("-H", "--host"), ("RUNTIME_HOST",), _word, "address to listen on (default 0.0.0.0)"),
    _Option("port", ("-P", "--port"), ("RUNTIME_PORT",), _port, "port to listen on (default 9000)"),
    _Option(
        "engine_base_url", ("-B", "--engine-base-url"), ("RUNTIME_URL",), _base_url, "where the engine is (http://localhost:8000)"
    ),
    _Option(
        "engine_metrics_path", ("-M", "--engine-metrics-path"), ("RUNTIME_METRICS_PATH",), _path, "its metrics (default /metrics)"
    ),
    _Option("pod", ("-I", "--pod"), ("RUNTIME_POD",), _word, "name of this instance, as pod.namespace"),
    _Option("model", ("-N", "--model"), ("RUNTIME_MODEL",), _word, "name of the model that the engine serves"),
    _Option("metrics_prefix", ("--metrics-prefix",), ("RUNTIME_METRICS_PREFIX",), _prefix, "of standard metrics (matrixinfer:)"),
    _Option(
        "request_timeout_s",
        ("--request-timeout",),
        ("RUNTIME_REQUEST_TIMEOUT", "REQUEST_TIMEOUT"),
        _seconds,
        "seconds for a request to the engine (default 30)",
    ),
    _Option("scrape_timeout_s", ("--scrape-timeout",), ("RUNTIME_SCRAPE_TIMEOUT",), _seconds, "seconds for a scrape (default 8)"),
    _Option(
        "body_timeout_s", ("--body-timeout",), ("RUNTIME_BODY_TIMEOUT",), _seconds, "seconds for a body to come (default 30)"
    ),
    _Option(
        "head_timeout_s", ("--head-timeout",), ("RUNTIME_HEAD_TIMEOUT",), _seconds, "seconds for a head to come (default 20)"
    ),
    _Option(
        "max_connections", ("--max-connections",), ("RUNTIME_MAX_CONNECTIONS",), _number, "most connections at once (default 512)"
    ),
    _Option(
        "max_connections_per_client",
        ("--max-connections-per-client",),
        ("RUNTIME_MAX_CONNECTIONS_PER_CLIENT",),
        _number,
        "of one address, or of one /64 of IPv6 (default 128)",
    ),
    _Option(
        "probe_connections",
        ("--probe-connections",),
        ("RUNTIME_PROBE_CONNECTIONS",),
        _number,
        "kept for /health and /metrics besides (default 16)",
    ),
    _Option("max_body_bytes", ("--max-body-bytes",), ("RUNTIME_MAX_BODY_BYTES",), _size, "longest request body (default 1 MiB)"),
    _Option("log_format", ("--log-format",), (FORMAT_VARIABLE,), log_format, "text, or json: one object a line (default text)"),
)
_REQUIRED = ("engine", "pod", "model")
_EPILOG = """\
Every option can also be given as an environment variable: RUNTIME_ENGINE, RUNTIME_PORT, RUNTIME_URL, RUNTIME_METRICS_PATH, ...
Only by environment: RUNTIME_API_TOKEN (callers of /v1 must send it as a bearer token), RUNTIME_ENGINE_API_KEY or VLLM_API_KEY
(sent to the engine), and what downloads may do and use: RUNTIME_DOWNLOAD_ROOTS, RUNTIME_PVC_ROOTS, RUNTIME_ALLOWED_SOURCES,
RUNTIME_ALLOWED_ENDPOINTS, RUNTIME_MAX_DOWNLOADS (4), RUNTIME_DOWNLOAD_MIN_RATE (bytes a second, 65536; 0: any) over each
RUNTIME_DOWNLOAD_RATE_WINDOW (120 s), RUNTIME_DOWNLOAD_DEADLINE (86400 s), RUNTIME_PARTIAL_HOURS (168; what a failed
download left is resumed by the next download into its folder, and removed when nothing has come for so long; 0: never),
RUNTIME_STATE_DIR (where the history of jobs is kept over a restart; by default .hallmark-runtime below the first download
root; none: nowhere), HF_AUTH_TOKEN,
HF_ENDPOINT, HF_REVISION, ACCESS_KEY, SECRET_KEY, ENDPOINT.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint="--help lists the options")


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> SidecarSettings:
    """The settings, or UsageError in one line that names the option and its origin."""
    parser = _Parser(prog="hallmark-runtime", description="Standard metrics, adapters and models beside an inference engine.")
    parser.epilog, parser.formatter_class = _EPILOG, argparse.RawDescriptionHelpFormatter
    for option in _OPTIONS:
        parser.add_argument(*option.flags, dest=option.field, metavar="VALUE", help=option.help)
    arguments = vars(parser.parse_args(argv))
    values: dict[str, Any] = {}
    origins = []
    for option in _OPTIONS:
        setting = _effective(option, arguments[option.field], environ)
        if setting.value:
            values[option.field] = _read(option, setting)
            origins.append(setting)
        elif option.field in _REQUIRED:
            flags = " or ".join(option.flags)
            raise UsageError(f"{flags} is required", hint=f"{option.help}; or set {option.variables[0]}")
    # The seed's own table gives the metrics URL as the engine's.
    path = values.get("engine_metrics_path", "/metrics")
    if "engine_base_url" in values:
        values["engine_base_url"] = values["engine_base_url"].removesuffix(path).rstrip("/")
    return SidecarSettings(
        **values,
        token=secret_of(environ, "RUNTIME_API_TOKEN"),
        engine_api_key=secret_of(environ, "RUNTIME_ENGINE_API_KEY") or secret_of(environ, "VLLM_API_KEY"),
        origins=tuple(origins),
    )


def _effective(option: _Option, argument: str | None, environ: Mapping[str, str]) -> Setting:
    """The winner; empty text counts as not given."""
    if argument:
        return Setting(option.field, argument, "command line")
    value = next((environ[name] for name in option.variables if environ.get(name)), "")
    return Setting(option.field, value, "environment" if value else "default")


def _read(option: _Option, setting: Setting) -> Any:
    try:
        return option.read(setting.value)
    except ValueError as exc:
        where = option.flags[-1] if setting.origin == "command line" else option.variables[0]
        raise UsageError(f"{Redactor()(setting.value)!r} cannot be used", where=where, hint=str(exc)) from exc
