"""What the operator allows downloads to do: where to write, whom to ask, how much at once, with which credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from hallmark.core.errors import UsageError
from hallmark_services.sidecar.downloads.endpoint import is_pattern, parse_endpoint
from hallmark_services.sidecar.downloads.pace import Pace
from hallmark_services.sidecar.downloads.request import Refused
from hallmark_services.sidecar.downloads.source import CONTROL

GIB = 1 << 30
_DEFAULT_ROOT = "/models"


def secret_of(environ: Mapping[str, str], name: str) -> str:
    """The secret in that variable, empty where there is none; UsageError, without it, for what no header can carry."""
    value = environ.get(name, "")
    if CONTROL.search(value) or value != value.strip():
        hint = "a secret made from a file often ends with the file's line break; make it without"
        raise UsageError("it holds a line break, or a space at an end", where=name, hint=hint)
    return value


@dataclass(frozen=True, slots=True)
class Credentials:
    """The operator's own credentials and endpoints; they are used together or not at all."""

    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    endpoint: str = ""
    region: str = ""
    hf_token: str = field(default="", repr=False)
    hf_endpoint: str = ""
    hf_revision: str = ""
    ambient: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The variables from which botocore finds a role: AWS_*, HOME. Given to a download that may use the operator's keys."""

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> Credentials:
        """From the seed's variables; AWS's own ones are kept apart for botocore."""
        return cls(
            access_key=secret_of(environ, "ACCESS_KEY"),
            secret_key=secret_of(environ, "SECRET_KEY"),
            session_token=secret_of(environ, "SESSION_TOKEN"),
            endpoint=environ.get("ENDPOINT", ""),
            region=environ.get("AWS_REGION", "") or environ.get("AWS_DEFAULT_REGION", ""),
            hf_token=secret_of(environ, "HF_AUTH_TOKEN"),
            hf_endpoint=environ.get("HF_ENDPOINT", ""),
            hf_revision=environ.get("HF_REVISION", ""),
            ambient={name: value for name, value in environ.items() if name.startswith("AWS_") or name == "HOME"},
        )

    def secrets(self) -> list[str]:
        """Every value here that must not be shown."""
        keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        mine = [self.access_key, self.secret_key, self.session_token, self.hf_token]
        return [value for value in (*mine, *(self.ambient.get(key, "") for key in keys)) if value]


@dataclass(frozen=True, slots=True)
class DownloadSettings:
    """The limits of this service; the defaults let a caller choose nothing but public, well-known places."""

    allowed_roots: tuple[str, ...] = (_DEFAULT_ROOT,)
    """Targets lie below one of these folders, after every symlink is followed."""
    source_roots: tuple[str, ...] = ("/models", "/mnt", "/pvc")
    """`pvc://` reads below one of these folders, after every symlink is followed."""
    allowed_sources: tuple[str, ...] = ("s3://*", "obs://*", "pvc://*", "hf://*")
    """Shell patterns; a Hugging Face repository is matched as hf://namespace/repo."""
    allowed_endpoints: tuple[str, ...] = (
        "https://huggingface.co",
        "https://s3.amazonaws.com",
        "https://s3.*.amazonaws.com",
        "https://s3.*.amazonaws.com.cn",
        "https://obs.*.myhuaweicloud.com",
    )
    """Origins that a caller may choose; `*` stands for any text in a host, alone for any endpoint. The operator's own need not
    be here."""
    allowed_networks: tuple[str, ...] = ()
    """Addresses that are not public and may be reached all the same, as CIDR blocks."""
    credentials: Credentials = field(default_factory=Credentials)
    addressing_style: str = "auto"
    """How a bucket is addressed: auto, path or virtual."""
    max_active: int = 4
    """Downloads that run at once; the others are queued."""
    max_queued: int = 1000
    max_history: int = 1000
    """Ended jobs that are remembered."""
    partial_kept_s: float = 168 * 3600.0
    """After so long without a byte, what a failed download left is removed; 0: never."""
    state_dir: str = ""
    """Where the history of jobs is kept over a restart; empty: nowhere."""
    max_workers: int = 64
    max_bytes: int = 4096 * GIB
    max_files: int = 100_000
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    """The longest silence of a connection before it is given up and resumed."""
    pace: Pace = field(default_factory=lambda: Pace(least_bytes_per_s=64 << 10, window_s=120.0, deadline_s=86_400.0))
    """What a source that is slower, or a download that takes longer, ends with."""

    def __post_init__(self) -> None:
        _require_well_written(self)
        for network in self.allowed_networks:
            try:
                ip_network(network)
            except ValueError as exc:
                raise UsageError(str(exc), where="allowed networks", hint="write CIDR blocks, as 10.0.0.0/8") from exc
        if self.addressing_style not in ("auto", "path", "virtual"):
            raise UsageError(f"{self.addressing_style!r} is no addressing style", hint="use auto, path or virtual")

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> DownloadSettings:
        """From RUNTIME_* (limits; lists are separated by commas) and the seed's variables (credentials)."""
        lists: dict[str, Any] = {
            name: tuple(part.strip() for part in environ[variable].split(",") if part.strip())
            for name, variable in _LISTS.items()
            if environ.get(variable)
        }
        return cls(
            **lists,
            credentials=Credentials.of_environment(environ),
            addressing_style=environ.get("RUNTIME_ADDRESSING_STYLE", "") or "auto",
            partial_kept_s=3600.0 * _count(environ, "RUNTIME_PARTIAL_HOURS", default=168, least=0),
            state_dir=_state_dir(environ, lists.get("allowed_roots") or (_DEFAULT_ROOT,)),
            max_active=_count(environ, "RUNTIME_MAX_DOWNLOADS", default=4),
            pace=_pace(environ),
        )


