"""What a run measured, in short: its scores, and of a few perf points the throughput and the time to the first token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hallmark.core.errors import HallmarkError
from hallmark.core.records import MANIFEST_FILE, RECORDS_FILE, Evidence, read_manifest, read_records
from hallmark.core.wording import is_number
from hallmark.fleet.result.document import Figures, Speed
from hallmark.report.build import build
from hallmark.report.document import Report, Row
from hallmark.report.scored import score_of
from hallmark.specs.model import Metric

_SHOWN = (Metric.TOKENS.value, Metric.TTFT_MEAN.value, "ttft_p90_ms")
_MOST_SHOWN = 2
_MOST_POINTS = 3
_MOST_CAUSES = 3


def figures_of(run: Path) -> tuple[Figures, str]:
    """(figures, the last day on which the run counts) of a run's folder, from its manifest and its records alone."""
    try:
        report = build(read_manifest(run / MANIFEST_FILE), read_records(run / RECORDS_FILE))
    except (HallmarkError, OSError) as exc:
        return Figures(absent=str(exc)), ""
    causes = report.decision.causes[:_MOST_CAUSES]
    return Figures(scores=tuple(_scores(report)), speeds=tuple(_speeds(report)), causes=causes), report.valid_until


def _scores(report: Report) -> Iterator[tuple[str, Evidence]]:
    for row in report.of_kind("evals"):
        if score := score_of(row):
            yield row.check.removeprefix("evals."), _short(score)


def _speeds(report: Report) -> Iterator[Speed]:
    """Of the points that were measured the first and the last ones: a spec names them from the least load to the most."""
    rows = [row for row in report.of_kind("perf") if row.measured]
    shown = rows if len(rows) <= _MOST_POINTS else [*rows[: _MOST_POINTS - 1], rows[-1]]
    for row in shown:
        if figures := tuple(_measured(row)):
            yield Speed(point=row.check.removeprefix("perf."), figures=figures)


def _measured(row: Row) -> Iterator[Evidence]:
    found = {item.name: item for item in row.evidence if is_number(item.value)}
    yield from [_short(found[name]) for name in _SHOWN if name in found][:_MOST_SHOWN]


def _short(evidence: Evidence) -> Evidence:
    return replace(evidence, detail={}, reason="")
