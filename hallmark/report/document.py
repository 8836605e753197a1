"""What a report says: a Report, its rows and its decision. Plain values; knows neither files nor formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hallmark.core.load import Load
from hallmark.core.parts import Kind
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.core.waivers import Waiver, WaiverLimits
from hallmark.core.wording import duration, plural
from hallmark.evals.failed_items import FailedItems
from hallmark.perf.series import PointSeries
from hallmark.report.load_history import LoadHistory

Outcome = Literal["ACCEPTED", "REJECTED", "VOID", "ERROR", "INCONCLUSIVE", "INCOMPLETE", "PARTIAL", "INTERRUPTED", "SMOKE PASSED"]

EXIT_CODES: Mapping[Outcome, int] = {
    "ACCEPTED": 0,
    "REJECTED": 1,
    "VOID": 3,
    "ERROR": 3,
    "INCONCLUSIVE": 4,
    "INCOMPLETE": 4,
    "PARTIAL": 4,
    "INTERRUPTED": 130,
    "SMOKE PASSED": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether the cell may be released, and every reason why not."""

    outcome: Outcome
    accepted: bool
    exit_code: int
    """EXIT_CODES says it, but 0 too for a part of a release (PARTIAL) of which all was measured and passed."""
    verdict: Verdict
    """The worst of all records; INCONCLUSIVE at best while a demanded check is missing, and for a draft."""
    headline: str
    causes: tuple[str, ...] = ()
    """One line for each culprit; empty where the run is accepted."""
    tier: str = ""
    """The tier that performance was held to; empty where it was held to none, and where the run is not accepted."""

    @property
    def title(self) -> str:
        """The outcome as it stands above all else, such as `ACCEPTED at tier complete`."""
        return f"{self.outcome} at tier {self.tier}" if self.tier else self.outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request of a check that did not pass, and its answer, shortened to what a person reads."""

    line: int
    """Where the whole of it stands in `exchanges.jsonl`, from 1."""
    asked: str
    """Such as `POST /v1/completions`."""
    request: str
    status: str
    """Empty where no answer began."""
    answer: str
    lost: str = ""
    """Why there is no whole answer."""
    about: bool = False
    """Whether it is the one that the check failed by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of one check, whether the manifest demands it or not."""

    check: str
    title: str
    kind: Kind
    verdict: Verdict
    reason: str
    evidence: tuple[Evidence, ...] = ()
    duration_s: float = 0.0
    """How long the check took, without what it waited for."""
    waited_s: float = 0.0
    """How long it waited before until the server was ready."""
    measured: bool = True
    demanded: bool = True
    load: Load | None = None
    """What the machine did while the check ran."""
    log: str = ""
    nodeid: str = ""
    exchanges: tuple[Exchange, ...] = ()
    """What it sent last and was answered, where it did not pass: the one that it failed by first, then the newest."""
    items: FailedItems | None = None
    """Of an eval that did not pass, what it got wrong."""

    @property
    def missing(self) -> bool:
        """True where the spec demands an answer and this run has none."""
        return self.demanded and not self.measured

    @property
    def samples(self) -> int:
        """How many samples the check rests on; metrics of one measurement share theirs."""
        return max((evidence.n for evidence in self.evidence), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """A check that the server has nothing for, and that its spec does not demand: neither good nor bad."""

    check: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaivedCheck:
    """A check that the spec waives, and what came of that."""

    check: str
    waiver: Waiver
    use: str
    """What the waiver did in this run, such as `not needed any more: the check passes`."""
    needed: bool
    """Whether a miss is accepted because of it."""

    @property
    def line(self) -> str:
        made = f", made on {self.waiver.made_on}" if self.waiver.made_on else ""
        return f"{self.check} {self.waiver}{made}: {self.use}"


def ends_of_waivers(waived: Iterable[WaivedCheck]) -> list[str]:
    """The last day, YYYY-MM-DD, of each waiver that the run needs."""
    return [one.waiver.ends_on for one in waived if one.needed]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneOn:
    """A break, behind which the run was gone on with by another process."""

    broke_off_at: str
    """When the last check before it ended."""
    resumed_at: str
    seconds: float
    why: str
    """What ended the process before it."""
    measured: int
    """How many demanded checks had been measured before it."""
    demanded: int

    @property
    def line(self) -> str:
        """In one sentence."""
        checks = f"{self.measured} of {plural(self.demanded, 'check')}"
        verb = "was" if self.measured == 1 else "were"
        return f"gone on with after a break of {duration(self.seconds)}; {checks} {verb} measured before it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A JSON document of the run's folder, or why there is none."""

    content: Mapping[str, Any] = field(default_factory=dict)
    absent: str = ""
    """Empty where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that was not so in the run before."""

    topic: str
    name: str
    before: str
    after: str
    effect: str
    """`worse`, `better`, `changed` or `undecided`."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """The run of the same cell before this one, and what changed since, most important first."""

    folder: str
    """Its name, beside this run's."""
    report: str
    """The way to its page from this one; empty where it has none."""
    started_at: str
    title: str
    """Its outcome, with its tier."""
    line: str
    """How many changes there are of each effect."""
    differences: tuple[Difference, ...]
    more: int
    """How many there are besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One thing that was measured, by its digest."""

    name: str
    sha256: str
    taken_from: str
    """Who says so: the process, files, the spec, the server, the machine."""
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a report comes from."""

    folder: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    """(name, value)"""
    subjects: tuple[Subject, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    """What of them is not known, and why."""
    files: tuple[str, ...] = ()
    """The raw ones, by their paths in the folder."""
    stands_for_all: str = ""
    """The digest of the line that tells of all raw files; empty where the run has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run of one cell. Two reports of the same records are equal."""

    decision: Decision
    cell: str
    model: str
    device: str
    impl: str
    workflow: str
    started_at: str
    finished_at: str
    """When the last check ended; empty where no record tells."""
    duration_s: float
    demanded: int
    """How many checks the manifest lists."""
    counts: Mapping[str, int]
    """Rows per verdict; a missing check without a record counts as INCONCLUSIVE."""
    samples: int
    rows: tuple[Row, ...]
    """In the order of the manifest, then whatever else was recorded."""
    missing: tuple[str, ...]
    """Checks on the manifest that no record measured."""
    not_offered: tuple[Absence, ...] = ()
    """What the server does not have, and the spec does not say that it has."""
    partial: tuple[str, ...]
    environment: Attachment
    launch_plan: Attachment
    settings: Mapping[str, Any]
    hallmark_version: str
    load: LoadHistory = field(default_factory=LoadHistory)
    """How busy the machine was, through the run."""
    series: tuple[PointSeries, ...] = ()
    """Of each perf point that was measured, over the time of its window."""
    draft: str = ""
    """`draft: missing ...` where the spec lacks what a certificate needs; empty where it lacks nothing."""
    notes: tuple[str, ...] = ()
    """What a reader must know of the spec, such as that it stands in the place of another."""
    waived: tuple[WaivedCheck, ...] = ()
    """Each check that the spec waives, whether this run needed that or not."""
    waiver_limits: WaiverLimits | None = None
    """What those had to keep to; None of a run that was made before there was a policy."""
    provenance: Provenance = field(default_factory=Provenance)
    previous: Previous | None = None
    """What changed since the run before; None where there is none beside it."""
    valid_until: str = ""
    """The last day on which it counts, YYYY-MM-DD in UTC: of its own days, or of the first waiver that it needs. Empty where the
    manifest tells no days."""
    certificate: str = ""
    """How certificate.json was signed when this report was made, in a clause; empty where the run has none."""
    breaks: tuple[GoneOn, ...] = ()
    """Where the run broke off and was gone on with; what lies on two sides of one was measured by two processes."""

    @property
    def waited_s(self) -> float:
        """How long it took in all until the server was ready."""
        return sum(row.waited_s for row in self.rows)

    def of_kind(self, kind: Kind) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.kind == kind)
