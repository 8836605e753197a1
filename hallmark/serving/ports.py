"""The TCP port that a server of ours listens on: one that nothing else takes between the choice and the start."""

from __future__ import annotations

import errno
import random
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

from hallmark.core.errors import LaunchError

_POLL_S = 0.1
_TRIES = 64
_HIGHEST = 65_535
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""From which ports the kernel takes those of outgoing connections: "32768 60999"; not every kernel has the file."""
_COMMON = 10_000
"""Below it are the ports that services are known by (8000, 9090): free now, and soon in use."""


def free_port(host: str) -> int:
    """A free port of `host`. OSError or ValueError where `host` is no address of this machine.

    A server may take a minute until it listens. By then any client on this machine could have been given the port for a
    connection of its own, if it were one of those that the kernel gives away; so it is one from outside of them.
    """
    with socket.socket() as probe:
        probe.bind((host, 0))
        given_away = int(probe.getsockname()[1])
    outside = _kept_ports()
    for port in random.sample(outside, min(_TRIES, len(outside))):
        if _is_free(host, port):
            return port
    return given_away


def _kept_ports() -> range:
    """The larger of the two ranges of ports that are not for outgoing connections; empty where that is not known."""
    try:
        first, last = map(int, _OUTGOING.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return range(0)
    return max(range(_COMMON, first), range(last + 1, _HIGHEST + 1), key=len)


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def require_free_port(base_url: str) -> None:
    """LaunchError when something listens there already: what answered would not be our server."""
    address = urlsplit(base_url)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.hostname or "127.0.0.1", address.port or 80))
        except (OSError, ValueError) as exc:
            in_use = isinstance(exc, OSError) and exc.errno == errno.EADDRINUSE
            why = (
                f"port {address.port} is in use"
                if in_use
                else f"the address cannot be used: {getattr(exc, 'strerror', '') or exc}"
            )
            raise LaunchError(why, where=base_url, hint="choose another with --port, or stop what listens there") from exc


def require_released_port(base_url: str, *, within_s: float = 2.0) -> None:
    """LaunchError when something still listens where a server of ours was stopped: it left a process behind."""
    address = urlsplit(base_url)
    deadline = time.monotonic() + within_s
    while _listens(address.hostname or "127.0.0.1", address.port or 80):
        if time.monotonic() > deadline:
            raise LaunchError("something still listens after the server was stopped", where=base_url, hint="end it by hand")
        time.sleep(_POLL_S)


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
