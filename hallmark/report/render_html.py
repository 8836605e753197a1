"""Report -> one self-contained page: no network, nothing of a model's output that a browser would obey.

Its one script filters what is shown, and its policy names the digest of it, so that the browser runs no other.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from hallmark.core import wording
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.perf.series import PointSeries
from hallmark.report import plots
from hallmark.report.document import Report, Row
from hallmark.report.layout import TONES, facts_of, manifest_line, plan_of, policy_line, tally, waiver_lines
from hallmark.report.red_first import in_order
from hallmark.report.series_plots import Panel, over_time
from hallmark.report.spread_plots import Spread, spreads
from hallmark.report.trade_plot import trade_plot, traded

_TEMPLATES = Path(__file__).parent / "templates"
_LONGEST_VALUE = 140
_LONGEST_LIST = 6
_LONGEST_DETAIL = 20_000
_SHOWN_CAUSES = 10

SYMBOLS: Mapping[Verdict, str] = {
    Verdict.PASS: "✓",
    Verdict.CONDITIONAL: "~",
    Verdict.INCONCLUSIVE: "?",
    Verdict.VOID: "∅",
    Verdict.FAIL: "✕",
    Verdict.ERROR: "!",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One line of the accuracy plot: an eval and one of its scores or differences, or an eval without any."""

    row: Row
    evidence: Evidence | None
    plot: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One card of the performance plot: what must be exactly so, what is held against a limit, and what is only observed."""

    row: Row
    exact: tuple[Evidence, ...]
    held: tuple[Evidence, ...]
    observed: tuple[Evidence, ...]
    panels: Sequence[Panel] = ()
    spreads: Sequence[Spread] = ()


def render_html(report: Report) -> str:
    series = {f"perf.{one.point}": one for one in report.series}
    points = [_point(row, series.get(row.check)) for row in report.of_kind("perf")]
    trades = traded(report.of_kind("perf"), series)
    evals = report.of_kind("evals")
    axis = plots.axis_of(item for row in evals for item in row.evidence if plots.score(item) is not None)
    tone, symbol = TONES[report.decision.outcome]
    return template("report.html.j2").render(
        report=report,
        tone=tone,
        outcome_symbol=symbol,
        shown_causes=_SHOWN_CAUSES,
        order=in_order(report),
        red=sum(not row.verdict.accepted for row in report.rows),
        verdicts=[(verdict, count) for verdict in reversed(Verdict) if (count := report.counts.get(verdict.value, 0))],
        script=Markup(_script()),  # noqa: S704 - a file of ours, without anything of a run
        script_digest=_script_digest(),
        tally=tally(report),
        scores=_scores(evals, axis),
        differences=_differences(evals),
        axis=axis,
        points=points,
        trades=trades,
        trade_plot=trade_plot(trades) if len(trades) > 1 else Markup(),
        logs=[row for row in report.rows if row.log and row.verdict is not Verdict.PASS],
        facts=facts_of(report.environment.content),
        plan=plan_of(report.launch_plan.content),
        settings=facts_of(report.settings),
        manifest_line=manifest_line(report),
        waiver_lines=waiver_lines(report),
        policy_line=policy_line(report),
    )


def _scores(rows: Sequence[Row], axis: plots.Axis) -> list[Task]:
    """Every demanded eval has a line here or among the differences, also one that was not measured: a gap must be seen."""
    tasks: list[Task] = []
    for row in rows:
        scores = [item for item in row.evidence if plots.score(item) is not None]
        tasks.extend(Task(row=row, evidence=item, plot=plots.score_plot(item, axis=axis)) for item in scores)
        if not scores and not any(map(_difference_plot, row.evidence)):
            empty = plots.empty_plot(reason="not measured" if row.missing else "no score")
            tasks.append(Task(row=row, evidence=None, plot=empty))
    return tasks


def _differences(rows: Sequence[Row]) -> list[Task]:
    found = ((row, item, _difference_plot(item)) for row in rows for item in row.evidence)
    return [Task(row=row, evidence=item, plot=plot) for row, item, plot in found if plot]


def _difference_plot(evidence: Evidence) -> Markup:
    """Of a loss on a scale of its own, of another distance to the reference a bar; empty for what is neither."""
    if plots.difference(evidence) is not None:
        return plots.difference_plot(evidence)
    return plots.bar_plot(evidence) if plots.score(evidence) is None and plots.ratio(evidence) is not None else Markup()


def _point(row: Row, series: PointSeries | None) -> Point:
    exact = tuple(item for item in row.evidence if item.target and item.target.relation == "==")
    held = tuple(item for item in row.evidence if item not in exact and plots.ratio(item) is not None)
    observed = tuple(item for item in row.evidence if item not in exact and item not in held)
    panels, shown = (over_time(series), spreads(series, row.evidence)) if series else ((), ())
    return Point(row=row, exact=exact, held=held, observed=observed, panels=panels, spreads=shown)


@cache
def _script() -> str:
    return (_TEMPLATES / "filter.js").read_text(encoding="utf-8")


def _script_digest() -> str:
    """As a policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()}"


@cache
def template(name: str) -> Template:
    """A page of `templates/`, with the filters and macros that all of them use."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_cleaned,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(plots=plots, symbols=SYMBOLS, longest_value=_LONGEST_VALUE, longest_list=_LONGEST_LIST)
    environment.filters.update(
        one_line=wording.one_line,
        count="{:,}".format,
        plural=wording.plural,
        duration=wording.duration,
        when=wording.when,
        number=wording.number,
        value=wording.value_text,
        limit=wording.limit_text,
        asked=wording.asked_text,
        origin=wording.origin_text,
        interval=wording.interval_text,
        finding=wording.finding,
        held_first=_held_first,
        breakable=_breakable,
        anchor=_anchor,
        href=quote,
        shell=shlex.quote,
        folder_name=lambda folder: Path(folder).name,
        raw_of=_raw_of,
        detail=_detail,
        log=_end_of_log,
    )
    return environment.get_template(name)


def _cleaned(value: object) -> object:
    """Whatever the template prints; drawings are Markup and are clean already."""
    return wording.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _held_first(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Of more than is shown at once, what a verdict rests on stands in front."""
    return sorted(evidence, key=lambda item: item.target is None)


def _breakable(name: str) -> Markup:
    """A name that a narrow column breaks between its words, not within one."""
    return Markup("<wbr>").join(re.split(r"(?<=[_:,./])", wording.clean(name)))


def _anchor(check: str) -> str:
    """The id of a check's row, which an address can end with."""
    return re.sub(r"[^\w.-]+", "-", check)


def _raw_of(files: Sequence[str], row: Row) -> list[str]:
    """The raw files of an eval or a perf point: those that bear its name."""
    kind, _, name = row.check.partition(".")
    return [path for path in files if path.startswith(f"{kind}/{name}.")] if row.kind == kind else []


def _detail(detail: Mapping[str, Any]) -> str:
    """What a check noted beside a value, shortened to what a person would scroll through."""
    text = wording.clean(json.dumps(detail, indent=2, ensure_ascii=False, default=str))
    return text if len(text) <= _LONGEST_DETAIL else text[:_LONGEST_DETAIL] + "\n… the rest is in report.json"


def _end_of_log(text: str) -> str:
    """The end of a log is where the reason stands."""
    shown = wording.clean(text)
    return shown if len(shown) <= _LONGEST_DETAIL else "the rest is in report.json …\n" + shown[-_LONGEST_DETAIL:]
