"""Looks at every address at the moment in which this process connects to it, whatever library, redirect or name led there.

An audit hook of the interpreter: it sees the address that the socket is given, so a name that resolves differently
the second time gains nothing, and nothing that runs later can take it away. It holds for the whole process, which is
why a download has one of its own.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

from hallmark_services.sidecar.downloads.addresses import Address, is_public, may_be_the_operators, parse_address, within
from hallmark_services.sidecar.downloads.remote import Interrupted, TransferError


class ForbiddenAddress(PermissionError):
    """The guard would not let this process connect there."""


class Guard:
    """What may be connected to: public addresses, listed networks, and the endpoint that the operator named."""

    def __init__(self, *, allowed_networks: tuple[str, ...], trusted_hosts: tuple[str, ...]) -> None:
        self._networks = allowed_networks
        self._trusted = trusted_hosts
        self._here = threading.local()

    def install(self) -> None:
        """For good: an audit hook cannot be removed."""
        sys.addaudithook(self._audit)

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """Let this thread ask this machine's own services, as one that hands out a role's credentials."""
        self._here.lifted = True
        try:
            yield
        finally:
            self._here.lifted = False

    @property
    def refusal(self) -> str:
        """What this thread was refused last and has not got round since: a library only says that it could not connect."""
        return getattr(self._here, "refusal", "")

    def unanswered(self, exc: Exception) -> TransferError | Interrupted:
        """What to raise for a connection that failed in this thread: forbidden for good, or worth another try."""
        if self.refusal:
            return TransferError(403, self.refusal)
        return Interrupted(f"{type(exc).__name__}: {exc}")

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg") and not getattr(self._here, "lifted", False):
            self.require(arguments[1])

    def require(self, place: Any) -> None:
        """ForbiddenAddress unless `place`, what a socket is connected to, is allowed."""
        self._here.refusal = ""
        if not self._allows(place):
            where = place[0] if isinstance(place, tuple) else "of that socket"
            self._here.refusal = f"the source leads to the address {where}, which is not public and not allowed"
            raise ForbiddenAddress(errno.EACCES, self._here.refusal)

    def _allows(self, place: Any) -> bool:
        if not isinstance(place, tuple):
            return False
        try:
            address = parse_address(str(place[0]))
        except ValueError:
            return False
        return is_public(address) or within(address, self._networks) or self._is_trusted(address)

    def _is_trusted(self, address: Address) -> bool:
        return may_be_the_operators(address) and any(address in _addresses(host) for host in self._trusted)


def _addresses(host: str) -> set[Address]:
    try:
        return {parse_address(str(found[4][0])) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return set()
