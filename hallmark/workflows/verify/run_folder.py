"""A run's folder as it lies there: what can be read of it is read once, and what cannot says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hallmark.core.chain import CHAIN, line_digest
from hallmark.core.errors import HallmarkError
from hallmark.core.file_digests import FileDigest
from hallmark.core.files import object_in
from hallmark.core.own_code import code_digest
from hallmark.core.records import MANIFEST_FILE, RECORDS_FILE, Manifest, read_manifest
from hallmark.specs.cell import Cell
from hallmark.workflows.verify.recorded_cell import recorded_cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One whole line of records.jsonl, or of another chain."""

    place: int
    """In the file, from 1."""
    digest: str
    content: Mapping[str, Any]
    """Empty where it is no JSON object."""
    file: str = RECORDS_FILE

    @property
    def name(self) -> str:
        """What it is about: a check, a mark of the chain, or an event with its cell."""
        told = self.content.get("check") or self.content.get(CHAIN)
        if not told and (event := self.content.get("event")):
            about = self.content.get("cell") or self.content.get("node")
            told = f"{event}: {about}" if about else event
        return str(told) if told else "no record"

    @property
    def number(self) -> int:
        """Its number as it says it; 0 where it says none."""
        number = self.content.get("number")
        return number if isinstance(number, int) and not isinstance(number, bool) else 0

    def __str__(self) -> str:
        return f"{self.file} line {self.place} ({self.name})"


class RunFolder:
    """The folder, and what was found in it so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digests: dict[str, tuple[FileDigest, list[bytes]]] = {}

    @cached_property
    def manifest(self) -> Manifest | None:
        """None where it is missing or none."""
        try:
            return read_manifest(self.path / MANIFEST_FILE)
        except HallmarkError:
            return None

    @cached_property
    def cell(self) -> Cell | None:
        """The cell of the spec that the manifest holds; None where it holds none, such as one that a secret was taken out of."""
        return recorded_cell(self.manifest) if self.manifest else None

    @cached_property
    def _content(self) -> bytes:
        path = self.path / RECORDS_FILE
        return path.read_bytes() if path.is_file() else b""

    @cached_property
    def lines(self) -> list[Line]:
        """The whole lines of records.jsonl."""
        return lines_of(self._content)

    @property
    def cut_line(self) -> bool:
        """Whether a part of a line stands behind them, as a kill leaves it."""
        return bool(self._content) and not self._content.endswith(b"\n")

    def all(self, mark: str) -> list[Line]:
        """The lines that are that mark of the chain."""
        return [line for line in self.lines if line.content.get(CHAIN) == mark]

    def last(self, mark: str) -> Line | None:
        """The last line that is that mark of the chain; of a run that was gone on with, what ended it before is no end."""
        resumed = self.all("resumed")
        first = resumed[-1].place if resumed and mark in ("ends", "reported") else 0
        return next((line for line in reversed(self.all(mark)) if line.place > first), None)

    def stated(self, mark: str, key: str) -> dict[str, Any]:
        """What the last line of that mark says under `key`; nothing where there is none."""
        line = self.last(mark)
        told = line.content.get(key) if line else None
        return told if isinstance(told, dict) else {}

    @cached_property
    def ended(self) -> bool:
        """Whether the run itself came to its end: behind the last record stands what lay in the folder."""
        ends, records = self.last("ends"), [line for line in self.lines if CHAIN not in line.content]
        return ends is not None and all(line.place < ends.place for line in records)

    @property
    def same_judge(self) -> bool:
        """Whether this hallmark judges by the code that judged the run."""
        begins = self.last("begins")
        return begins is not None and begins.content.get("code") == code_digest()

    def digest(self, path: str) -> tuple[FileDigest, list[bytes]]:
        """What stands for a file now, and for each of its rows."""
        if path not in self._digests:
            self._digests[path] = FileDigest.of_file(self.path / path)
        return self._digests[path]


def lines_of(content: bytes, *, file: str = RECORDS_FILE) -> list[Line]:
    """The whole lines of a chain; the part of one behind them is left out."""
    whole = content.split(b"\n")[:-1]
    return [
        Line(place=place, digest=line_digest(line), content=object_in(line), file=file)
        for place, line in enumerate(whole, start=1)
    ]
