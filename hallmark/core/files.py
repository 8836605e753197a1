"""Folders and files of a run: made once, written whole, errors that say what to do."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hallmark.core.errors import InfrastructureError
from hallmark.core.redact import redacted

PARTIAL = ".partial"
"""Ending of a file that is being written; one that is left over is of a run that was killed."""
LEAST_FREE_BYTES = 64 * 1024 * 1024


def write_text(path: Path, text: str) -> None:
    """Write `text` so that a reader sees the old file or the new one, never half of it."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        # What a model says may hold half a surrogate pair; that is no reason to lose a report.
        partial.write_text(text, encoding="utf-8", errors="replace")
        partial.replace(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise InfrastructureError(
            f"cannot write: {exc.strerror}", where=str(path), hint="free some space or choose --artifacts"
        ) from exc


def write_json(path: Path, value: Any, *, redact: Callable[[str], str] = str) -> None:
    write_text(path, json.dumps(redacted(value, redact), indent=2, ensure_ascii=False) + "\n")


def write_rows(path: Path, rows: Iterable[Any]) -> None:
    """A JSON array with a line for each of `rows`, so that a line of the file is a row."""
    write_text(path, "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n")


def new_folder(parent: Path, name: str) -> Path:
    """A folder that did not exist before: `parent/name`, or `name-2`, `name-3` ... when it is taken."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        stats = os.statvfs(parent)
        if stats.f_bavail * stats.f_frsize < LEAST_FREE_BYTES:
            raise InfrastructureError(
                "less than 64 MiB are free for artifacts", where=str(parent), hint="free some space or choose --artifacts"
            )
        for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
            folder = parent / (name + suffix)
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    except OSError as exc:
        raise InfrastructureError(
            f"cannot make the artifacts folder: {exc.strerror}", where=str(parent), hint="choose another with --artifacts"
        ) from exc
    raise InfrastructureError("too many runs of one name", where=str(parent / name), hint="choose another --artifacts")
