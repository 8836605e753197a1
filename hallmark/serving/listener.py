"""Which processes of this machine listen on a port: what tells our server from a stranger, and from the near end of a tunnel."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hallmark.core.errors import LaunchError
from hallmark.core.process import KeptProcess

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LISTEN = "0A"
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_PROC = Path("/proc")
_SITE_PACKAGES = re.compile(r" (/\S*?)/lib(?:64)?/python[\d.]+/(?:site|dist)-packages/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A process that listens, as /proc shows it."""

    pid: int
    born: str
    """Clock ticks since boot; with the pid it names one process for ever."""
    program: Path
    """Its executable, links followed."""
    command: tuple[str, ...]
    """Its words; a process may have changed them."""

    @property
    def folder(self) -> Path | None:
        """The folder that it works in, from which its relative paths are seen; None where it cannot be seen."""
        with contextlib.suppress(OSError):
            return (_PROC / str(self.pid) / "cwd").readlink()
        return None

    def environ(self) -> dict[str, str] | None:
        """The variables that it was started with; None where they cannot be seen."""
        try:
            entries = (_PROC / str(self.pid) / "environ").read_bytes().decode("utf-8", "surrogateescape").split("\0")
        except OSError:
            return None
        return dict(entry.split("=", 1) for entry in entries if "=" in entry) or None

    def runs(self, python: Path) -> bool:
        """Whether it runs in the environment of the interpreter `python`.

        Two virtual environments may link to one executable: what parts them is the folder that it was started from, or
        that its packages lie in.
        """
        if self.program != python.resolve():
            return False
        folder = python.absolute().parent.resolve()
        if self.command and self.command[0].startswith("/"):
            return Path(self.command[0]).parent.resolve() == folder
        with contextlib.suppress(OSError):
            maps = (_PROC / str(self.pid) / "maps").read_text(encoding="utf-8", errors="replace")
            return {Path(found[1]).resolve() for found in _SITE_PACKAGES.finditer(maps)} == {folder.parent}
        return False


def listeners(port: int, *, host: str = "") -> tuple[Listener, ...]:
    """The processes that listen on `port` (at the IPv4 address `host`, or at every address); empty where they cannot be seen."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, host)}
    return tuple(_holders(sockets)) if sockets else ()


def listeners_at(url: str) -> tuple[Listener, ...]:
    """Those at a URL of this machine alone; empty for any other, and where they cannot be seen."""
    address = urlsplit(url)
    return listeners(address.port or 80) if address.hostname in LOOPBACK else ()


def is_this_machine(url: str) -> bool:
    """Whether the URL's host is an address of this machine: only such can be bound to."""
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(OSError):
        for family, _, _, _, address in socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM):
            with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind(address)
                return True
    return False


def strangers(port: int, *, host: str, keeper: int) -> tuple[Listener, ...]:
    """Those that take connections of `host`:`port` and descend not from the process `keeper`."""
    return tuple(found for found in listeners(port, host=host) if keeper not in _ancestors(found.pid))


def require_own_listener(base_url: str, process: KeptProcess) -> None:
    """LaunchError, and no process left, when others listen where `process` should: their answers would be taken for its own.

    The port was free, but a server takes seconds to bind it; and vLLM lets others of the same user bind it, too.
    """
    address = urlsplit(base_url)
    found = strangers(address.port or 80, host=address.hostname or "", keeper=process.keeper_pid)
    if found:
        process.stop()
        who = ", ".join(f"process {one.pid} ({one.program})" for one in found)
        raise LaunchError(f"somebody else listens there, too: {who}", where=base_url, hint="end it, or choose another --port")


def _holders(sockets: set[str]) -> Iterator[Listener]:
    for folder in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            if _has_one_of(folder / "fd", sockets):
                words = (folder / "cmdline").read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1]
                program = (folder / "exe").readlink()
                yield Listener(pid=int(folder.name), born=_stat(folder)[19], program=program, command=tuple(words))


def _has_one_of(descriptors: Path, sockets: set[str]) -> bool:
    for entry in descriptors.iterdir():
        with contextlib.suppress(OSError):  # closed since it was listed; the others still count
            if str(entry.readlink()) in sockets:
                return True
    return False


def _stat(folder: Path) -> list[str]:
    """The fields of `stat` after the name, which may hold anything: state, parent, ..."""
    return (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _ancestors(pid: int) -> Iterator[int]:
    """`pid`, its parent, and so on."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        while pid:
            yield pid
            pid = int(_stat(_PROC / str(pid))[1])


def _inodes(port: int, host: str) -> set[str]:
    """Of the sockets that listen on `port`, at `host` or at any address."""
    found = set()
    for table in _TABLES:
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                address, _, number = fields[1].rpartition(":")
                if fields[3] == _LISTEN and int(number, 16) == port and _takes(address, host):
                    found.add(fields[9])
    return found


def _takes(address: str, host: str) -> bool:
    """Whether a socket at `address`, as the kernel writes it, gets what is sent to `host`."""
    try:
        wanted = socket.inet_aton(host)[::-1].hex().upper()
    except OSError:
        return True  # not an IPv4 address: any may be meant
    return address.endswith(wanted) or not address.strip("0") or address == "0" * 16 + "FFFF0000" + "0" * 8
