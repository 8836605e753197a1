"""All looks at one folder, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hallmark.core.errors import HallmarkError, UsageError
from hallmark.core.records import MANIFEST_FILE, RECORDS_FILE
from hallmark.core.wording import one_line, plural
from hallmark.report.build import load
from hallmark.report.certificate.files import CERTIFICATE_FILE
from hallmark.report.document import EXIT_CODES, Report
from hallmark.signing.keys import PublicKey
from hallmark.workflows.verify.breaks_look import look_at_breaks
from hallmark.workflows.verify.certificate_look import look_at_certificate
from hallmark.workflows.verify.chain_look import look_at_chain
from hallmark.workflows.verify.dates_look import look_at_dates
from hallmark.workflows.verify.demands_look import look_at_demands
from hallmark.workflows.verify.evidence_look import look_at_evidence
from hallmark.workflows.verify.exchanges_look import look_at_exchanges
from hallmark.workflows.verify.files_look import look_at_files
from hallmark.workflows.verify.finding import Finding, Weight, altered
from hallmark.workflows.verify.json_look import look_at_json
from hallmark.workflows.verify.log_look import look_at_log
from hallmark.workflows.verify.looks import Found, looked
from hallmark.workflows.verify.report_look import look_at_report
from hallmark.workflows.verify.run_folder import RunFolder
from hallmark.workflows.verify.subjects_look import look_at_subjects

ALTERED = 5
"""The folder is not as its run wrote it."""
BEFORE_CHAINS = 6
"""Its run was made before hallmark recorded chains."""

Look = Callable[[RunFolder], Iterable[Finding]]
LOOKS: tuple[Look, ...] = (
    look_at_chain,
    look_at_breaks,
    look_at_files,
    look_at_json,
    look_at_dates,
    look_at_demands,
    look_at_subjects,
    look_at_log,
)
"""What is looked at before anything is derived; the next one is a file and a place here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(Found):
    """What was found in one folder."""

    report: Report | None
    """What was derived from the records; None where nothing could be."""
    ended: bool
    """Whether the run came to its end."""
    looked_at: str
    """How much of it there was."""
    stands_for_all: str = ""
    """The digest of the line that tells of all files; empty where the run has none."""

    @property
    def exit_code(self) -> int:
        """As the run itself ended where nothing is altered: 0 says that it was accepted, and rightly."""
        if self.altered or self.report is None:
            return ALTERED
        if not self.ended:
            return EXIT_CODES["INCOMPLETE"]
        return EXIT_CODES["INCONCLUSIVE"] if self.of(Weight.UNDECIDED) else self.report.decision.exit_code

    @property
    def valid_until(self) -> str:
        """The last day on which it counts; empty where it tells none."""
        return self.report.valid_until if self.report else ""

    @property
    def headline(self) -> str:
        if self.altered or self.report is None:
            are = "thing is" if len(self.altered) == 1 else "things are"
            return f"ALTERED: {len(self.altered)} {are} not as the run wrote it in {self.folder}"
        if not self.ended:
            return f"INCOMPLETE: {self.folder}: the run was ended before its end; as it wrote them: {self.looked_at}"
        if self.of(Weight.UNDECIDED):
            return f"NOT DECIDED: {self.folder}: whether it is as its run wrote it, this hallmark cannot tell"
        return f"VERIFIED: {self.report.decision.title} - {self.folder}; as the run wrote them: {self.looked_at}"


def verify(folder: Path, *, keys: Sequence[PublicKey] = (), with_certificate: bool = True) -> Verification | None:
    """Look at the folder of a run; None where the run was made before hallmark recorded chains. UsageError where it is none.

    Each of `keys` must have signed its certificate, which is looked at unless another one is to be made.
    """
    if not (folder / MANIFEST_FILE).is_file() and not (folder / RECORDS_FILE).is_file():
        raise UsageError(f"holds no run (no {MANIFEST_FILE})", where=str(folder), hint="name a folder below artifacts/")
    run = RunFolder(folder)
    if run.manifest is not None and not run.manifest.chained and not any(run.last(m) for m in ("begins", "ends", "reported")):
        return None
    findings = [finding for look in LOOKS for finding in looked(partial(look, run), run.path)]
    report = _derived(run, findings)
    if report is not None:
        looks: tuple[Look, ...] = (partial(look_at_report, derived=report), look_at_evidence, look_at_exchanges)
        if with_certificate:
            looks = (*looks, partial(look_at_certificate, report=report, keys=keys))
        findings.extend(finding for look in looks for finding in looked(partial(look, run), run.path))
    return Verification(
        folder=folder,
        findings=tuple(findings),
        report=report,
        ended=run.ended and not run.cut_line,
        looked_at=_counted(run),
        stands_for_all=end.digest if (end := run.last("ends")) else "",
    )


def _derived(run: RunFolder, findings: list[Finding]) -> Report | None:
    """The report that the records give; where there is none, why, unless that follows from what was found."""
    try:
        return load(run.path)
    except Exception as exc:
        if not any(finding.weight is Weight.ALTERED for finding in findings):
            told = (exc.where, exc.message) if isinstance(exc, HallmarkError) else ("", f"{type(exc).__name__}: {exc}")
            findings.append(altered(told[0] or str(run.path), one_line(told[1])))
        return None


def _counted(run: RunFolder) -> str:
    files: dict[str, dict[str, int]] = run.stated("ends", "files")
    records = sum("check" in line.content for line in run.lines)
    rows = sum(file.get("rows", 0) for file in files.values() if isinstance(file, dict))
    if not files:
        return plural(records, "record")
    return f"{plural(records, 'record')}, {plural(len(files), 'file')} and their {plural(rows, 'row')}"


def told(found: Verification) -> Iterator[str]:
    """The lines for a person: the summary, what is altered, what could not be derived."""
    yield found.headline
    yield from (f"the run was {one.line}" for one in (found.report.breaks if found.report else ()))
    yield from found.listed(
        (Weight.ALTERED, ""),
        (Weight.UNDECIDED, "not decided, as another hallmark judged the run, or as it cannot be looked at:"),
        (Weight.DERIVED, "derived anew from the raw rows, by the gates that judged them:"),
        (Weight.NOT_DERIVED, "not derived:"),
        (Weight.SIGNATURE, "signatures:"),
    )
    if found.stands_for_all and not found.altered:
        signed = any(finding.where == CERTIFICATE_FILE for finding in found.of(Weight.SIGNATURE))
        by = f"{CERTIFICATE_FILE} states it" if signed else "nobody signed it, so that it tells of changes and not of who made it"
        yield f"sha256:{found.stands_for_all} stands for all of it; {by}"
