"""What the items of the evals that were not accepted show. Reads the samples of one run's folder, as far as they can be read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hallmark.core.errors import HallmarkError
from hallmark.evals.between_runs import SAMPLES_ENDING
from hallmark.evals.failed_items import FailedItems, failed_items
from hallmark.evals.reference import KEPT, Reference, read_reference
from hallmark.report.document import Row
from hallmark.report.scored import score_of

MOST = 20


def wrong_items(folder: Path, rows: Iterable[Row]) -> dict[str, FailedItems]:
    """By check, of each eval whose score is not accepted."""
    red = [(row, score) for row in rows if row.kind == "evals" and not row.verdict.accepted and (score := score_of(row))]
    reference = _reference(folder / KEPT) if red else None
    found: dict[str, FailedItems] = {}
    for row, score in red:
        name = row.check.removeprefix("evals.")
        one = reference.evals.get(name) if reference else None
        items = failed_items(folder / "evals" / f"{name}{SAMPLES_ENDING}", score.name, reference=one, most=MOST)
        if items:
            found[row.check] = items
    return found


def _reference(path: Path) -> Reference | None:
    try:
        return read_reference(path) if path.is_file() else None
    except HallmarkError:
        return None