def _require_well_written(settings: DownloadSettings) -> None:
    """UsageError for a place that could never match, or that is no place."""
    for root in (*settings.allowed_roots, *settings.source_roots):
        if not root.startswith("/") or not root.strip("/"):
            raise UsageError(f"{root!r} cannot be a root of downloads", hint="write an absolute path other than /")
    for pattern in settings.allowed_endpoints:
        if not is_pattern(pattern):
            raise UsageError(f"{pattern!r} is no endpoint", where="allowed endpoints", hint="write https://host[:port] or *")
    for name, value in (("ENDPOINT", settings.credentials.endpoint), ("HF_ENDPOINT", settings.credentials.hf_endpoint)):
        try:
            _ = value and parse_endpoint(value, name=name)
        except Refused as exc:
            raise UsageError(exc.message, hint="write it as https://host[:port]") from None


_LISTS = {
    "allowed_roots": "RUNTIME_DOWNLOAD_ROOTS",
    "source_roots": "RUNTIME_PVC_ROOTS",
    "allowed_sources": "RUNTIME_ALLOWED_SOURCES",
    "allowed_endpoints": "RUNTIME_ALLOWED_ENDPOINTS",
    "allowed_networks": "RUNTIME_ALLOWED_NETWORKS",
}


def _state_dir(environ: Mapping[str, str], roots: tuple[str, ...]) -> str:
    """On the first volume that downloads write to, unless another place is named; `none` for none."""
    configured = environ.get("RUNTIME_STATE_DIR", "")
    if configured.lower() == "none":
        return ""
    if configured and not configured.startswith("/"):
        raise UsageError(f"{configured!r} is no absolute path", where="RUNTIME_STATE_DIR", hint="write one, or none")
    return configured or f"{roots[0].rstrip('/')}/.hallmark-runtime"


def _pace(environ: Mapping[str, str]) -> Pace:
    return Pace(
        least_bytes_per_s=_count(environ, "RUNTIME_DOWNLOAD_MIN_RATE", default=64 << 10, least=0),
        window_s=_count(environ, "RUNTIME_DOWNLOAD_RATE_WINDOW", default=120),
        deadline_s=_count(environ, "RUNTIME_DOWNLOAD_DEADLINE", default=86_400),
    )


def _count(environ: Mapping[str, str], name: str, *, default: int, least: int = 1) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise UsageError(f"{text!r} is no number of at least {least}", where=name)
    return int(text)
