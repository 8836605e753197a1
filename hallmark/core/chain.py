"""Lines that cannot be changed, dropped or moved without a trace: each holds its number and the digest of the line before it.

`records.jsonl` is such a chain. Its first line (`begins`) says what was demanded before anything was measured: the digest of
the manifest. When the run ends, a line (`ends`) says what lies in the folder (`file_digests.py`), and each time that a report is
made from all this one more (`reported`) holds the digests of its files. A run that broke off and is gone on with has a line for
that (`resumed`), behind which the same marks may stand again. One process writes the chain: in a run of xdist the
controller, to which the workers' records come. A line is on the disk when `append` returns, so that a run which is killed leaves
whole lines and at most a part of one more.

The digest of the line `ends` stands for all that was measured. Who signs that signs everything but how it was rendered.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from hallmark.core.errors import InfrastructureError

FORMAT = 1
CHAIN = "chain"
"""First key of the lines that are no records, so that who reads records alone leaves them out."""
Mark = Literal["begins", "resumed", "ends", "reported"]
_MARK = b'{"chain"'


def line_digest(line: bytes) -> str:
    """The digest of a line, without its end, as the next line states it: SHA-256, hexadecimal."""
    return hashlib.sha256(line).hexdigest()


def is_record(line: bytes) -> bool:
    """Whether a line is a record, and not a mark of the chain."""
    return not line.startswith(_MARK)


def marks_in(path: Path, *only: Mark) -> list[dict[str, Any]]:
    """The whole lines of a file that are marks, of those kinds alone where some are named, in their order; one that is no JSON is
    left out.
    """
    found = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        if not is_record(line):
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
    return [one for one in found if not only or one.get(CHAIN) in only]


def last_mark(path: Path, mark: Mark) -> tuple[str, dict[str, Any]]:
    """(digest, content) of the last whole line of that kind; nothing of either where there is none."""
    for line in reversed(path.read_bytes().split(b"\n")[:-1]):
        if not is_record(line):
            with contextlib.suppress(ValueError):
                if (content := json.loads(line)).get(CHAIN) == mark:
                    return line_digest(line), content
    return "", {}


class ChainWriter:
    """Appends lines to one new file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: tuple[int, str] | None = (0, "")
        """Number and digest of the last line; None while one is written, and behind one that a signal broke off."""

    @classmethod
    def resumed(cls, path: Path) -> ChainWriter:
        """One that goes on behind the last whole line of a chain; the part of a line that a kill left behind it is taken away.

        InfrastructureError where that is no line of a chain.
        """
        writer = cls(path)
        writer._last = _last_line(path)
        return writer

    def mark(self, mark: Mark, content: Mapping[str, Any]) -> None:
        """Append a line that is no record."""
        self.append({CHAIN: mark, **content})

    def append(self, content: Mapping[str, Any]) -> None:
        """Append one line of plain JSON data; InfrastructureError where the disk does not take it, and then nothing of it stays.

        ValueError for NaN: absence needs a reason.
        """
        number, previous = self._last or self._found()
        linked = {**content, "number": number + 1, "previous": previous}
        line = json.dumps(linked, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        self._last = None
        try:
            _write(self.path, line + b"\n")
        except OSError as exc:
            raise InfrastructureError(
                f"cannot write a record: {exc.strerror}", where=str(self.path), hint="free some space or choose --artifacts"
            ) from exc
        self._last = number + 1, line_digest(line)

    def _found(self) -> tuple[int, str]:
        """Number and digest of the last line that is in the file: only that tells whether what a signal broke off was written."""
        content = self.path.read_bytes() if self.path.exists() else b""
        if b"\n" in content:
            return _last_line(self.path)
        if content:
            os.truncate(self.path, 0)
        return 0, ""


def _last_line(path: Path) -> tuple[int, str]:
    """Number and digest of the last whole line; the part of one behind it is taken away."""
    try:
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        last = whole.splitlines()[-1]
        found = int(json.loads(last)["number"]), line_digest(last)
        if len(whole) < len(content):
            os.truncate(path, len(whole))
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise InfrastructureError(f"does not end with a line of a chain: {exc}", where=str(path)) from exc
    return found


def _write(path: Path, line: bytes) -> None:
    """Append the line and wait until the disk has it; half of one is taken back."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    before = os.fstat(file).st_size
    try:
        left = memoryview(line)
        while left:
            left = left[os.write(file, left) :]
        os.fsync(file)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file, before)
        raise
    finally:
        os.close(file)
