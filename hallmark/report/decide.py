"""The one decision: may this cell be released? Whatever is not shown in this run counts against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hallmark.core.parts import Kind
from hallmark.core.records import SMOKE, Evidence
from hallmark.core.verdict import Verdict, worst
from hallmark.core.wording import finding, in_full, one_line, plural, value_text
from hallmark.report.document import EXIT_CODES, Decision, Outcome, Row
from hallmark.report.judge import NO_EVIDENCE, NO_RECORD, NOT_MEASURED, Judged
from hallmark.specs.targets import Tier

_CULPRITS_FIRST = (Verdict.VOID, Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)
_MOST_NUMBERS = 3
_MOST_NAMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that the decision may rest on."""

    judged: Sequence[Judged]
    """Every record; a check may have several."""
    rows: Sequence[Row]
    """Every check, once."""
    partial: tuple[str, ...]
    part: Kind | None
    """The kind of checks that was asked for, where nothing else narrows the run."""
    smoke: bool
    """Whether every kind of check was asked for, on few samples."""
    draft: str
    """What the spec lacks, in one line; a draft is never accepted, whatever was measured."""
    interrupted: bool

    @property
    def demanded(self) -> int:
        return sum(row.demanded for row in self.rows)

    @property
    def missing(self) -> int:
        return sum(row.missing for row in self.rows)

    @property
    def asked(self) -> tuple[Row, ...]:
        """What a part of a release rests on: its own checks, and whatever else it came to measure."""
        return tuple(row for row in self.rows if row.kind == self.part or row.measured or not row.demanded)

    @property
    def undecided(self) -> int:
        """How many of them nothing shows to hold."""
        return sum(not row.measured or not row.verdict.accepted for row in self.asked)

    @property
    def part_passed(self) -> bool:
        return any(row.kind == self.part for row in self.rows) and not self.undecided

    @property
    def tiered(self) -> tuple[Evidence, ...]:
        """What was held to a tier of its target."""
        return tuple(item for row in self.rows for item in row.evidence if item.target and item.target.tier)

    @property
    def all_accepted(self) -> bool:
        return all(row.verdict.accepted for row in self.rows)

    @property
    def smoke_passed(self) -> bool:
        """Every check was carried out, the server showed something that is good, and nothing showed a fault.

        Few samples leave checks undecided; those are named, and a smoke run claims nothing about them.
        """
        harmless = all(row.verdict.accepted or _is_open(row) for row in self.rows)
        shown = any(row.kind == "server" and row.measured and row.verdict.accepted for row in self.rows)
        return harmless and shown and self.demanded > 0 and not self.missing

    def any(self, verdict: Verdict) -> bool:
        return any(verdict in judged.verdicts for judged in self.judged)

    @property
    def spoilt(self) -> bool:
        """Whether something could not even be measured, because the device or the machine was not fit."""
        return any(Verdict.VOID in judged.verdicts and not judged.record.measured for judged in self.judged)

    @property
    def measured_failure(self) -> bool:
        return any(Verdict.FAIL in judged.verdicts and judged.record.measured for judged in self.judged)


def decide(findings: Findings) -> Decision:
    outcome = _outcome(findings)
    passed = outcome == "PARTIAL" and findings.part_passed
    return Decision(
        outcome=outcome,
        accepted=outcome == "ACCEPTED",
        exit_code=0 if passed else EXIT_CODES[outcome],
        verdict=worst([*(row.verdict for row in findings.rows), *([Verdict.INCONCLUSIVE] if findings.draft else [])]),
        headline=_headline(outcome, findings),
        causes=() if outcome == "ACCEPTED" else tuple(_causes(outcome, findings)),
        tier=_tier(findings) if outcome == "ACCEPTED" else "",
    )


def _outcome(findings: Findings) -> Outcome:
    """The first that holds. Where there is no device nothing else means anything; a busy machine excuses what it explains."""
    ladder: tuple[tuple[bool, Outcome], ...] = (
        (findings.interrupted, "INTERRUPTED"),
        (findings.spoilt, "VOID"),
        (findings.measured_failure, "REJECTED"),
        (findings.any(Verdict.VOID), "VOID"),
        (findings.any(Verdict.ERROR), "ERROR"),
        (findings.smoke and findings.smoke_passed, "SMOKE PASSED"),
        (bool(findings.partial) and not findings.smoke, "PARTIAL"),
        (not findings.demanded or findings.missing > 0, "INCOMPLETE"),
        (findings.smoke or bool(findings.draft) or not findings.all_accepted, "INCONCLUSIVE"),
    )
    return next((outcome for holds, outcome in ladder if holds), "ACCEPTED")


def _headline(outcome: Outcome, findings: Findings) -> str:
    of_verdict = {verdict: sum(row.verdict is verdict for row in findings.rows) for verdict in Verdict}
    unproven = sum(not row.verdict.accepted for row in findings.rows)
    measured = f"{findings.demanded - findings.missing} of {plural(findings.demanded, 'demanded check')}"
    waived = f", {of_verdict[Verdict.CONDITIONAL]} of them by a waiver" if of_verdict[Verdict.CONDITIONAL] else ""
    lines: dict[Outcome, str] = {
        "ACCEPTED": f"All {plural(findings.demanded, 'demanded check')} were measured and passed{waived}{_in_full(findings)}.",
        "REJECTED": f"{_failed(findings)} in this run; the release is rejected.",
        "VOID": _of_void(findings, of_verdict[Verdict.VOID]),
        "ERROR": f"{plural(of_verdict[Verdict.ERROR], 'check')} could not be carried out, and not by the server's fault.",
        "PARTIAL": _of_part(findings),
        "INCOMPLETE": f"Only {measured} were measured; what was not measured is not accepted.",
        "INCONCLUSIVE": f"{plural(unproven, 'check')} gave too little evidence to decide.",
        "SMOKE PASSED": _of_smoke(findings),
        "INTERRUPTED": f"The run was stopped before its end; {measured} had been measured.",
    }
    if not findings.draft:
        return lines[outcome]
    # Of a draft whose checks all passed none gave too little evidence: it is the spec that says too little.
    said = lines["ACCEPTED" if outcome == "INCONCLUSIVE" and findings.all_accepted else outcome]
    return f"{findings.draft}; a draft is never accepted. {said}"


