"""Outcome and verdicts of two runs. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterator

from hallmark.core.verdict import Verdict
from hallmark.core.wording import one_line
from hallmark.report.changes.document import Change, Effect, Section
from hallmark.report.document import Outcome, Report, Row

_BEST_FIRST: tuple[Outcome, ...] = (
    "ACCEPTED", "SMOKE PASSED", "PARTIAL", "INCOMPLETE", "INCONCLUSIVE", "INTERRUPTED", "VOID", "ERROR", "REJECTED",
)  # fmt: skip
_NOT_MEASURED = "not measured"
_LONGEST_REASON = 200


def outcome_section(before: Report, after: Report) -> Section:
    """Of runs of which not as much was asked the outcomes differ for that reason alone, and neither is the better."""
    old, new = before.decision, after.decision
    if old.title == new.title:
        return Section(topic="outcome")
    ranks = [_BEST_FIRST.index(decision.outcome) for decision in (old, new)]
    effect = Effect.CHANGED
    if before.partial == after.partial and ranks[0] != ranks[1]:
        effect = Effect.WORSE if ranks[1] > ranks[0] else Effect.BETTER
    change = Change(name="outcome", before=old.title, after=new.title, effect=effect, reason=new.headline)
    return Section(topic="outcome", changes=(change,))


def verdicts_section(before: Report, after: Report) -> Section:
    """Every check that has another verdict, or that only one of the runs has."""
    old, new = ({row.check: row for row in report.rows} for report in (before, after))
    common = [check for check in old if check in new]
    moved = [change for check in common if (change := _moved(old[check], new[check], narrowed=before.partial != after.partial))]
    changes = [*moved, *_gone(before, after, new.keys()), *_come(before, after, old.keys())]
    return Section(topic="verdicts", changes=tuple(worst_first(changes)), same=len(common) - len(moved))


def worst_first(changes: list[Change]) -> list[Change]:
    return sorted(changes, key=lambda change: list(Effect).index(change.effect))


def _moved(old: Row, new: Row, *, narrowed: bool) -> Change | None:
    before, after = _state(old), _state(new)
    if before == after:
        return None
    reason = one_line(new.reason if new.verdict is not Verdict.PASS else f"before: {old.reason}", limit=_LONGEST_REASON)
    effect = _effect(old, new)
    if narrowed and _NOT_MEASURED in (before, after):
        effect, reason = Effect.CHANGED, "not asked of both runs"
    return Change(name=new.check, before=before, after=after, effect=effect, reason=reason)


def _state(row: Row) -> str:
    return _NOT_MEASURED if row.missing and row.verdict is Verdict.INCONCLUSIVE else row.verdict.value


def _effect(old: Row, new: Row) -> Effect:
    if new.verdict is Verdict.CONDITIONAL and not old.verdict.accepted:
        return Effect.CHANGED  # a waiver makes no server better
    if old.verdict is new.verdict:
        return Effect.WORSE if new.missing else Effect.BETTER
    return Effect.WORSE if new.verdict.rank > old.verdict.rank else Effect.BETTER


def _gone(before: Report, after: Report, there: Container[str]) -> Iterator[Change]:
    reasons = {absence.check: absence.reason for absence in after.not_offered}
    for row in before.rows:
        if row.check in there:
            continue
        lost = row.check in reasons
        what = "not offered" if lost else "not demanded"
        reason = reasons.get(row.check, "")
        effect = Effect.WORSE if lost and row.verdict.accepted else Effect.CHANGED
        yield Change(name=row.check, before=_state(row), after=what, effect=effect, reason=reason)


def _come(before: Report, after: Report, there: Container[str]) -> Iterator[Change]:
    """Whether the first run would have passed them nobody knows; those that are red now stand in front."""
    absent = {absence.check for absence in before.not_offered}
    for row in sorted(after.rows, key=lambda row: row.verdict.accepted):
        if row.check in there:
            continue
        what = "not offered" if row.check in absent else "not demanded"
        reason = "" if row.verdict.accepted else one_line(row.reason, limit=_LONGEST_REASON)
        yield Change(name=row.check, before=what, after=_state(row), effect=Effect.CHANGED, reason=reason)
