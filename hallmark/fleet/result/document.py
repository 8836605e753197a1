"""What the report of a matrix says. Plain values; knows neither files nor formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from hallmark.core.records import Evidence
from hallmark.core.wording import plural
from hallmark.report.document import EXIT_CODES, Outcome

CellVerdict = Outcome | Literal["REFUSED", "NOT RUN"]
"""What a cell of a matrix is: what its run was decided to be, or why there is no run that says so."""
CELL_EXIT_CODES: Mapping[str, int] = {**dict[str, int](EXIT_CODES.items()), "REFUSED": 2, "NOT RUN": 4}
"""CellVerdict -> the exit code of a matrix of that cell alone."""
DECIDED: tuple[CellVerdict, ...] = ("ACCEPTED", "REJECTED")
"""What a whole run ends with; anything else says nothing of its server."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """A perf point in short."""

    point: str
    figures: tuple[Evidence, ...]
    """Throughput, then the time to the first token, as far as they were measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a run measured, in short."""

    scores: tuple[tuple[str, Evidence], ...] = ()
    """(name of the eval, its score)"""
    speeds: tuple[Speed, ...] = ()
    causes: tuple[str, ...] = ()
    """What decided against it, the gravest first; of many the first few."""
    absent: str = ""
    """Why there are none, where the run's folder cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """One attempt at a cell, whatever came of it. Times are the driver's."""

    site: int
    """Which of the matrices that were joined it belongs to, by its place; 0 where none were."""
    number: int
    node: str
    slots: tuple[int, ...] = ()
    started_at: str
    ended_at: str
    """Empty where the journal tells of no end."""
    verdict: CellVerdict
    """NOT RUN of one that the journal does not tell the end of."""
    title: str
    """As a person reads it, such as `ACCEPTED at tier complete` or `VOID: lost`."""
    reason: str
    exit_code: int
    counts: bool = False
    """Whether it says what its cell is."""
    is_lost: bool = False
    remark: str = ""
    """What else must be known of it, such as an outcome that came too late to count."""
    folder: str
    """The way to it from the matrix's folder."""
    run_digest: str = ""
    """The line that ends its run's chain; empty where there is no whole run."""
    node_fault: str = ""
    """What was found wrong with the node before or after it."""
    began_at: str = ""
    """By the node's own clock."""
    seconds: float = 0.0

    @property
    def run(self) -> str:
        """The way to its run's folder."""
        return f"{self.folder}/run"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """One cell of the plan."""

    cell: str
    model: str
    device: str
    impl: str
    configuration: str
    verdict: CellVerdict
    title: str
    reason: str
    exit_code: int
    attempts: tuple[AttemptResult, ...] = ()
    counted: AttemptResult | None = None
    """The attempt that says what the cell is; None where none ended."""
    age_s: float | None = None
    """From when its run ended until the matrix did; None where no run did, or the clocks do not tell."""
    figures: Figures = field(default_factory=Figures)
    valid_until: str = ""
    """The last day on which its run counts, YYYY-MM-DD in UTC."""
    rivals: tuple[str, ...] = ()
    """Other whole runs of it that counted where they were made, and why they do not decide here: a sentence each."""

    @property
    def accepted(self) -> bool:
        return self.verdict == "ACCEPTED"

    @property
    def was_run(self) -> bool:
        """Whether an attempt says something of the cell, were it that its machine spoilt it."""
        return self.verdict not in ("NOT RUN", "REFUSED", "INTERRUPTED")

    @property
    def digest(self) -> str:
        """Of the run that counts; empty where there is no whole one."""
        return self.counted.run_digest if self.counted else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeResult:
    """A machine, and what befell it."""

    site: int
    name: str
    units: Mapping[str, int] = field(default_factory=dict)
    attempts: int = 0
    notes: tuple[str, ...] = ()
    """When it was lost, put in quarantine, refused something: a sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A matrix as one driver ran it."""

    name: str
    """Of the folder that it was made in."""
    folder: str
    """The way to it from the report's folder; empty where it is that folder."""
    identity: str
    """SHA-256 of the line that its journal begins with."""
    chain: str
    """SHA-256 of the last line, which stands for all of them."""
    plan: str
    """SHA-256 of matrix.json."""
    events: int
    on: str
    hallmark: str
    code: str
    began_at: str
    ended_at: str
    finished: bool
    """Whether its driver came to the end."""
    predicted_s: float
    """How long the plan expected it to take."""
    history: tuple[str, ...] = ()
    """When it was interrupted and gone on with: a sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixDecision:
    """Whether all of it may be released, and every reason why not."""

    outcome: CellVerdict
    complete: bool
    """Whether every planned cell was run."""
    exit_code: int
    headline: str
    causes: tuple[str, ...] = ()
    """A line for each cell that is not accepted, the worst first."""

    @property
    def accepted(self) -> bool:
        return self.outcome == "ACCEPTED"

    @property
    def title(self) -> str:
        """The outcome as it stands above all else."""
        told = self.complete or self.outcome in ("INCOMPLETE", "INTERRUPTED")
        return self.outcome if told else f"{self.outcome}, INCOMPLETE"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixReport:
    """A matrix, or several that were joined. Two reports of the same folder are equal."""

    decision: MatrixDecision
    counts: Mapping[str, int]
    """Cells per verdict."""
    cells: tuple[CellResult, ...]
    """In the order of the plan."""
    nodes: tuple[NodeResult, ...]
    sites: tuple[Site, ...]
    hallmark_version: str
    code: str
    """The digest of the code that made this report."""

    @property
    def began_at(self) -> str:
        return min((site.began_at for site in self.sites), default="")

    @property
    def ended_at(self) -> str:
        return max((site.ended_at for site in self.sites), default="")

    @property
    def retried(self) -> tuple[CellResult, ...]:
        """The cells that took more than one attempt where they were run."""
        return tuple(cell for cell in self.cells if len({one.site for one in cell.attempts}) < len(cell.attempts))

    @property
    def counted(self) -> str:
        """Such as `58 of 60 cells`."""
        return f"{sum(cell.accepted for cell in self.cells)} of {plural(len(self.cells), 'cell')}"

    @property
    def valid_until(self) -> str:
        """The last day on which all of it counts; empty where no run tells one."""
        return min((cell.valid_until for cell in self.cells if cell.valid_until), default="")
