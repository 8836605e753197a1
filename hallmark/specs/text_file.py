"""Files that may be specs, read so that none can hang or flood the reader: regular files of a few pages, in UTF-8."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hallmark.core.errors import SpecError, UsageError

LARGEST_BYTES = 2_000_000
LARGEST_NUMBER = 2**63 - 1
"""Whatever counts something fits; YAML and JSON would take numbers of any length."""
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_text(path: Path) -> str:
    """The text of a file that may be a spec; SpecError where it cannot be one."""
    try:
        _require_regular(path.stat().st_mode, path)  # before it is opened, which some devices would not survive
        # Another file may stand there by now, and opening a FIFO waits for its writer.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:  # noqa: PTH123 - of a descriptor
            _require_regular(os.fstat(stream.fileno()).st_mode, path)
            content = stream.read(LARGEST_BYTES + 1)
    except OSError as exc:
        raise SpecError(f"cannot be read: {exc.strerror}", where=str(path), hint="check the path and its permissions") from exc
    if len(content) > LARGEST_BYTES:
        raise SpecError(f"larger than {LARGEST_BYTES:,} bytes", where=str(path), hint="a spec is a few pages of text")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise SpecError("is not UTF-8 text", where=str(path), hint="save it as UTF-8") from exc


def _require_regular(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise SpecError(f"cannot be read: it is {kind}, not a file", where=str(path), hint="name a regular file, or take it away")


def listed(folder: Path) -> list[Path]:
    """What stands in a folder of specs, sorted by name; UsageError where it is none, or cannot be looked into."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise UsageError("is not a folder", where=f"--spec-dir {folder}", hint="name a folder of specs") from exc
    except OSError as exc:
        hint = "check the path and its permissions"
        raise UsageError(f"cannot be listed: {exc.strerror}", where=f"--spec-dir {folder}", hint=hint) from exc


def unfit(value: object) -> str:
    """Why a text or a number cannot be part of a spec; empty where it can."""
    if isinstance(value, str):
        if "\0" in value:
            return "a text that holds a NUL"
        return "" if value.isascii() or _is_text(value) else "a text that is half a character"
    if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        return "a number beyond sense"
    return ""


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
