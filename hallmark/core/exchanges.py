"""`exchanges.jsonl` of a run's folder: what was sent and answered where a check did not pass, one exchange a line.

The record of the check holds the digests of its lines, so that the chain of records stands for them, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hallmark.core.chain import line_digest
from hallmark.core.errors import InfrastructureError
from hallmark.core.files import object_in
from hallmark.core.redact import redacted

EXCHANGES_FILE = "exchanges.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptExchange:
    """One line of the file."""

    place: int
    """In the file, from 1."""
    digest: str
    content: Mapping[str, Any]
    """Keys: check, about, request, answer; empty where it is no JSON object."""

    @property
    def check(self) -> str:
        return str(self.content.get("check", ""))

    @property
    def where(self) -> str:
        return f"{EXCHANGES_FILE} row {self.place}"

    @property
    def rule(self) -> Mapping[str, Any]:
        """What its answer breaks, where that follows from the answer alone."""
        rule = self.content.get("rule")
        return rule if isinstance(rule, dict) else {}


def lines_of(check: str, exchanges: Iterable[Mapping[str, Any]], redact: Callable[[str], str]) -> list[str]:
    """The lines of a check's exchanges, redacted."""
    rows = ({"check": check, **redacted(one, redact)} for one in exchanges)
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    # What a server sent may hold half a character, which no file of UTF-8 takes.
    return [line.encode("utf-8", "replace").decode() for line in lines]


def digest_of(line: str) -> str:
    return line_digest(line.encode())


def append_exchanges(folder: Path, lines: Iterable[str]) -> None:
    """Add them to the folder's file, and wait until the disk has them; InfrastructureError where it does not take them.

    The part of a line that a kill or a full disk left there is taken away.
    """
    path = folder / EXCHANGES_FILE
    try:
        with path.open("a+b") as file:
            file.seek(0)
            before = file.read()
            if not before.endswith(b"\n"):
                file.truncate(before.rfind(b"\n") + 1)
            file.writelines(f"{line}\n".encode() for line in lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise InfrastructureError(f"cannot be written: {exc.strerror}", where=str(path), hint="free some space") from exc


def read_exchanges(folder: Path) -> Iterator[KeptExchange]:
    """Every whole line of the folder's file; none where there is no file."""
    path = folder / EXCHANGES_FILE
    whole = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    for place, line in enumerate(whole, start=1):
        yield KeptExchange(place=place, digest=line_digest(line), content=object_in(line))
