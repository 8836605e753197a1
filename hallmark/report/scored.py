"""Which piece of an eval's evidence is its score. Pure."""

from __future__ import annotations

from hallmark.core.records import Evidence
from hallmark.core.wording import is_number
from hallmark.report.document import Row


def score_of(row: Row) -> Evidence | None:
    """The score of an eval; None where none was measured."""
    return next((item for item in row.evidence if _is_score(item)), None)


def _is_score(evidence: Evidence) -> bool:
    return {"few_shot", "items_of_task"} <= evidence.detail.keys() and is_number(evidence.value)
