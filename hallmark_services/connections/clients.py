"""Which connections are one client's: an IPv4 address, a /64 of IPv6. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_PREFIX = 64
"""What one subscriber is given: who has one address of IPv6 has that many more."""


def parse_networks(text: str) -> tuple[Network, ...]:
    """`10.0.0.0/8, 2001:db8::1` as networks; ValueError for what is none. Empty for an empty text."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_of(address: str, networks: Sequence[Network]) -> bool:
    found = _parsed(address)
    return found is not None and any(found in network for network in networks)


def client_of(address: str) -> str:
    """The client that an address stands for; what is no address stands for itself."""
    found = _parsed(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found), _PREFIX), strict=False))
    return address if found is None else str(found)


@lru_cache(maxsize=4096)
def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """An IPv4 address that comes as IPv6 (::ffff:192.0.2.1, on a socket for both) is what it really is."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
