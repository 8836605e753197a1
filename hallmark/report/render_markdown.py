"""Report -> Markdown, for the summary of a job, a pull request or a release page. What a model wrote stays text there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hallmark.core.records import Evidence
from hallmark.core.wording import (
    interval_text,
    limit_text,
    origin_text,
    plural,
    share_text,
    value_text,
    when,
)
from hallmark.report.document import Attachment, Report, Row
from hallmark.report.layout import (
    KIND_TITLES,
    decisive,
    facts_of,
    lasted,
    manifest_line,
    plan_of,
    policy_line,
    tally,
    waiver_lines,
)
from hallmark.report.markdown import fold as _fold
from hallmark.report.markdown import table as _table
from hallmark.report.markdown import text as _text

_LONGEST_VALUE = 160


def render_markdown(report: Report) -> str:
    """What was decided, why, and what was measured; below that each check and all else, folded."""
    return _joined([*_front(report), *_folded(report), f"Rendered by hallmark {_text(report.hallmark_version)}."])


def render_front(report: Report) -> str:
    """The same without what is folded, for a page that takes no more."""
    return _joined(_front(report))


def _joined(blocks: Iterable[str]) -> str:
    return "\n\n".join(block for block in blocks if block) + "\n"


def _front(report: Report) -> Iterator[str]:
    yield f"# {_text(report.model)} on {_text(report.device)}: {report.decision.title}"
    yield _decision(report)
    yield "\n\n".join(f"This run was {_text(one.line)}." for one in report.breaks)
    yield _waivers(report)
    yield _table(("Fact", "Value"), _header(report))
    rows = [(_text(row.check), *_evidence_cells(item)) for row in report.rows if _is_shown(row) for item in decisive(row)]
    if rows:
        yield "## Measured\n\n" + _table(("Check", "Measured", "Value", "Target", "n"), rows)


def _is_shown(row: Row) -> bool:
    """What has a number that a reader looks for; everything that failed stands among the causes."""
    return row.kind in ("evals", "perf") and bool(row.evidence)


def _folded(report: Report) -> Iterator[str]:
    yield from _kinds(report)
    yield _fold("Manifest", _manifest(report))
    yield _fold("Runtime environment", *_environment(report.environment))
    yield _fold("Launch plan", *_launch_plan(report.launch_plan))


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
        ("Workflow", _text(report.workflow)),
        ("Started", _text(when(report.started_at))),
        ("Duration", lasted(report)),
        ("Demanded checks measured", f"{report.demanded - len(report.missing)} of {report.demanded}"),
        *((("Machine", _text(report.load.line)),) if report.load.line else ()),
        ("Samples", f"{report.samples:,}"),
        ("Verdicts", tally(report)),
        *(("Narrowed", _text(reason)) for reason in report.partial),
        *(("Spec", _text(note)) for note in report.notes),
        *((("Certificate", _text(report.certificate)),) if report.certificate else ()),
    ]


def _kinds(report: Report) -> Iterator[str]:
    """The checks of each kind; what is not accepted comes first."""
    for kind, title in KIND_TITLES.items():
        rows = sorted(report.of_kind(kind), key=lambda row: row.verdict.accepted and not row.missing)
        if rows:
            bad = sum(not row.verdict.accepted or row.missing for row in rows)
            note = plural(len(rows), "check") + (f", {bad} not accepted" if bad else "")
            head = ("Verdict", "Check", "Measured", "Value", "Target", "n", "Reason")
            yield _fold(title, _table(head, [cells for row in rows for cells in _cells(row)]), note=note)


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
            manifest_line(report),
            *([missing] if missing else []),
            *([_text(policy)] if (policy := policy_line(report)) else []),
            *([f"Not offered by this server, and demanded of nobody:\n\n{absent}"] if absent else []),
        ]
    )


def _environment(environment: Attachment) -> Iterator[str]:
    if environment.absent:
        yield _text(environment.absent)
        return
    facts = facts_of(environment.content)
    rows = [(_text(name), _text(value, limit=_LONGEST_VALUE)) for name, value in facts.key]
    if rows:
        yield _table(("Fact", "Value"), rows)
    yield from (f"{_text(name)}: {len(listed)} entries, in report.json" for name, listed in facts.long)


def _launch_plan(plan: Attachment) -> Iterator[str]:
    if plan.absent:
        yield _text(plan.absent)
        return
    shown = plan_of(plan.content)
    if shown.command:
        # Indented rather than fenced: a command that holds a fence cannot end the block.
        yield "    " + shown.command.replace("\n", " ")
    rows = [tuple(_text(cell, limit=_LONGEST_VALUE) for cell in value) for value in shown.values]
    if rows:
        yield _table(("Name", "Value", "Origin", "Overrode"), rows)
