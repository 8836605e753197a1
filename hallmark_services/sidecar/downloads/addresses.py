"""Which network addresses are public, in all the forms in which an address can be written; pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

_NAT64 = ip_network("64:ff9b::/96")
_COMPATIBLE = ip_network("::/96")
_NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            *("100.64.0.0/10", "192.0.0.0/24", "168.63.129.16/32", "100.100.100.200/32"),
            *("fd00:ec2::/32", "64:ff9b:1::/48", "fec0::/10"),
        ),
    )
)
"""Shared, metadata and (`fec0::`) a site's own addresses, though no flag of `ipaddress` names them all."""
_NEVER_OWN = tuple(map(ip_network, ("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10", "0.0.0.0/8", "::/128")))


def parse_address(text: str) -> Address:
    """The address that `text` writes in its one proper form (a zone is dropped); ValueError otherwise."""
    return ip_address(text.split("%", 1)[0])


def embedded(address: Address) -> list[Address]:
    """The address itself and every IPv4 address that it carries: mapped, compatible, 6to4, Teredo, NAT64."""
    if isinstance(address, IPv4Address):
        return [address]
    carried: list[Address] = [address]
    for inner in (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())):
        if inner is not None:
            carried.append(inner)
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 0xFFFF):
        carried.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return carried


def within(address: Address, networks: Iterable[str]) -> bool:
    """Whether the address, or the IPv4 address mapped into it, lies in one of `networks` (CIDR blocks)."""
    plain = address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
    return any(plain in ip_network(network) for network in networks)


def is_public(address: Address) -> bool:
    """Whether this address, in all that it carries, is one that anybody on the internet could reach."""
    forms = embedded(address)
    return all(
        form.is_global and not form.is_multicast and not form.is_reserved and not any(form in network for network in _NOT_PUBLIC)
        # What carries another address is as public as that.
        for form in (forms[1:] or forms)
    )


def may_be_the_operators(address: Address) -> bool:
    """Whether an endpoint that the operator named may live there: private yes, this very machine or its link never."""
    return not any(form in network for form in embedded(address) for network in _NEVER_OWN)
