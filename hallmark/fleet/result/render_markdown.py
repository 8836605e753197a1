"""MatrixReport -> Markdown, for the summary of a job or a release page. What nodes and models wrote stays text there."""

from __future__ import annotations

from collections.abc import Iterator

from hallmark.core.wording import duration, value_text, when
from hallmark.fleet.result.document import CellResult, MatrixReport
from hallmark.fleet.result.layout import age, attempts_text, red, site_facts, speed_text, stories, tally, title_of
from hallmark.report.markdown import fold, table, text


def render_markdown(report: MatrixReport) -> str:
    return "\n\n".join(block for block in _blocks(report) if block) + "\n"


def _blocks(report: MatrixReport) -> Iterator[str]:
    decision = report.decision
    yield f"# {text(title_of(report))}: {decision.title}"
    yield f"**{text(decision.headline)}**"
    yield f"{text(tally(report))}; {when(report.began_at)} to {when(report.ended_at)}, exit code {decision.exit_code}."
    if cells := red(report):
        yield "## Not accepted\n\n" + table(("Cell", "Verdict", "Why", "Node", "Report"), map(_why, cells))
    yield "## Cells\n\n" + table(("Cell", "Verdict", "Measured", "Age then", "Node", "Report"), map(_row, report.cells))
    if told := list(stories(report)):
        yield "## Not as planned\n\n" + table(("What", "What happened"), map(_pair, told))
    yield fold("Where this comes from", table(("Fact", "Value"), map(_pair, site_facts(report))))
    yield f"Rendered by hallmark {text(report.hallmark_version)}."


def _why(cell: CellResult) -> tuple[str, ...]:
    why = "<br>".join(text(one, limit=300) for one in (cell.reason, *cell.figures.causes))
    return text(cell.cell), text(cell.title), why, _where(cell), _link(cell)


def _row(cell: CellResult) -> tuple[str, ...]:
    return text(cell.cell), text(cell.title), _measured(cell), text(age(cell)), _where(cell), _link(cell)


def _pair(named: tuple[str, str]) -> tuple[str, str]:
    return text(named[0]), text(named[1])


def _measured(cell: CellResult) -> str:
    scores = [f"{name} {value_text(score)}" for name, score in cell.figures.scores]
    speeds = [f"{speed.point}: {speed_text(speed)}" for speed in cell.figures.speeds]
    return "<br>".join(text(one) for one in (*scores, *speeds)) or text(cell.figures.absent, limit=120) or "-"


def _where(cell: CellResult) -> str:
    one = cell.counted
    told = [f"{one.node}, {duration(one.seconds)}" if one.seconds else one.node] if one else []
    return text(", ".join(filter(None, (*told, attempts_text(cell))))) or "-"


def _link(cell: CellResult) -> str:
    return f"[report](<{cell.counted.run}/report.html>)" if cell.counted and cell.counted.run_digest else "-"
