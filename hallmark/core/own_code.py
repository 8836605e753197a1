"""Which code judges: a digest of it, so that whoever derives a verdict again knows whether by the same judge."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_JUDGES = ("core", "specs", "stats", "evals", "perf", "report")
"""What a verdict follows from, once something was measured."""


@cache
def code_digest(*besides: str) -> str:
    """SHA-256 of the sources of the packages that judge, and of those `besides`, by their names and in order."""
    return _digest((_PACKAGE, path) for name in (*_JUDGES, *besides) for path in (_PACKAGE / name).rglob("*.py"))


def tests_digest(suites: Iterable[Path]) -> str:
    """SHA-256 of what measures: the tests in those folders with the lists beside them, and the whole of hallmark below them."""
    folders = {_PACKAGE: ("*.py",)} | dict.fromkeys(suites, ("*.py", "*.txt"))
    return _digest((folder, path) for folder, names in folders.items() for name in names for path in folder.rglob(name))


def _digest(files: Iterable[tuple[Path, Path]]) -> str:
    """Of files, each with the folder below which its name counts."""
    whole = hashlib.sha256()
    for name, content in sorted(_told(files)):
        whole.update(f"{name}\0".encode() + content)
    return whole.hexdigest()


def _told(files: Iterable[tuple[Path, Path]]) -> Iterator[tuple[str, bytes]]:
    for folder, path in files:
        yield path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).digest()


@cache
def own_commit() -> str:
    """The commit of the checkout that hallmark runs from, whatever was changed in it since; empty where it is installed."""
    try:
        return commit_of(_PACKAGE.parent)
    except OSError:
        return ""


def commit_of(checkout: Path) -> str:
    """The commit that a checkout, or another work tree of one, has at its head; OSError where it is none.

    Read from git's own files: the program may not be there, and refuses the checkout of another user.
    """
    git = checkout / ".git"
    folder = git if git.is_dir() else checkout / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    head = (folder / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    shared = folder / "commondir"
    common = folder / shared.read_text(encoding="utf-8").strip() if shared.is_file() else folder
    if (common / name).is_file():
        return (common / name).read_text(encoding="utf-8").strip()
    packed = (line.split(" ") for line in (common / "packed-refs").read_text(encoding="utf-8").splitlines())
    return next((line[0] for line in packed if line[1:] == [name]), "")
