"""One cell's part of a run: its folder, its manifest, its records and, at the end, its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hallmark import __version__
from hallmark.core.breaks import OTHER_SUBJECTS_CHECK, Break, measured_subjects, other_subjects
from hallmark.core.exchanges import append_exchanges
from hallmark.core.extensions import extensions
from hallmark.core.file_digests import digest_folder
from hallmark.core.files import Hold, new_folder, only_folder, require_space, write_json, write_text
from hallmark.core.operator import operator
from hallmark.core.own_code import tests_digest
from hallmark.core.records import MANIFEST_FILE, RECORDS_FILE, Manifest, Record, RecordLog, to_plain, without_secrets
from hallmark.core.redact import Redactor, masked
from hallmark.core.run_log import NAME as RUN_LOG
from hallmark.core.subjects import SUBJECTS_FILE
from hallmark.core.verdict import Verdict
from hallmark.plugin.options import Options
from hallmark.specs.cell import Cell
from hallmark.specs.checks import demanded
from hallmark.specs.obstacles import gaps_of
from hallmark.specs.suites import Suite

if TYPE_CHECKING:
    from hallmark.core.dsse import Envelope
    from hallmark.evals.reference import Reference
    from hallmark.report.document import Report

Sign = Callable[["Envelope"], "Envelope"]
SUBFOLDERS = ("evals", "perf")
LOGS_OF_OTHERS = ("server.log", "gateway.log", "runtime.log", "evals/lm_eval.log")
"""Written by other programs as they run; what secrets those print is taken out when they have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStamp:
    """What the folders of one run have in common."""

    utc: str
    """Start of the run, e.g. 20261121T093000Z."""
    artifacts: Path
    started_at: str
    """The same moment in ISO 8601."""


def open_folder(cell: Cell, options: Options, stamp: RunStamp, *, redact: Callable[[str], str]) -> Path:
    """A new folder for `cell`, with its manifest written before anything runs."""
    named = f"{stamp.utc}-{cell.id}-{options.workflow}"
    folder = only_folder(options.run_folder) if options.run_folder else new_folder(stamp.artifacts, named)
    for name in SUBFOLDERS:
        (folder / name).mkdir()
    write_json(folder / MANIFEST_FILE, plain_manifest(cell, options, stamp, redact=redact))
    return folder


def plain_manifest(cell: Cell, options: Options, stamp: RunStamp, *, redact: Callable[[str], str]) -> dict[str, Any]:
    """What a run with those options demands of the cell, as its folder has it."""
    from hallmark.specs.model_spec import ModelSpec  # a collection should not pay for it

    manifest = Manifest(
        cell=cell.id,
        model=cell.model,
        device=cell.device,
        impl=cell.impl.name,
        workflow=options.workflow,
        started_at=stamp.started_at,
        entries=demanded(cell, guarded=options.guarded, attached=options.attached),
        partial=(*options.narrowed_by, *options.other_server, *_other_image(cell, options.image)),
        gaps=gaps_of(cell),
        notes=cell.notes,
        settings={s.name: {"value": s.value, "origin": s.origin} for s in options.settings if s.value},
        spec=masked(ModelSpec.of(cell).to_dict()),
        chained=True,
        waiver_limits=cell.waiver_limits,
        valid_days=cell.valid_days,
    )
    return without_secrets(to_plain(manifest), redact)


def subjects_of(cell: Cell) -> dict[str, str]:
    """What is put on record of what is measured and by what, before anything is: a run that breaks off is held against it."""
    from hallmark.evals.weights_mark import weights_mark

    suites: tuple[Suite, ...] = extensions().answers("checks")
    return {
        "tests": tests_digest(suite.folder for suite in suites),
        "weights": weights_mark(cell.weights, cell.spec_file),
    }


def _other_image(cell: Cell, image: str) -> tuple[str, ...]:
    """Why a run of that image certifies nothing: the spec names another one."""
    named = cell.impl.image
    return (f"--image {image}: the spec's is {named}",) if image and named and image != named else ()


