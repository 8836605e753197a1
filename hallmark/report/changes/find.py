"""Two finished runs -> what changed from one to the other."""

from __future__ import annotations

from hallmark.report.changes.document import Changes
from hallmark.report.changes.facts import arguments_section, code_section, environment_section, spec_section
from hallmark.report.changes.kept_run import KeptRun
from hallmark.report.changes.scores import scores_section
from hallmark.report.changes.speeds import MARGIN, speeds_section
from hallmark.report.changes.verdicts import outcome_section, verdicts_section


def changes_between(before: KeptRun, after: KeptRun, *, letters: str = "AB", margin: float = MARGIN) -> Changes:
    """Everything that is not the same in both; `letters` are their names. A speed must change by more than `margin` to count."""
    return Changes(
        before=before.side(letters[0]),
        after=after.side(letters[1]),
        sections=(
            outcome_section(before.report, after.report),
            verdicts_section(before.report, after.report),
            scores_section(before, after),
            speeds_section(before.report, after.report, margin=margin),
            arguments_section(before, after),
            environment_section(before, after),
            spec_section(before, after),
            code_section(before, after),
        ),
    )
