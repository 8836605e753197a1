"""A certificate -> the manifest and the records of its run, as far as it states them: enough to hold it against another run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from hallmark.core.parts import Kind
from hallmark.core.records import Evidence, Interval, Manifest, ManifestEntry, Record, Target
from hallmark.core.verdict import Verdict
from hallmark.core.waivers import Waiver, WaiverLimits
from hallmark.report.certificate.predicate import Accuracy, Bounds, Claim, Predicate, Score, Speed
from hallmark.report.judge import NO_RECORD

_KINDS: tuple[Kind, ...] = get_args(Kind)


def as_run(stated: Predicate) -> tuple[Manifest, tuple[Record, ...]]:
    """What the run's own folder would hold of it. Reasons, samples and the environment stand in no certificate."""
    evidence = {one.check: tuple(_of_eval(one)) for one in stated.accuracy}
    evidence |= {one.check: tuple(map(_of_speed, one.measured)) for one in stated.performance}
    unmeasured = {one.check: one.reason for one in stated.coverage.not_measured}
    waivers = {one.check: one.model_dump(include=set(Waiver.__dataclass_fields__)) for one in stated.waivers}
    cell = stated.cell
    manifest = Manifest(
        cell=cell.id,
        model=cell.model,
        device=cell.device,
        impl=cell.impl,
        workflow=cell.workflow,
        started_at=stated.began,
        entries=tuple(_entry(check, waivers.get(check)) for check in stated.checks if check not in stated.coverage.besides),
        notes=stated.notes,
        waiver_limits=_limits(stated),
    )
    records = (
        _record(stated, check, Verdict(verdict), evidence.get(check, ()), unmeasured.get(check, ""))
        for check, verdict in stated.checks.items()
        if unmeasured.get(check) != NO_RECORD
    )
    return manifest, tuple(records)


def _kind(check: str) -> Kind:
    head = check.partition(".")[0]
    return next((kind for kind in _KINDS if kind == head), "extra")


def _entry(check: str, waiver: dict[str, Any] | None) -> ManifestEntry:
    return ManifestEntry(check=check, kind=_kind(check), title="", waiver=Waiver(**waiver) if waiver else None)


def _limits(stated: Predicate) -> WaiverLimits | None:
    return WaiverLimits(**stated.policy.model_dump()) if stated.policy else None


def _record(stated: Predicate, check: str, verdict: Verdict, evidence: tuple[Evidence, ...], why: str) -> Record:
    """What a waiver excused is recorded as the miss that it was."""
    shown = Evidence(name="verdict", value=str(verdict))
    return Record(
        check=check,
        cell=stated.cell.id,
        kind=_kind(check),
        verdict=Verdict.FAIL if verdict is Verdict.CONDITIONAL and _is_waived(stated, check) else verdict,
        reason=why,
        evidence=evidence or ((shown,) if verdict.accepted else ()),
        started_at=stated.ended,
        measured=not why,
    )


def _is_waived(stated: Predicate, check: str) -> bool:
    return any(one.check == check for one in stated.waivers)


def _of_eval(stated: Accuracy) -> Iterator[Evidence]:
    detail = {"few_shot": stated.few_shot, "items_of_task": stated.items_of_task}
    both: tuple[Claim | Score, ...] = (*stated.claims, *stated.scores)
    for one in both:
        yield Evidence(
            name=one.metric,
            value=one.value,
            n=one.samples,
            verdict=Verdict(one.verdict) if isinstance(one, Claim) else Verdict.PASS,
            target=_target(one),
            interval=_interval(one.interval),
            detail=detail if one.metric == stated.metric else {},
        )


def _target(one: Claim | Score) -> Target | None:
    return Target(relation=_RELATIONS[one.comparator], limit=float(one.threshold)) if isinstance(one, Claim) else None


def _of_speed(one: Speed) -> Evidence:
    target = None
    if one.comparator and one.threshold is not None:
        target = Target(relation=_RELATIONS[one.comparator], limit=one.threshold, reference=one.reference, tier=one.tier)
    return Evidence(
        name=one.metric,
        value=one.value,
        unit=one.unit,
        n=one.samples,
        verdict=Verdict(one.verdict),
        target=target,
        interval=_interval(one.interval),
    )


def _interval(bounds: Bounds | None) -> Interval | None:
    return Interval(low=bounds.low, high=bounds.high, confidence=bounds.confidence) if bounds else None


_RELATIONS: dict[str, Any] = {name: name for name in (">=", "<=", "==", "meets")}
