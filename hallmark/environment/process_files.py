"""What processes of this machine have open or mapped, as /proc shows it: the files that a server reads, and its libraries."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hallmark.core import keeper
from hallmark.environment.load import tree_of

_PROC = Path("/proc")
_MAPPED = re.compile(r"^\S+ \S+ \S+ \S+ \S+ +(/.*?)(?: \(deleted\))?$", re.MULTILINE)
_PACKAGES = re.compile(r"(/.*?/(?:site|dist)-packages)/")
_SERVICE, _FIRST_WORDS = re.compile(rb"hallmark_services\.\w+$"), 3
"""A service is started as `PYTHON -m NAME`."""
_LIBRARY = re.compile(r"\.so(?:\.[\d.]+)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFiles:
    """What was seen of one server's processes at one moment."""

    processes: int = 0
    """How many of them could be looked at."""
    paths: frozenset[str] = frozenset()
    """Files that were open or mapped."""

    def among(self, files: Collection[Path]) -> int:
        """How many of `files` (links followed) were seen."""
        return len(self.paths & {str(path) for path in files})

    @property
    def libraries(self) -> dict[str, str]:
        """Path -> the folder of packages that it lies in, of each shared library of a Python package."""
        found = ((path, _PACKAGES.match(path)) for path in sorted(self.paths) if _LIBRARY.search(path))
        return {path: folder[1] for path, folder in found if folder}

    def elsewhere(self, package_folders: Iterable[str]) -> list[str]:
        """The libraries of packages that lie in none of the folders from which the certified interpreter takes packages.

        A folder within one of those is none: that of a virtual environment's base lies in the base's standard library.
        """
        known = {str(Path(folder).resolve()) for folder in package_folders} | set(package_folders)
        return [path for path, folder in self.libraries.items() if folder not in known]


def open_files(roots: Iterable[int]) -> OpenFiles:
    """What the processes `roots` and their children have open now; nothing of those that are another user's."""
    seen: set[str] = set()
    looked_at = 0
    for pid in tree_of(roots):
        with contextlib.suppress(OSError):
            folder = _PROC / str(pid)
            if _is_ours((folder / "cmdline").read_bytes()):
                continue
            seen |= set(_MAPPED.findall((folder / "maps").read_text(encoding="utf-8", errors="replace")))
            seen |= set(_descriptors(folder / "fd"))
            looked_at += 1
    return OpenFiles(processes=looked_at, paths=frozenset(seen))


def _is_ours(command: bytes) -> bool:
    """Whether it is the keeper, or a service such as the gateway of hallmark's image: those run in environments of their own."""
    words = command.split(b"\0")
    return keeper.__file__.encode() in words or any(_SERVICE.match(word) for word in words[:_FIRST_WORDS])


def _descriptors(folder: Path) -> Iterator[str]:
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):  # closed since it was listed
            path = str(entry.readlink())
            if path.startswith("/"):
                yield path.removesuffix(" (deleted)")
