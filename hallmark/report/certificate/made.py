"""A run's folder -> the predicate of its certificate, and its subjects. Everything in it follows from the folder alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hallmark
from hallmark.core.chain import is_record, last_mark
from hallmark.core.errors import UsageError
from hallmark.core.in_toto import NamedDigest
from hallmark.core.own_code import code_digest
from hallmark.core.records import MANIFEST_FILE, RECORDS_FILE, Evidence, Interval, Manifest, read_manifest, to_plain
from hallmark.core.subjects import SUBJECTS_FILE, Subjects, read_subjects, spec_detail, subject
from hallmark.core.subjects import Subject as KnownSubject
from hallmark.core.wording import is_number, moment
from hallmark.report.certificate.predicate import (
    PROJECT,
    Accuracy,
    Bounds,
    CellName,
    Claim,
    Coverage,
    Criteria,
    Digests,
    Evaluator,
    Grade,
    Judge,
    Named,
    Performance,
    Policy,
    Power,
    Predicate,
    Records,
    Score,
    Speed,
    Subject,
    Unmeasured,
    Version,
    Waived,
)
from hallmark.report.document import Report, Row, ends_of_waivers

HOLDS_DAYS = 90
"""So long a certificate holds of a run whose policy says nothing of that."""
VERIFIER = f"{PROJECT}/{hallmark.__version__}"
_COMPARATORS = (">=", "<=")
DECIDED = ("ACCEPTED", "REJECTED")
"""Outcomes that a certificate can state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """What a certificate is made of, before anybody signs it."""

    subjects: tuple[NamedDigest, ...]
    predicate: Predicate


def certified(folder: Path, report: Report) -> Certified:
    """What can be stated of that run; UsageError where it decided nothing or has no end. `report` is that of the folder."""
    if report.decision.outcome not in DECIDED:
        raise UsageError(
            f"is {report.decision.outcome}: it decided nothing, and nothing can be certified of it",
            where=str(folder),
            hint="certify a whole run that was accepted or rejected",
        )
    return _Making(folder, report).certified()


class _Making:
    """One folder, read once."""

    def __init__(self, folder: Path, report: Report) -> None:
        self.folder = folder
        self.report = report
        self.manifest: Manifest = read_manifest(folder / MANIFEST_FILE)
        self.run_digest, self.ends = last_mark(folder / RECORDS_FILE, "ends")
        _, self.begins = last_mark(folder / RECORDS_FILE, "begins")
        if not self.run_digest:
            raise UsageError("has no end: its run was killed, or was made before hallmark recorded chains", where=str(folder))
        self.files: Mapping[str, Mapping[str, Any]] = self.ends["files"]
        self.known = known_subjects(folder, self.manifest)
        demanded = self.begins["files"][MANIFEST_FILE]
        self.criteria = Criteria(alg="sha256", value=demanded)

    def certified(self) -> Certified:
        run = NamedDigest(name=f"run:{self.report.cell}", sha256=self.run_digest)
        told = Subject(name=run.name, kind="run", taken_from="records", told=f"the line that {RECORDS_FILE} ends with")
        others = self.known.subjects
        return Certified(
            subjects=(run, *(NamedDigest(name=one.name, sha256=one.sha256) for one in others)),
            predicate=self._predicate((told, *map(_stated, others))),
        )

    def _predicate(self, subjects: tuple[Subject, ...]) -> Predicate:
        report = self.report
        return Predicate(
            verdict=report.decision.outcome,
            grade=Grade(tier=report.decision.tier, waivers=len(report.waived), needed=sum(one.needed for one in report.waived)),
            waivers=tuple(
                Waived(
                    check=one.check,
                    owner=one.waiver.owner,
                    reason=one.waiver.reason,
                    issue=one.waiver.issue,
                    made_on=one.waiver.made_on,
                    ends_on=one.waiver.ends_on,
                    use=one.use,
                )
                for one in report.waived
            ),
            headline=report.decision.headline,
            counts=dict(report.counts),
            cell=CellName(id=report.cell, model=report.model, device=report.device, impl=report.impl, workflow=report.workflow),
            began=report.started_at,
            ended=report.finished_at or report.started_at,
            valid_until=valid_until(self.manifest, report),
            records=self._records(),
            criteria=self.criteria,
            subjects=subjects,
            unknown=dict(self.known.unknown),
            coverage=_coverage(report),
            accuracy=tuple(self._accuracy(row) for row in report.of_kind("evals") if row.measured),
            performance=tuple(self._performance(row) for row in report.of_kind("perf") if row.measured),
            checks={row.check: str(row.verdict) for row in report.rows},
            policy=_policy(report),
            notes=report.notes,
            breaks=tuple(one.line for one in report.breaks),
            judge=Judge(version=str(self.begins["hallmark"]), code=str(self.begins["code"])),
            maker=Judge(version=hallmark.__version__, code=code_digest()),
        )

    def _records(self) -> Records:
        whole = (self.folder / RECORDS_FILE).read_bytes().split(b"\n")[:-1]
        return Records(
            name=RECORDS_FILE,
            digest=Digests(sha256=self.run_digest),
            merkle_root=str(self.ends["root"]),
            records=sum(map(is_record, whole)),
            files=len(self.files),
        )

    def _accuracy(self, row: Row) -> Accuracy:
        name = f"evals/{row.check.removeprefix('evals.')}.samples.jsonl"
        own = next((item for item in row.evidence if "task" in item.detail), None)
        detail = own.detail if own else {}
        version = str(detail.get("lm_eval", ""))
        suite = Version(name=str(detail.get("task", row.check)), version=version or hallmark.__version__)
        return Accuracy(
            check=row.check,
            verdict=str(row.verdict),
            evaluator=Evaluator(id=VERIFIER),
            evaluated_at=self.report.finished_at or self.report.started_at,
            suite=suite,
            claims=tuple(_claims(row)),
            scores=tuple(_scores(row)),
            metric=own.name if own else "",
            few_shot=detail.get("few_shot"),
            items_of_task=detail.get("items_of_task"),
            sample_size=row.samples,
            model=next((_named(one) for one in self.known.of_kind("weights")), None),
            dataset=self._dataset(name, suite.name),
            assurance_level="self_attested",
            subject_profile="release-gate",
            pre_registration=self.criteria,
            evidence=tuple(self._kept(name)),
            samples_merkle_root=str(self.files.get(name, {}).get("root", "")),
            harness=Version(name="lm-eval" if version else "hallmark", version=suite.version),
        )

    def _dataset(self, name: str, task: str) -> Named | None:
        """By the digests that lm-eval gives to items; None where the items have none."""
        try:
            rows = [json.loads(line) for line in (self.folder / name).read_bytes().splitlines()]
            digests = sorted({str(row["doc_hash"]) for row in rows})
        except (OSError, ValueError, LookupError, TypeError):
            return None
        whole = hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()
        return Named(name=f"{task}: the items that were asked", digest=Digests(sha256=whole))

    def _performance(self, row: Row) -> Performance:
        name = f"perf/{row.check.removeprefix('perf.')}.samples.jsonl"
        return Performance(
            check=row.check,
            verdict=str(row.verdict),
            measured=tuple(_speed(item) for item in row.evidence if not isinstance(item.value, bool)),
            evidence=tuple(self._kept(name)),
            samples_merkle_root=str(self.files.get(name, {}).get("root", "")),
        )

    def _kept(self, name: str) -> Iterator[Named]:
        if name in self.files:
            yield Named(name=name, digest=Digests(sha256=str(self.files[name]["sha256"])))


