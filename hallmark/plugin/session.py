"""One acceptance session: which cells, and what hooks do with their items, reports and ends.

Records travel on the test reports, so that one recorder serves a plain run and the controller of an
xdist run alike; only the process that has the terminal writes manifest, records and report.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hallmark import __version__
from hallmark.client.errors import ConnectionLost
from hallmark.core.errors import CheckFailed, Disturbed, HallmarkError, HarnessError, SpecError, UsageError
from hallmark.core.load import Miss, explanation
from hallmark.core.progress import Line, Progress
from hallmark.core.records import Waiver, record_from_plain
from hallmark.core.redact import Redactor
from hallmark.core.verdict import Verdict
from hallmark.plugin.causes import Causes
from hallmark.plugin.cell_run import CellRun, RunStamp, open_folder
from hallmark.plugin.cells import REF, in_order, parametrise, refer
from hallmark.plugin.checks import Check, CheckRef
from hallmark.plugin.decisions import stopped
from hallmark.plugin.drafts import unacceptable
from hallmark.plugin.ending import Ending
from hallmark.plugin.interrupts import Interrupts
from hallmark.plugin.item_record import CHECK, LOAD, STARTED, note, plain_record, record_of
from hallmark.plugin.options import Options
from hallmark.plugin.outcome import NotMeasured, outcome_of, speaks_for_itself
from hallmark.plugin.settling import settle
from hallmark.plugin.suite import suite_items
from hallmark.serving.server import Death, lost
from hallmark.specs.catalogue import Catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.checks import demanded
from hallmark.specs.secrets import spec_secrets

if TYPE_CHECKING:
    from hallmark.plugin.cell_tools import CellTools
    from hallmark.serving.testbed import Testbed

WORKER_FOLDERS = "hallmark_folders"
RECORD = "hallmark_record"
REPEATS = "hallmark_repeats"
"""On a report whose cause another check has told already."""
MISUSE = "hallmark_misuse"
"""On a report that ended with what only a person's other words can mend: an option, a spec."""
_WITHOUT_DEVICE = ("spec", "extra")
"""Kinds of checks that are judged also where the device is absent; one of them that asks for it, or for the server, is void."""
_DEATH_SHOWS_WITHIN_S = 0.5
"""A connection breaks before the process that held it is reaped."""


def _refs(items: Iterable[pytest.Item]) -> list[CheckRef]:
    return [ref for item in items if (ref := item.stash.get(REF, None))]


