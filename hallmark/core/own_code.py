"""Which code judges: a digest of it, so that whoever derives a verdict again knows whether by the same judge."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_JUDGES = ("core", "specs", "stats", "evals", "perf", "report")
"""What a verdict follows from, once something was measured."""


@cache
def code_digest() -> str:
    """SHA-256 of the sources of the packages that judge, by their names and in order."""
    whole = hashlib.sha256()
    for path in sorted(path for name in _JUDGES for path in (_PACKAGE / name).rglob("*.py")):
        whole.update(f"{path.relative_to(_PACKAGE).as_posix()}\0".encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()