def known_subjects(folder: Path, manifest: Manifest) -> Subjects:
    """What a run was about; of one that kept no `subjects.json` the spec alone is known. InfrastructureError for another file."""
    if found := read_subjects(folder):
        return found
    told = f"the spec in {MANIFEST_FILE}"
    spec = subject("spec", manifest.cell, spec_detail(to_plain(manifest)), taken_from="spec", told=told)
    return Subjects(subjects=(spec,), unknown={"weights, environment, engine, device": f"the run kept no {SUBJECTS_FILE}"})


def valid_until(manifest: Manifest, report: Report) -> str:
    """The end of the run's days, or of the first waiver that it needs, whichever comes first."""
    began = moment(manifest.started_at) or datetime.fromtimestamp(0, UTC)
    last = manifest.valid_until or f"{began + timedelta(days=HOLDS_DAYS):%Y-%m-%d}"
    return f"{min([last, *ends_of_waivers(report.waived)])}T23:59:59Z"


def _stated(one: KnownSubject) -> Subject:
    return Subject(name=one.name, kind=one.kind, taken_from=one.taken_from, told=one.told)


def _named(one: KnownSubject) -> Named:
    return Named(name=one.name, digest=Digests(sha256=one.sha256))


def _coverage(report: Report) -> Coverage:
    reasons = {row.check: row.reason for row in report.rows}
    return Coverage(
        demanded=report.demanded,
        measured=report.demanded - len(report.missing),
        not_measured=tuple(Unmeasured(check=check, reason=reasons[check]) for check in report.missing),
        not_offered=tuple(Unmeasured(check=one.check, reason=one.reason) for one in report.not_offered),
        besides=tuple(row.check for row in report.rows if not row.demanded),
    )


def _policy(report: Report) -> Policy | None:
    limits = report.waiver_limits
    if limits is None:
        return None
    return Policy(source=limits.source, longest_days=limits.longest_days, most_percent=limits.most_percent, never=limits.never)


def _claims(row: Row) -> Iterator[Claim]:
    for item in row.evidence:
        if item.target and item.target.relation in _COMPARATORS and is_number(item.value):
            yield Claim(
                metric=item.name,
                comparator=item.target.relation,
                threshold=_decimal(item.target.limit),
                passed=item.verdict.accepted,
                verdict=str(item.verdict),
                value=float(item.value),
                samples=item.n,
                interval=_bounds(item.interval),
                power=_power(item),
            )


def _scores(row: Row) -> Iterator[Score]:
    for item in row.evidence:
        if item.target is None and is_number(item.value):
            yield Score(metric=item.name, value=float(item.value), samples=item.n, interval=_bounds(item.interval))


def _speed(item: Evidence) -> Speed:
    target = item.target
    return Speed(
        metric=item.name,
        value=item.value if is_number(item.value) else str(item.value),
        unit=item.unit,
        samples=item.n,
        interval=_bounds(item.interval),
        verdict=str(item.verdict),
        comparator=target.relation if target else "",
        threshold=target.limit if target else None,
        reference=target.reference if target else None,
        tier=target.tier if target else "",
    )


def _bounds(interval: Interval | None) -> Bounds | None:
    return Bounds(low=interval.low, high=interval.high, confidence=interval.confidence) if interval else None


def _power(item: Evidence) -> Power | None:
    gate = item.detail.get("gate")
    if not gate:
        return None
    known: Mapping[str, Any] = {name: item.detail.get(name) for name in ("loss_seen", "power", "margin_proven")}
    return Power(gate=str(gate), **{name: float(value) for name, value in known.items() if is_number(value)})


def _decimal(limit: float | int | str) -> str:
    """Without an exponent, so that every reader of decimal numbers takes it for the same."""
    if not is_number(limit):
        return str(limit)
    text = repr(limit)
    return text if "e" not in text else f"{limit:.20f}".rstrip("0")
