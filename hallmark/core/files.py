"""Folders and files of a run: made once, written whole, errors that say what to do."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hallmark.core.errors import InfrastructureError, UsageError
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


def object_in(content: bytes | str) -> dict[str, Any]:
    """The JSON object that those are; empty where they are none. Whoever must tell the two apart reads for himself."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def object_at(path: Path) -> dict[str, Any]:
    """The JSON object in that file; empty where there is no such file, or none that can be read as one."""
    try:
        return object_in(path.read_bytes())
    except OSError:
        return {}


class Hold:
    """A folder that this process alone writes in, until it lets go or ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """UsageError where another process has it."""
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise UsageError("another process writes there still", where=str(folder), hint="wait for its end") from None
        except OSError:
            pass  # a file system without locks: nobody can tell

    def release(self) -> None:
        """Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def require_space(folder: Path) -> None:
    """InfrastructureError where there is too little for a run's files."""
    stats = os.statvfs(folder)
    if stats.f_bavail * stats.f_frsize < LEAST_FREE_BYTES:
        raise InfrastructureError(
            "less than 64 MiB are free for artifacts", where=str(folder), hint="free some space or choose --artifacts"
        )


def new_folder(parent: Path, name: str) -> Path:
    """A folder that did not exist before: `parent/name`, or `name-2`, `name-3` ... when it is taken."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        require_space(parent)
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


def only_folder(path: Path) -> Path:
    """The folder of exactly that name, made now; UsageError where it is there already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        require_space(path.parent)
        path.mkdir()
    except FileExistsError:
        raise UsageError("there already, and a run begins in a folder of its own", where=str(path)) from None
    except OSError as exc:
        raise InfrastructureError(f"cannot make the run's folder: {exc.strerror}", where=str(path)) from exc
    return path
