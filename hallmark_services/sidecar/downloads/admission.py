"""Decides a request before anything is touched: source, target, endpoint, and which credentials may go along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from hallmark.core.errors import nearest
from hallmark_services.sidecar.downloads.addresses import is_public, within
from hallmark_services.sidecar.downloads.endpoint import StoreEndpoint, listed, parse_endpoint
from hallmark_services.sidecar.downloads.plan import DownloadPlan
from hallmark_services.sidecar.downloads.request import DownloadRequest, Refused
from hallmark_services.sidecar.downloads.settings import DownloadSettings
from hallmark_services.sidecar.downloads.source import CONTROL, Source, parse_revision, parse_source
from hallmark_services.sidecar.downloads.target import resolve_target

HUB = "https://huggingface.co"
KEYS = (
    "hf_token",
    "hf_endpoint",
    "hf_revision",
    "access_key",
    "secret_key",
    "session_token",
    "endpoint",
    "region",
    "addressing_style",
)


@dataclass(frozen=True, slots=True)
class _Place:
    """An endpoint and whose choice it was."""

    url: str
    trusted_host: str
    operators: bool


def admit(request: DownloadRequest, settings: DownloadSettings) -> DownloadPlan:
    """The plan that serves `request`; Refused when it may not be served. Looks at the target's path, and nothing else."""
    source = parse_source(request.source)
    if not any(fnmatchcase(str(source), pattern) for pattern in settings.allowed_sources):
        raise Refused(403, "source: this service may not fetch from there")
    if not 1 <= request.max_workers <= settings.max_workers:
        raise Refused(400, f"max_workers: give 1 to {settings.max_workers}")
    config = _config(request.config)
    target, root = resolve_target(request.output_dir, settings.allowed_roots)
    return DownloadPlan(
        kind=source.kind,
        source=str(source),
        place=source.place,
        path=source.path,
        target=str(target),
        root=str(root),
        workers=request.max_workers,
        replace=request.replace,
        allowed_networks=settings.allowed_networks,
        source_roots=settings.source_roots,
        max_bytes=settings.max_bytes,
        max_files=settings.max_files,
        connect_timeout_s=settings.connect_timeout_s,
        read_timeout_s=settings.read_timeout_s,
        **_by_kind(source, config, settings),
    )


def _config(config: Mapping[str, str]) -> dict[str, str]:
    """The caller's configuration without its empty values; Refused for a key that nobody knows."""
    for key, value in config.items():
        if key not in KEYS:
            raise Refused(400, f"config: {str(key)[:40]!r} is no key of it; {nearest(str(key)[:40], KEYS)}")
        if not isinstance(value, str) or CONTROL.search(value) or len(value) > 4096:
            raise Refused(400, f"config: {key} must be a text of one line")
    return {key: value for key, value in config.items() if value}


def _by_kind(source: Source, config: dict[str, str], settings: DownloadSettings) -> dict[str, Any]:
    match source.kind:
        case "s3" | "obs":
            return _object_store(source, config, settings)
        case "hf":
            return _hub(config, settings)
        case "pvc":
            return {"revision": ""}


def _object_store(source: Source, config: dict[str, str], settings: DownloadSettings) -> dict[str, Any]:
    own = settings.credentials
    place = _place("endpoint", config, own.endpoint, "", settings)
    if source.kind == "obs" and not place.url:
        raise Refused(400, "endpoint: obs:// needs one, in config or in the service's environment")
    keys = {name: config.get(name, "") for name in ("access_key", "secret_key", "session_token")}
    if bool(keys["access_key"]) != bool(keys["secret_key"]) or (keys["session_token"] and not keys["access_key"]):
        raise Refused(400, "config: access_key and secret_key go together, a session_token goes with them")
    ambient = False
    if place.operators and not keys["access_key"]:
        keys = {"access_key": own.access_key, "secret_key": own.secret_key, "session_token": own.session_token}
        ambient = not own.access_key
    style = config.get("addressing_style", settings.addressing_style)
    if style not in ("auto", "path", "virtual"):
        raise Refused(400, "addressing_style: give auto, path or virtual")
    return {
        **keys,
        "ambient": ambient,
        "endpoint": place.url,
        "trusted_host": place.trusted_host,
        "region": _region(config.get("region", "") or own.region),
        "addressing_style": style,
        "revision": "",
    }


def _region(text: str) -> str:
    if text and not (text.isascii() and text.replace("-", "").isalnum() and len(text) <= 64):
        raise Refused(400, "region: that is no name of a region")
    return text


def _hub(config: dict[str, str], settings: DownloadSettings) -> dict[str, Any]:
    own = settings.credentials
    place = _place("hf_endpoint", config, own.hf_endpoint, HUB, settings)
    return {
        "token": config.get("hf_token", "") or (own.hf_token if place.operators else ""),
        "endpoint": place.url,
        "trusted_host": place.trusted_host,
        "revision": parse_revision(config.get("hf_revision", "") or own.hf_revision or "main"),
    }


def _place(name: str, config: dict[str, str], operators: str, public: str, settings: DownloadSettings) -> _Place:
    """The endpoint to ask. One that the caller chose is the operator's only if it is the very same."""
    own = parse_endpoint(operators or public, name=name) if operators or public else None
    chosen = parse_endpoint(config[name], name=name) if name in config else None
    if chosen is None or chosen == own:
        return _Place(own.url if own else "", own.host if own and operators else "", operators=True)
    if not listed(chosen, settings.allowed_endpoints):
        raise Refused(403, f"{name}: it is not on this service's list of endpoints")
    _require_public(chosen, settings, name=name)
    return _Place(chosen.url, "", operators=False)


def _require_public(endpoint: StoreEndpoint, settings: DownloadSettings, *, name: str) -> None:
    """A name is looked at when it is connected to; what is an address already is decided here."""
    address = endpoint.address
    if address and not is_public(address) and not within(address, settings.allowed_networks):
        raise Refused(403, f"{name}: that address is not public")