class AcceptanceSession:
    """Registered as a plugin once there is something to certify."""

    def __init__(
        self, config: pytest.Config, options: Options, catalogue: Catalogue, cells: Sequence[Cell], interrupts: Interrupts
    ) -> None:
        self.config = config
        self.options = options
        self.catalogue = catalogue
        self.cells = {cell.id: cell for cell in cells}
        self.progress = Progress(self._terminal)
        self.redactor = Redactor.of_environment(os.environ, extra=spec_secrets(cells))
        now = datetime.now(UTC)
        self.stamp = RunStamp(
            utc=now.strftime("%Y%m%dT%H%M%SZ"), artifacts=options.artifacts, started_at=now.isoformat(timespec="seconds")
        )
        self.evaluated: frozenset[str] = frozenset()
        """The cells that lm-eval will be asked about."""
        self._runs: dict[str, CellRun] = {}
        self._tools: dict[str, CellTools] = {}
        self._causes = Causes()
        self.ending = Ending(config, options, interrupts)

    def _terminal(self) -> Line | None:
        """Where pytest writes; nowhere in a worker of xdist."""
        return self.config.get_terminal_writer() if self.config.pluginmanager.hasplugin("terminalreporter") else None

    # -- collection ----------------------------------------------------------------------------------------------

    def pytest_report_header(self) -> list[str]:
        shown = ", ".join(list(self.cells)[:4]) + (f" and {len(self.cells) - 4} more" if len(self.cells) > 4 else "")
        header = [f"hallmark {__version__}: {shown}", f"  {self.redactor(self.options.header())}"]
        notes = dict.fromkeys(self.redactor(note) for cell in self.cells.values() for note in cell.notes)
        return [*header, *(f"  {line}" for line in (*notes, *unacceptable(self.cells.values())))]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        parametrise(metafunc, list(self.cells.values()))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> Generator[None, None, None]:
        items += suite_items(session)
        cells = list(self.cells.values())
        if left_out := refer(items, cells, guarded=self.options.guarded):
            self.config.hook.pytest_deselected(items=left_out)
        yield
        # Afterwards, because pytest itself regroups items by the parameters of a user's own session fixtures.
        items[:] = in_order(items, cells)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        # What is collected lives until the end. Ten thousand checks would cost each full garbage collection a tenth
        # of a second and more: one before each perf window, and three at exit.
        gc.freeze()
        evals = (item for item in session.items if "evaluate" in getattr(item, "fixturenames", ()))
        self.evaluated = frozenset(ref.cell for ref in _refs(evals))
        if self.config.option.collectonly or hasattr(self.config, "workerinput"):
            return
        # Of a whole run each cell has its manifest, also one that a conftest left no test of.
        collected = dict.fromkeys(ref.cell for ref in _refs(session.items))
        for cell in collected if self.options.narrowed_by else self.cells:
            self.run_of(cell)

    # -- runs and testbeds ---------------------------------------------------------------------------------------

    def run_of(self, cell_id: str) -> CellRun:
        if cell_id not in self._runs:
            cell = self.cells[cell_id]
            try:
                folder = open_folder(cell, self.options, self.stamp, redact=self.redactor)
            except HallmarkError as exc:
                self.ending.error = exc
                raise stopped(self.config, exc) from exc
            self._runs[cell_id] = CellRun(cell, folder, redactor=self.redactor)
        return self._runs[cell_id]

    def folder_of(self, cell_id: str) -> Path:
        """The cell's folder; a worker is told by its controller."""
        told: dict[str, str] | None = getattr(self.config, "workerinput", {}).get(WORKER_FOLDERS)
        return Path(told[cell_id]) if told is not None else self.run_of(cell_id).folder

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """xdist: the controller opens the folders and tells its workers where they are."""
        node.workerinput[WORKER_FOLDERS] = {cell: str(self.run_of(cell).folder) for cell in self.cells}

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """xdist may spread cells over its workers, never the checks of one cell."""
        from hallmark.plugin.distribution import CellScheduling

        return CellScheduling(config, log, self.cells)

    def tools(self, cell_id: str) -> CellTools:
        """What the tests of the cell share."""
        if cell_id not in self._tools:
            from hallmark.plugin.cell_tools import CellTools  # brings the HTTP and tokenizer libraries

            cell = self.cells[cell_id]
            testbed = self.testbed_of(cell, self.folder_of(cell_id))
            self._tools[cell_id] = CellTools(cell, testbed, on_death=lambda death: self._announce(cell, death))
        return self._tools[cell_id]

    def testbed_of(self, cell: Cell, folder: Path) -> Testbed:
        """A testbed of the cell, as the options want it, that writes into `folder`."""
        from hallmark.plugin.cell_tools import make_testbed

        return make_testbed(
            cell,
            self.options,
            folder=folder,
            root=self.config.rootpath,
            redactor=self.redactor,
            progress=self.progress,
            say=self.progress.say,
        )

    def _announce(self, cell: Cell, death: Death) -> None:
        """Called from the watching thread the moment a server dies, once."""
        lines = "\n    ".join(death.log_tail.splitlines()[-8:])
        self.progress.say(self.redactor(f"SERVER LOST - {cell.id}: {death}" + (f"\n    {lines}" if lines else "")))

    # -- running -------------------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        ref = item.stash.get(REF, None)
        if ref is None:
            return
        item.stash[STARTED] = datetime.now(UTC).isoformat(timespec="milliseconds")
        item.stash[CHECK] = Check(ref)
        if ref.kind not in _WITHOUT_DEVICE:
            self.tools(ref.cell).testbed.require_device()
        first = self._causes.of_death(ref.cell)
        if first and "server" in getattr(item, "fixturenames", ()):
            raise NotMeasured(f"server lost (see {first})")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        check = item.stash.get(CHECK, None)
        if check is None:
            return (yield)
        window = self.tools(check.ref.cell).load.window()
        try:
            with window:
                result = yield
                settle(item, check, self.cells[check.ref.cell])
        except (CheckFailed, HallmarkError) as exc:
            if why := explanation(window.load, Miss(late_s=exc.late_s)):
                raise Disturbed(f"{why}; {exc}") from exc
            raise
        finally:
            item.stash[LOAD] = window.load
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
        """With the last check of a cell its server goes; a death that no check met is raised here, at the latest."""
        result = yield
        ref = item.stash.get(REF, None)
        following = nextitem.stash.get(REF, None) if nextitem else None
        if ref and (following is None or following.cell != ref.cell):
            tools = self.tools(ref.cell)
            tools.testbed.look_again()
            death = tools.testbed.death
            tools.close()
            if death and not self._causes.of_death(ref.cell):
                raise lost(death)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        ref = item.stash.get(REF, None)
        if ref is None:
            return report
        if call.excinfo is not None:
            self._tell(item, ref, report, exc=self._root_cause(ref, call.excinfo.value), during_call=call.when == "call")
        self._redact(report)
        if call.when == "teardown":
            setattr(report, RECORD, plain_record(record_of(item, ref, default_start=self.stamp.started_at)))
        return report

    def _redact(self, report: pytest.TestReport) -> None:
        """A traceback shows what a test had in its hands."""
        if (report.failed or hasattr(report, "wasxfail")) and (
            shown := self.redactor(report.longreprtext)
        ) != report.longreprtext:
            report.longrepr = shown
        report.sections = [(title, self.redactor(content)) for title, content in report.sections]

    def _tell(
        self, item: pytest.Item, ref: CheckRef, report: pytest.TestReport, *, exc: BaseException, during_call: bool
    ) -> None:
        """Note what `exc` means for the check, and say it on the terminal in one line, once."""
        outcome = outcome_of(exc, during_call=during_call)
        first = self._causes.first_to_meet(exc, ref)
        if first != ref.check:
            outcome = replace(outcome, reason=f"same cause as {first}", log="")
        note(item, outcome)
        missed = outcome.verdict is Verdict.FAIL and outcome.measured and not outcome.server_lost
        if missed and (waiver := self._waiver(ref)):
            # pytest's own word for a failure that is known; the report weighs it anew.
            report.outcome, report.wasxfail = "skipped", str(waiver)
        if isinstance(exc, UsageError | SpecError):
            setattr(report, MISUSE, self.redactor(str(exc)))
        if first != ref.check or isinstance(exc, NotMeasured):
            setattr(report, REPEATS, True)
            report.longrepr = outcome.reason
        elif speaks_for_itself(exc) and not self.config.option.verbose > 0:
            report.longrepr = str(exc)

    def _waiver(self, ref: CheckRef) -> Waiver | None:
        """The waiver of that check, where it has one that holds in this run."""
        entries = demanded(self.cells[ref.cell], guarded=True)
        waivers = (entry.waiver for entry in entries if entry.check == ref.check and entry.waiver)
        return next((waiver for waiver in waivers if waiver.holds(self.stamp.started_at)), None)

    def _root_cause(self, ref: CheckRef, exc: BaseException) -> BaseException:
        """A check that fails because the server died is about that death; the first one carries the blame."""
        if isinstance(exc, NotMeasured | pytest.skip.Exception):
            return exc
        testbed = self.tools(ref.cell).testbed
        wait_s = _DEATH_SHOWS_WITHIN_S if isinstance(exc, ConnectionLost | HarnessError) else 0.0
        if not testbed.has_died(within_s=wait_s) or testbed.death is None:
            return exc
        first = self._causes.blame_death(ref)
        return lost(testbed.death) if first == ref.check else NotMeasured(f"server lost (see {first})")

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """One cause fills the terminal once: what it kept from being measured is counted, not listed."""
        if getattr(report, REPEATS, False):
            return "not measured", "-", "NOT MEASURED"
        return None

    # -- recording and the end -----------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.progress.clear()  # before pytest writes its letter
        if misuse := getattr(report, MISUSE, ""):
            self.ending.misuse = self.ending.misuse or UsageError(misuse)
        plain = getattr(report, RECORD, None)
        if plain is not None and not hasattr(self.config, "workerinput"):
            try:
                record = record_from_plain(plain)
                self.run_of(record.cell).append(record)
            except HallmarkError as exc:
                self.ending.error = exc
                pytest.exit(str(exc), returncode=exc.exit_code)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """By a person or a signal; pytest and xdist have kinds of it for `-x` and for what cannot be collected, too."""
        self.ending.stopped = type(excinfo.value) is KeyboardInterrupt or isinstance(excinfo.value, pytest.exit.Exception)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """After the fixtures are torn down: close what is open, decide, and let no green hide a missing check."""
        self.progress.clear()
        self._close()
        if not (hasattr(self.config, "workerinput") or self.config.option.collectonly):
            self.ending.decide(self._runs)
            session.exitstatus = self.ending.exit_code(session.exitstatus)

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self) -> None:
        """A session that was interrupted before it had begun is not finished by pytest; its folders may be there already."""
        if self._runs and not self.ending.decided:
            self._close()
            self.ending.decide(self._runs)

    def _close(self) -> None:
        """End what still runs. What cannot be ended is told, and keeps no report from being written."""
        for tools in self._tools.values():
            try:
                tools.close()
            except HallmarkError as exc:
                self.progress.say(self.redactor(str(exc)))
                if not self.ending.interrupted:
                    self.ending.error = self.ending.error or exc

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Last of all summaries: what was decided is what a person came for."""
        if self.ending.error:
            terminalreporter.write_line(f"hallmark: {self.ending.error}", red=True, bold=True)
        if self.config.option.collectonly:
            # Again: a long list has scrolled the header away, and -q shows none.
            for line in unacceptable(self.cells.values()):
                terminalreporter.write_line(line)
        if self.ending.interrupted and not self.ending.reports:
            terminalreporter.write_sep("=", "hallmark: INTERRUPTED", red=True, bold=True)
            terminalreporter.write_line("The run was stopped before anything was measured.")
        if not self.ending.reports:
            return
        from hallmark.plugin.summary import summarise

        for report in self.ending.reports:
            folder = None if self.options.decisions else self._runs[report.cell].folder
            summarise(terminalreporter, report, folder=folder, redact=self.redactor)
