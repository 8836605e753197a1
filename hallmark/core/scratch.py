"""Files for the time being: where this machine keeps such, and one line that tells where it can keep none."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hallmark.core.errors import InfrastructureError

HINT = "free some space there, or name another folder with TMPDIR"


def temporary_folder() -> Path:
    """Where temporary files go; InfrastructureError where no place of this machine takes any."""
    try:
        return Path(tempfile.gettempdir())
    except OSError as exc:  # Python has tried to write a file in each of them
        raise InfrastructureError(f"cannot keep temporary files: {exc.strerror}", hint=HINT) from exc


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is gone afterwards; InfrastructureError where none can be made."""
    where = temporary_folder()
    try:
        folder = tempfile.TemporaryDirectory(prefix="hallmark-", dir=where)
    except OSError as exc:
        raise InfrastructureError(f"cannot keep temporary files: {exc.strerror}", where=str(where), hint=HINT) from exc
    with folder as name:
        yield Path(name)
