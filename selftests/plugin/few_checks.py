"""Loaded by `-p` into the whole commands that are not about the checks of a server: these have a few of them, the others all.

What is left out is neither demanded nor collected. So a check that is new costs nothing in two hundred commands.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hallmark.specs.suites import DeclaredCheck, Suite

KEPT = frozenset(f"test_{name}.py" for name in ("auth", "bad_requests", "identity", "lora", "runtime", "stop"))
"""The files of `tests/server` whose checks such a command carries out, where its spec demands them."""


def is_kept(path: Path) -> bool:
    return path.parent.name != "server" or path.suffix != ".py" or path.name in KEPT


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return None if is_kept(collection_path) else True


@cache
def _few(suite: Suite) -> tuple[DeclaredCheck, ...]:
    return tuple(check for check in _every(suite) if is_kept(Path(check.file)))


def _files(suite: Suite) -> tuple[Path, ...]:
    return tuple(path for path in sorted(suite.folder.rglob("test_*.py")) if is_kept(path))


_every = Suite.checks.fget  # type: ignore[attr-defined]
Suite.checks = property(_few)  # type: ignore[assignment,method-assign]
Suite.files = property(_files)  # type: ignore[assignment,method-assign]
