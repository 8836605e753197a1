"""Endpoints: read strictly, compared whole, matched against an allow-list; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv6Address
from urllib.parse import urlsplit

from hallmark_services.sidecar.downloads.addresses import Address, parse_address
from hallmark_services.sidecar.downloads.request import Refused

ANY_ENDPOINT = "*"
"""Stands for every endpoint on a list of them."""
_PATTERN = re.compile(r"https?://[A-Za-z0-9*._:\[\]-]+/?")
_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*")
_NUMERIC = re.compile(r"[0-9.]+|(0x[0-9a-f]*\.?)+|.*\.(0x[0-9a-f]*|[0-9]+)")
_ODD = re.compile(r"[\x00-\x20\x7f\\\s]|[^\x00-\x7f]")
_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")


@dataclass(frozen=True, slots=True)
class StoreEndpoint:
    """Where a store answers: `scheme://host:port/path`, each part in its one proper form."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    @property
    def address(self) -> Address | None:
        """The address when the host is one, or a name that always means this machine."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return parse_address("127.0.0.1")
        try:
            return parse_address(self.host)
        except ValueError:
            return None


def parse_endpoint(text: str, *, name: str) -> StoreEndpoint:
    """The endpoint that `text` writes; Refused (400) for anything that two readers could read in two ways."""
    if _ODD.search(text) or len(text) > 512:
        raise Refused(400, f"{name}: it holds characters that no endpoint has")
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower().rstrip("."), parts.port
    except ValueError:
        raise Refused(400, f"{name}: it is no URL") from None
    if parts.scheme not in _PORTS:
        raise Refused(400, f"{name}: write it as https://host[:port]")
    if "@" in parts.netloc or parts.query or parts.fragment or "?" in text or "#" in text or not _PATH.fullmatch(parts.path):
        raise Refused(400, f"{name}: only scheme, host, port and a plain path are allowed")
    if port == 0:
        raise Refused(400, f"{name}: no service has port 0")
    return StoreEndpoint(parts.scheme, _host(host, name=name), port or _PORTS[parts.scheme], parts.path.rstrip("/"))


def _host(host: str, *, name: str) -> str:
    """A host in its one proper form: octal, hexadecimal and shortened addresses are refused, not read."""
    try:
        address = parse_address(host)
    except ValueError:
        if _NUMERIC.fullmatch(host) or not _NAME.fullmatch(host):
            raise Refused(400, f"{name}: the host is neither a name nor an address") from None
        return host
    if isinstance(address, IPv6Address) and address.scope_id:
        raise Refused(400, f"{name}: an address with a zone is never public")
    return str(address)


def is_pattern(text: str) -> bool:
    """Whether `text` can stand on a list of endpoints."""
    return text == ANY_ENDPOINT or _PATTERN.fullmatch(text) is not None


def listed(endpoint: StoreEndpoint, patterns: tuple[str, ...]) -> bool:
    """Whether one of `patterns` (`https://host`, `https://*.host`, with a port where it is no usual one) allows it."""
    for pattern in patterns:
        if pattern == ANY_ENDPOINT:
            return True
        scheme, _, rest = pattern.partition("://")
        host, _, port = rest.rstrip("/").rpartition(":") if re.search(r":\d+/?$", rest) else (rest.rstrip("/"), "", "")
        number = int(port) if port else _PORTS.get(scheme, 0)
        if (scheme, number) == (endpoint.scheme, endpoint.port) and fnmatchcase(endpoint.host, host.strip("[]").lower()):
            return True
    return False
