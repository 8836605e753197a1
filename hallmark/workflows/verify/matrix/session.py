"""All looks at the folder of a matrix, or of several that were joined, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from hallmark.core.errors import HallmarkError
from hallmark.core.wording import one_line, plural
from hallmark.fleet.journal import Finished, Resumed
from hallmark.fleet.matrix_file import EVENTS_FILE
from hallmark.fleet.result.build import load
from hallmark.fleet.result.document import MatrixReport
from hallmark.fleet.result.reading import MERGED_FILE, SITES_FOLDER, JoinedSite, SiteFolder, read_joined, sites_in
from hallmark.report.document import EXIT_CODES
from hallmark.signing.keys import PublicKey
from hallmark.workflows.verify.finding import Finding, Weight, altered
from hallmark.workflows.verify.looks import Found, looked
from hallmark.workflows.verify.matrix.cells_look import look_at_cells
from hallmark.workflows.verify.matrix.journal_look import look_at_journal
from hallmark.workflows.verify.matrix.report_look import look_at_certificate, look_at_report
from hallmark.workflows.verify.session import ALTERED


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixVerification(Found):
    """What was found in the folder of a matrix."""

    report: MatrixReport | None
    """What was derived from the folder; None where nothing could be."""

    @property
    def ended(self) -> bool:
        """Whether every driver came to its end."""
        return self.report is not None and all(site.finished for site in self.report.sites)

    @property
    def valid_until(self) -> str:
        """The last day on which all of it counts; empty where no run tells one."""
        return self.report.valid_until if self.report else ""

    @property
    def exit_code(self) -> int:
        """As the matrix itself ended where nothing is altered: 0 says that every cell was accepted, and rightly."""
        if self.altered or self.report is None:
            return ALTERED
        if self.of(Weight.UNDECIDED):
            return EXIT_CODES["INCONCLUSIVE"]
        code = self.report.decision.exit_code
        return EXIT_CODES["INCOMPLETE"] if code == 0 and not self.ended else code

    @property
    def headline(self) -> str:
        if self.altered or self.report is None:
            are = "thing is" if len(self.altered) == 1 else "things are"
            return f"ALTERED: {len(self.altered)} {are} not as the matrix wrote it in {self.folder}"
        if self.of(Weight.UNDECIDED):
            return f"NOT DECIDED: {self.folder}: whether it is as its matrix wrote it, this hallmark cannot tell"
        looked_at = f"as they were written: {_looked_at(self.report)}"
        if not self.ended:
            return f"INCOMPLETE: {self.folder}: the matrix was ended before its end; {looked_at}"
        return f"VERIFIED: {self.report.decision.title} - {self.folder}; {looked_at}"


def verify_matrix(folder: Path, *, keys: Sequence[PublicKey] = (), with_certificate: bool = True) -> MatrixVerification:
    """Look at the folder of a matrix, and at the run of each cell that counts. UsageError where it is none.

    Each of `keys` must have signed its certificate, which is looked at unless another one is to be made.
    """
    findings = list(_parts(folder))
    report = _derived(folder, findings)
    if report is not None:
        sites = sites_in(folder)
        findings += looked(partial(look_at_report, folder, sites, report), folder)
        if with_certificate:
            findings += looked(partial(look_at_certificate, folder, sites, report, keys), folder)
    return MatrixVerification(folder=folder, findings=tuple(findings), report=report)


def _parts(folder: Path) -> Iterator[Finding]:
    """What the report is made of: the journal and the cells of one matrix, or whole matrices, each with all that is in it."""
    if not (folder / MERGED_FILE).is_file():
        (site,) = sites_in(folder)
        yield from looked(partial(look_at_journal, site), folder)
        if _readable(site):
            yield from looked(partial(look_at_cells, site), folder)
            yield from looked(partial(_exit_code, site), folder)
        return
    joined = read_joined(folder)
    for one in joined.sites:
        yield from _site(folder, one)
    known = {one.folder for one in joined.sites}
    for path in sorted((folder / SITES_FOLDER).glob("*")):
        if f"{SITES_FOLDER}/{path.name}" not in known:
            yield altered(f"{SITES_FOLDER}/{path.name}", f"was added: {MERGED_FILE} tells of no such matrix")


def _site(folder: Path, one: JoinedSite) -> Iterator[Finding]:
    """One of those that were joined, looked at as a matrix by itself."""
    path = folder / one.folder
    if not (path / EVENTS_FILE).is_file():
        yield altered(one.folder, f"is missing, and is one of the matrices of {MERGED_FILE}")
        return
    lines = SiteFolder(path=path, folder=one.folder).lines
    if not lines or lines[0] != one.identity:
        yield altered(one.folder, f"is another matrix than {MERGED_FILE} tells of")
    elif lines[-1] != one.chain:
        yield altered(one.folder, f"has other events than when it was joined: {MERGED_FILE} has another digest of its end")
    for finding in verify_matrix(path).findings:
        yield replace(finding, where=f"{one.folder}: {finding.where}")


def _readable(site: SiteFolder) -> bool:
    """Whether there is a plan and a journal to go by; where there is none the look at the journal said why."""
    try:
        return bool(site.standing.cells)
    except (HallmarkError, OSError):
        return False


def _exit_code(site: SiteFolder) -> Iterator[Finding]:
    """What the driver ended with is what its cells give."""
    last = [event for event in site.events if isinstance(event, Finished | Resumed)]
    if last and isinstance(last[-1], Finished):
        derived = load(site.path).decision.exit_code
        if last[-1].exit_code != derived:
            yield altered(EVENTS_FILE, f"tells of exit code {last[-1].exit_code}, and the cells give {derived}")


def _derived(folder: Path, findings: list[Finding]) -> MatrixReport | None:
    """The report that the folder gives; where there is none, why, unless that follows from what was found."""
    try:
        return load(folder)
    except Exception as exc:
        if not any(finding.weight is Weight.ALTERED for finding in findings):
            findings.append(altered(str(folder), one_line(exc.message if isinstance(exc, HallmarkError) else str(exc))))
        return None


def _looked_at(report: MatrixReport) -> str:
    runs = sum(bool(cell.digest) for cell in report.cells)
    events = sum(site.events for site in report.sites)
    return f"{plural(events, 'event')}, {plural(len(report.cells), 'cell')} and {plural(runs, 'run')} of them"


def told(found: MatrixVerification) -> Iterator[str]:
    """The lines for a person: the summary, what is altered, what could not be derived, who signed."""
    yield found.headline
    yield from found.listed(
        (Weight.ALTERED, ""),
        (Weight.UNDECIDED, "not decided, as another hallmark judged it, or as it cannot be looked at:"),
        (Weight.NOT_DERIVED, "not derived:"),
        (Weight.SIGNATURE, "signatures:"),
    )
    if found.report and not found.altered:
        yield from (f"sha256:{site.chain} stands for what happened for the driver on {site.name}" for site in found.report.sites)
