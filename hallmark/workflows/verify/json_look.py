"""Names that stand twice in one object of JSON: who reads such a file may see either value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hallmark.core.file_digests import files_below
from hallmark.core.records import RECORDS_FILE
from hallmark.core.strict_json import DoubledName, read_strictly
from hallmark.workflows.verify.finding import Finding, altered, not_derived
from hallmark.workflows.verify.run_folder import RunFolder

_MOST_BYTES = 64 * 1024 * 1024
"""Of a file that is read as one value."""


def look_at_json(run: RunFolder) -> Iterator[Finding]:
    """Every file of JSON, and every row of those that have one a line."""
    for path in files_below(run.path):
        if path.endswith(".jsonl"):
            yield from _of_rows(run.path / path, path)
        elif path.endswith(".json"):
            if (run.path / path).stat().st_size > _MOST_BYTES:
                yield not_derived(path, "was not looked through for names that stand twice: it is too large")
            else:
                yield from _of_text((run.path / path).read_bytes(), path)


def _of_rows(file: Path, path: str) -> Iterator[Finding]:
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.endswith(b"\n"):  # what a kill cut short is the chain's to tell
                yield from _of_text(line, f"{path} row {number}")


def _of_text(text: bytes, where: str) -> Iterator[Finding]:
    try:
        read_strictly(text.decode("utf-8", "replace"))
    except DoubledName as exc:
        yield altered(where, f"has the name '{exc}' twice in one object")
    except (ValueError, RecursionError) as exc:
        if not where.startswith(RECORDS_FILE):  # of whose lines the chain tells that
            yield altered(where, f"is no JSON: {exc}")
