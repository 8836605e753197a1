"""Report -> Markdown, for a pull request or a release page. What a model wrote stays text there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from hallmark.core.records import Evidence
from hallmark.core.wording import (
    duration,
    interval_text,
    limit_text,
    one_line,
    origin_text,
    share_text,
    value_text,
    when,
)
from hallmark.report.document import Attachment, Report, Row
from hallmark.report.layout import KIND_TITLES, facts_of, manifest_line, plan_of, policy_line, tally, waiver_lines

_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_MARKS = re.compile(r"([\\`*\[\]|~])")
_LONGEST_VALUE = 160


def render_markdown(report: Report) -> str:
    blocks = [
        f"# {_text(report.model)} on {_text(report.device)}: {report.decision.title}",
        _decision(report),
        _waivers(report),
        _table(("Fact", "Value"), _header(report)),
        *_kinds(report),
        _manifest(report),
        *_environment(report.environment),
        *_launch_plan(report.launch_plan),
        f"Rendered by hallmark {_text(report.hallmark_version)}.",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _text(value: str, *, limit: int = 1000) -> str:
    return _MARKS.sub(r"\\\1", one_line(value, limit=limit).translate(_HTML))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are escaped already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _decision(report: Report) -> str:
    verdict = f"**{report.decision.title}** (exit code {report.decision.exit_code}). {_text(report.decision.headline)}"
    causes = "\n".join(f"- {_text(cause)}" for cause in report.decision.causes)
    return f"{verdict}\n\n{causes}" if causes else verdict


def _waivers(report: Report) -> str:
    counted, *each = waiver_lines(report) or [""]
    return "\n".join([_text(counted), "", *(f"- {_text(line)}" for line in each)]) if counted else ""


def _header(report: Report) -> list[tuple[str, str]]:
    return [
        ("Cell", _text(report.cell)),
        ("Implementation", _text(report.impl)),
        ("Workflow", _text(report.workflow)),
        ("Started", _text(when(report.started_at))),
        ("Finished", _text(when(report.finished_at))),
        ("Duration", duration(report.duration_s)),
        ("Demanded checks measured", f"{report.demanded - len(report.missing)} of {report.demanded}"),
        *((("Machine", _text(report.load.line)),) if report.load.line else ()),
        ("Samples", f"{report.samples:,}"),
        ("Verdicts", tally(report)),
        *(("Narrowed", _text(reason)) for reason in report.partial),
        *(("Spec", _text(note)) for note in report.notes),
    ]


def _kinds(report: Report) -> Iterator[str]:
    for kind, title in KIND_TITLES.items():
        rows = [cells for row in report.of_kind(kind) for cells in _cells(row)]
        if rows:
            head = ("Verdict", "Check", "Measured", "Value", "Target", "n", "Reason")
            yield f"## {title}\n\n" + _table(head, rows)


def _cells(row: Row) -> Iterator[tuple[str, ...]]:
    """A line for each piece of evidence; the check itself is named on the first."""
    verdict = f"**{row.verdict}**" + (" (not measured)" if row.missing else "")
    first = (verdict, _text(row.check) + ("" if row.demanded else " (not on the manifest)"))
    evidence = [_evidence_cells(item) for item in row.evidence] or [("", "", "", "")]
    for place, cells in enumerate(evidence):
        yield (*first, *cells, _text(row.reason)) if place == 0 else ("", "", *cells, "")


def _evidence_cells(item: Evidence) -> tuple[str, str, str, str]:
    measured = " ".join(filter(None, (_text(value_text(item), limit=_LONGEST_VALUE), _text(interval_text(item)))))
    value = ", ".join(filter(None, (measured, _text(share_text(item)))))
    origin = _text(origin_text(item.target)) if item.target else ""
    target = _text(limit_text(item), limit=_LONGEST_VALUE) + (f" ({origin})" if origin else "")
    return _text(item.name), value, target, f"{item.n:,}"


def _manifest(report: Report) -> str:
    missing = "\n".join(f"- {_text(check)}" for check in report.missing)
    absent = "\n".join(f"- {_text(absence.check)}: {_text(absence.reason)}" for absence in report.not_offered)
    return "\n\n".join(
        [
            f"## Manifest\n\n{manifest_line(report)}",
            *([missing] if missing else []),
            *([_text(policy)] if (policy := policy_line(report)) else []),
            *([f"Not offered by this server, and demanded of nobody:\n\n{absent}"] if absent else []),
        ]
    )


def _environment(environment: Attachment) -> Iterator[str]:
    if environment.absent:
        yield f"## Runtime environment\n\n{_text(environment.absent)}"
        return
    facts = facts_of(environment.content)
    rows = [(_text(name), _text(value, limit=_LONGEST_VALUE)) for name, value in facts.key]
    folded = "".join(f"\n\n{_text(name)}: {len(listed)} entries, in report.json" for name, listed in facts.long)
    yield "## Runtime environment\n\n" + (_table(("Fact", "Value"), rows) if rows else "") + folded


def _launch_plan(plan: Attachment) -> Iterator[str]:
    if plan.absent:
        yield f"## Launch plan\n\n{_text(plan.absent)}"
        return
    shown = plan_of(plan.content)
    command = shown.command.replace("\n", " ")
    # Indented rather than fenced: a command that holds a fence cannot end the block.
    yield "## Launch plan" + (f"\n\n    {command}" if command else "")
    rows = [tuple(_text(cell, limit=_LONGEST_VALUE) for cell in value) for value in shown.values]
    if rows:
        yield _table(("Name", "Value", "Origin", "Overrode"), rows)
