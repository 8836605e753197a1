"""What the plugin did and when, in the log of each cell's folder: progress, warnings, what became of the checks, the end."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable

import pytest

from hallmark import __version__
from hallmark.core.records import record_from_plain
from hallmark.core.run_log import Level, RunLog
from hallmark.core.verdict import Verdict
from hallmark.core.wording import plural
from hallmark.plugin.cells import REF
from hallmark.plugin.recorder import RECORD
from hallmark.plugin.run_folders import RunFolders
from hallmark.plugin.session import AcceptanceSession


class RunLogs:
    """A plugin that hears what the session says, and writes it down for the cell that is under way, or for all of them."""

    def __init__(self, session: AcceptanceSession, folders: RunFolders) -> None:
        self._session = session
        self._folders = folders
        self._is_worker = hasattr(session.config, "workerinput")
        self._logs: dict[str, RunLog] = {}
        self._cell = ""
        self._told_end = False
        session.progress.listener = self._hear

    def _log(self, cell: str) -> RunLog:
        if cell not in self._logs:
            self._logs[cell] = RunLog(self._folders.folder_of(cell), self._session.redactor)
        return self._logs[cell]

    def _under_way(self) -> Iterable[RunLog]:
        """Of the cells that have a folder; none is opened for it."""
        opened = self._session.cells if self._is_worker else self._folders.opened
        return [self._log(cell) for cell in ([self._cell] if self._cell else [*opened]) if cell in opened]

    def _hear(self, text: str, *, stays: bool) -> None:
        for log in self._under_way():
            log.hear(text, stays=stays)

    def _write(self, text: str, level: Level = "info") -> None:
        for log in self._under_way():
            log.write(text, level)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The folders are open by now, and the manifests written."""
        if not self._is_worker:
            options = self._session.options
            if broken := self._session.broken:
                self._write(f"goes on with this run ({broken.why}); {plural(len(broken.records), 'record')} of it stay")
            self._write(f"hallmark {__version__}: workflow {options.workflow}, {len(session.items)} tests; {options.header()}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if ref := item.stash.get(REF, None):
            self._cell = ref.cell

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
        """With a cell's last check its server has gone."""
        result = yield
        following = nextitem.stash.get(REF, None) if nextitem else None
        if self._cell and (following is None or following.cell != self._cell):
            self._write("the cell's last check is done, and its server has been stopped")
            self._cell = ""
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What became of a check, where the records are written."""
        plain = getattr(report, RECORD, None)
        if plain is None or self._is_worker:
            return
        record = record_from_plain(plain)
        level: Level = "info" if record.verdict is Verdict.PASS else "warning"
        if record.verdict in (Verdict.FAIL, Verdict.ERROR):
            level = "error"
        self._log(record.cell).write(f"check {record.check}: {record.verdict}{record.reason and f' - {record.reason}'}", level)

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        if not self._is_worker:  # a worker's come to its controller
            self._write(f"{warning_message.category.__name__}: {warning_message.message}", "warning")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        self._cell = ""
        if self._is_worker:
            return (yield)
        self._write("the checks are over; the report is written")
        result = yield
        self._tell_end()
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Of a session that was interrupted before pytest could finish it."""
        if not self._is_worker:
            self._tell_end()

    def _tell_end(self) -> None:
        """Once."""
        ending = self._session.ending
        if self._told_end or not ending.decided:
            return
        self._told_end = True
        if ending.error:
            self._write(str(ending.error), "error")
        for report in ending.reports:
            decision = report.decision
            self._log(report.cell).write(f"{decision.title} - {decision.headline}")
