"""Which program of this machine listens on a port: what tells a server that runs here from the near end of a tunnel."""

from __future__ import annotations

import contextlib
from pathlib import Path

_LISTEN = "0A"
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def listening_program(port: int) -> Path | None:
    """The executable of the process that listens on `port`, links followed; None where that cannot be seen."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    for folder in Path("/proc").glob("[0-9]*") if sockets else ():
        with contextlib.suppress(OSError):
            if any(str(entry.readlink()) in sockets for entry in (folder / "fd").iterdir()):
                return (folder / "exe").readlink()
    return None


def _inodes(port: int) -> set[str]:
    """Of the sockets that listen on `port`."""
    found = set()
    for table in _TABLES:
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found
