"""What a record is worth: its own verdict, or a worse one where its evidence does not carry it. Never a better one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hallmark.core.records import Evidence, Record
from hallmark.core.verdict import Verdict, worst
from hallmark.core.waivers import Waiver
from hallmark.core.wording import finding, is_number, misses, one_line

NO_EVIDENCE = "recorded no evidence"
NOT_MEASURED = "not measured"
NO_RECORD = "no record of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A record, the verdict that it can bear, and why."""

    record: Record
    verdict: Verdict
    reason: str
    evidence: tuple[Evidence, ...]

    @property
    def verdicts(self) -> frozenset[Verdict]:
        """All that was found: the worst one must not hide that the machine spoilt the check, nor that it failed."""
        hidden = {Verdict.FAIL} if self.record.also_failed else set()
        return frozenset({self.verdict, self.record.verdict, *hidden, *(evidence.verdict for evidence in self.evidence)})


def says_nothing(evidence: Evidence) -> bool:
    """True for a value that is absent and that nothing was demanded of, such as a quantile of too few samples."""
    return evidence.n < 1 and evidence.target is None and isinstance(evidence.value, str)


def judge_evidence(evidence: Evidence) -> Evidence:
    """The evidence with the worst verdict that it gives cause for."""
    if evidence.verdict.accepted and isinstance(evidence.value, float) and not is_number(evidence.value):
        return replace(evidence, verdict=Verdict.INCONCLUSIVE, reason=f"{evidence.value} is no measurement")
    if evidence.verdict.accepted and evidence.n < 1 and not says_nothing(evidence):
        return replace(evidence, verdict=Verdict.INCONCLUSIVE, reason="rests on no sample")
    if evidence.verdict.accepted and _is_held_against_a_number(evidence) and not is_number(evidence.value):
        return replace(evidence, verdict=Verdict.INCONCLUSIVE, reason=f"{evidence.value} is no number to hold against a limit")
    if evidence.verdict is Verdict.PASS and misses(evidence):
        return replace(evidence, verdict=Verdict.FAIL, reason=f"{finding(evidence)}, although it was recorded as PASS")
    return evidence


def _is_held_against_a_number(evidence: Evidence) -> bool:
    return evidence.target is not None and evidence.target.relation in (">=", "<=") and is_number(evidence.target.limit)


def _objections(record: Record, evidence: tuple[Evidence, ...]) -> Iterator[tuple[Verdict, str]]:
    for item in evidence:
        if not item.verdict.accepted:
            yield item.verdict, f"{item.name}: {one_line(item.reason) or finding(item)}"
        elif item.verdict is Verdict.CONDITIONAL:
            yield item.verdict, f"{item.name}: {one_line(item.reason)}" if item.reason else record.reason
    if not record.measured:
        yield Verdict.INCONCLUSIVE, NOT_MEASURED
    elif all(says_nothing(item) for item in evidence):
        yield Verdict.INCONCLUSIVE, NO_EVIDENCE


def judge(record: Record) -> Judged:
    """The worst of the record's verdict and of every objection to it."""
    evidence = tuple(judge_evidence(item) for item in record.evidence)
    objections = list(_objections(record, evidence))
    verdict = worst([record.verdict, *(found for found, _ in objections)])
    objection = "; ".join(reason for found, reason in objections if found is verdict)
    reason = record.reason or objection if verdict is record.verdict else objection
    return Judged(record=record, verdict=verdict, reason=reason, evidence=evidence)


def waived(judged: Judged, waiver: Waiver | None, *, started_at: str) -> Judged:
    """A miss that is waived is CONDITIONAL; what is CONDITIONAL without a waiver that holds shows nothing."""
    if not judged.record.measured or judged.record.server_lost:
        return judged
    if waiver and waiver.holds(started_at):
        return _changed(judged, Verdict.FAIL, Verdict.CONDITIONAL, str(waiver))
    why = waiver.not_held(started_at) if waiver else "the spec waives nothing here"
    found = _changed(judged, Verdict.CONDITIONAL, Verdict.INCONCLUSIVE, why)
    return replace(found, reason=f"{found.reason}; {why}") if waiver and found.verdict is Verdict.FAIL else found


def _changed(judged: Judged, old: Verdict, new: Verdict, note: str) -> Judged:
    """`judged` with one verdict in the place of another wherever it stands; `note` goes before the reason of what changed."""

    def instead(verdict: Verdict) -> Verdict:
        return new if verdict is old else verdict

    evidence = tuple(replace(item, verdict=instead(item.verdict)) for item in judged.evidence)
    hidden = judged.record.also_failed and old is not Verdict.FAIL
    record = replace(judged.record, verdict=instead(judged.record.verdict), also_failed=hidden)
    reason = f"{note}: {judged.reason}".removesuffix(": ") if judged.verdict is old else judged.reason
    return replace(judged, record=record, verdict=instead(judged.verdict), evidence=evidence, reason=reason)