class CellRun:
    """Writes down what becomes of one cell. Lives where the reports arrive: in the xdist controller, if there is one."""

    def __init__(self, cell: Cell, folder: Path, *, redactor: Redactor, sign: Sign | None = None) -> None:
        self.cell = cell
        self._sign = sign
        self.folder = folder
        self._redactor = redactor
        self._hold = Hold(folder)
        self._before: Mapping[str, str] = {}
        """The digests of what was measured before the run was gone on with."""
        self._log = RecordLog(folder / RECORDS_FILE, redactor)

    def resume(self, at: Break, *, compared: str, subjects: Mapping[str, str]) -> None:
        """Go on with what stands there; nothing of it is changed, but for a line that was cut.

        `subjects`: the digests of what was measured before, which is held against what this process measures.
        """
        require_space(self.folder)
        self._log = RecordLog.resumed(self.folder / RECORDS_FILE, self._redactor)
        self._log.resume(at, compared=compared, subjects=subjects)
        self._before = subjects
        # It tells of the server before the break, and the other documents will soon tell of the next one.
        (self.folder / SUBJECTS_FILE).unlink(missing_ok=True)

    def release(self) -> None:
        """Let others write in the folder; safe to call twice."""
        self._hold.release()

    def begin(self, reference: Reference | None) -> None:
        """Put on record what will be demanded, before anything is measured: the manifest, and the reference to compare with."""
        demanded = [MANIFEST_FILE]
        if reference:
            from hallmark.evals.reference import KEPT, write_reference

            write_reference(self.folder / KEPT, reference)
            demanded.append(KEPT)
        self._log.begin(hallmark=__version__, files=demanded, subjects=subjects_of(self.cell), operator=operator())

    def append(self, record: Record, exchanges: Sequence[str] = ()) -> None:
        """`exchanges`: the lines that the record has the digests of."""
        if exchanges:
            append_exchanges(self.folder, exchanges)
        self._log.append(record)

    def finish(self, *, interrupted: bool) -> Report:
        """Build the report from what stands in the folder, and render it there. The server has been stopped by now.

        What lies in the folder is put on record first: the report is made from that, and can be made again.
        """
        from hallmark.report.build import load
        from hallmark.report.certificate.files import CERTIFICATE_FILES
        from hallmark.report.previous import with_previous
        from hallmark.report.render import renderers, write_all

        self._redact_logs()
        self._write_subjects()
        for other in other_subjects(self._before, measured_subjects(self.folder)):
            check, reason = OTHER_SUBJECTS_CHECK, f"{other}: what was measured before it is of something else"
            self.append(
                Record(check=check, cell=self.cell.id, kind="extra", verdict=Verdict.ERROR, reason=reason, measured=False)
            )
        rendered = renderers()
        files = digest_folder(self.folder, without={*rendered, *CERTIFICATE_FILES, RECORDS_FILE})
        self._log.end(files, rendered=rendered, may_grow=(RUN_LOG, *LOGS_OF_OTHERS), interrupted=interrupted)
        report = with_previous(self._certified(load(self.folder, interrupted=interrupted)), self.folder)
        self._log.reported(path.name for path in write_all(report, self.folder))
        return report

    def _write_subjects(self) -> None:
        """What is known without a server, where none was ready: one that was has been put on record then."""
        from hallmark.core.subjects import write_subjects
        from hallmark.serving.subjects import Seen, gather

        if not (self.folder / SUBJECTS_FILE).exists():
            write_subjects(self.folder, gather(self.folder, self.cell, Seen(), self._redactor))

    def _certified(self, report: Report) -> Report:
        """The report with how its certificate is signed, which is written here where the run decided something."""
        from hallmark.report.certificate.files import state_in, statements, write
        from hallmark.report.certificate.made import DECIDED, certified

        if report.decision.outcome not in DECIDED:
            return report
        try:
            write(self.folder, statements(certified(self.folder, report)), *([self._sign] if self._sign else []))
        except Exception as exc:  # what was measured is worth a report all the same
            return replace(report, certificate=self._redactor(f"not written: {type(exc).__name__}: {exc}"))
        return replace(report, certificate=state_in(self.folder))

    def _redact_logs(self) -> None:
        for path in (self.folder / name for name in LOGS_OF_OTHERS):
            if path.is_file():
                said = path.read_text(encoding="utf-8", errors="replace")
                if (shown := self._redactor(said)) != said:
                    write_text(path, shown)
