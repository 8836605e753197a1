"""Comparison -> one self-contained page, in the style of a release report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.core.wording import number
from hallmark.perf.comparison import Comparison
from hallmark.report import plots
from hallmark.report.render_html import SYMBOLS, template

_TONES: Mapping[Verdict, str] = {Verdict.PASS: "good", Verdict.FAIL: "bad"}


def render_comparison(comparison: Comparison) -> str:
    drawn = [one for one in comparison.metrics if plots.difference(one) is not None]
    axis = plots.axis_of_differences(drawn)
    return template("comparison.html.j2").render(
        comparison=comparison,
        tone=_TONES.get(comparison.verdict, "open"),
        symbol=SYMBOLS[comparison.verdict],
        rows=[_row(comparison, one, axis) for one in comparison.metrics],
        margins=[f"{100 * margin:g} %" for margin in next((one.needed for one in comparison.resolutions), {})],
        runs=list(_runs(comparison)),
    )


def _row(comparison: Comparison, evidence: Evidence, axis: plots.Axis) -> dict[str, object]:
    means = [comparison.mean(letter, evidence.name) for letter in ("A", "B")]
    shown = plots.difference(evidence) is not None
    return {
        "evidence": evidence,
        "means": ["-" if mean is None else number(mean) for mean in means],
        "plot": plots.difference_plot(evidence, axis=axis) if shown else Markup(),
    }


def _runs(comparison: Comparison) -> Sequence[tuple[str, str, list[str], str]]:
    """(place, server, value of each metric, what the machine did)"""
    metrics = comparison.bounds.metrics
    return [
        (
            str(place),
            run.server,
            [number(run.values[metric]) if metric in run.values else "-" for metric in metrics],
            run.load.line,
        )
        for place, run in enumerate(comparison.runs, start=1)
    ]