def _tier(findings: Findings) -> str:
    """The lowest tier that anything was held to: more than that the run does not say of all of it."""
    held = {item.target.tier for item in findings.tiered if item.target}
    return next((tier.value for tier in Tier if tier in held), "")


def _in_full(findings: Findings) -> str:
    """How many targets were reached themselves, and not only what their tier requires of them."""
    if not findings.tiered:
        return ""
    full = sum(map(in_full, findings.tiered))
    return f"; {full} of {plural(len(findings.tiered), 'performance target')} {'was' if full == 1 else 'were'} reached in full"


def _of_void(findings: Findings, void: int) -> str:
    if findings.spoilt:
        return "The machine or the device spoilt this run; no result of it counts, good or bad."
    return f"The machine spoilt {plural(void, 'check')}: not passed and not failed. Run it again where nothing else runs."


def _of_part(findings: Findings) -> str:
    if not findings.part:
        return "The run was narrowed on purpose; a narrowed run never certifies."
    checks = f"{plural(len(findings.asked), 'check')} asked for"
    if findings.part_passed:
        found = f"All {checks} were measured and passed"
    elif findings.undecided:
        found = f"{findings.undecided} of {checks} were not decided"
    else:
        found = f"The spec demands no check of the kind {findings.part}"
    return f"{found}; a part of a release certifies nothing."


def _of_smoke(findings: Findings) -> str:
    passed = sum(row.verdict.accepted for row in findings.rows)
    undecided = len(findings.rows) - passed
    left = f", {undecided} not judged" if undecided else ""
    return f"Smoke passed; certifies nothing. {plural(passed, 'check')} passed{left}, none failed."


def _is_open(row: Row) -> bool:
    """Whether the check ran and says why it decides nothing; one that has no evidence is itself at fault."""
    return row.verdict is Verdict.INCONCLUSIVE and NO_EVIDENCE not in row.reason


def _failed(findings: Findings) -> str:
    failed = {j.record.check for j in findings.judged if Verdict.FAIL in j.verdicts and j.record.measured}
    return f"{plural(len(failed), 'check')} failed"


def _causes(outcome: Outcome, findings: Findings) -> Iterator[str]:
    narrowed = [f"narrowed: {one_line(reason)}" for reason in findings.partial]
    if outcome == "INTERRUPTED":
        yield "interrupted before the end"
    if not findings.demanded:
        yield "the manifest demands no check"
    if outcome in ("PARTIAL", "SMOKE PASSED"):
        yield from narrowed
    if findings.draft and outcome == "INCONCLUSIVE":
        yield "the spec lacks what a certificate needs: `hallmark specs lint -v` says what to write, and where"
    fewer = fewer_checks(findings.partial)
    for culprit in culprits(findings.rows):
        yield culprit.told(narrowed=fewer)
    if outcome not in ("PARTIAL", "SMOKE PASSED"):
        yield from narrowed


def fewer_checks(partial: tuple[str, ...]) -> bool:
    """Whether checks were left out on purpose; a limit leaves out samples only, and a smoke run has a manifest of its own."""
    return any(not reason.startswith(("--limit", SMOKE)) for reason in partial)


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """One cause, and the checks that share it."""

    checks: Sequence[str]
    verdict: Verdict
    what: str
    """The verdict, or that nothing was measured."""
    why: str
    """In one line; empty where `what` says all."""

    @property
    def names(self) -> str:
        """The first of its checks, and how many more there are."""
        more = len(self.checks) - _MOST_NAMES
        return ", ".join(self.checks[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")

    def told(self, *, narrowed: bool) -> str:
        """In one line; `narrowed`: checks were left out on purpose."""
        if narrowed and self.why == NO_RECORD and len(self.checks) > 1:
            return f"{plural(len(self.checks), 'check')} were not asked for"
        return f"{self.names}: {self.what}" + (f" - {self.why}" if self.why else "")


def culprits(rows: Iterable[Row]) -> Iterator[Culprit]:
    """Each cause of what is not accepted, what was measured first."""
    ordered = sorted(rows, key=lambda row: row.missing)
    for verdict in _CULPRITS_FIRST:
        groups: dict[tuple[str, str], list[str]] = {}
        for row in ordered:
            if row.verdict is verdict:
                groups.setdefault((_what(row), _why(row)), []).append(row.check)
        for (what, why), checks in groups.items():
            yield Culprit(checks=checks, verdict=verdict, what=what, why="" if why == NOT_MEASURED else why)


def _what(row: Row) -> str:
    if not row.missing:
        return str(row.verdict)
    return "not measured" if row.verdict is Verdict.INCONCLUSIVE else f"{row.verdict}, not measured"


def _why(row: Row) -> str:
    """The reason, with the numbers that missed where it does not state them itself."""
    missed = [item for item in row.evidence if item.target and not item.verdict.accepted]
    further = (item for item in missed if value_text(item) not in row.reason and finding(item) not in row.reason)
    numbers = [f"{item.name} {finding(item)}" for item in further]
    return one_line("; ".join([*numbers[:_MOST_NUMBERS], row.reason]))
