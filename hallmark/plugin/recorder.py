"""What becomes of each check: its record, its line on the terminal, and in the end the report and the exit code.

Records travel on the test reports, so that one recorder serves a plain run and the controller of an
xdist run alike; only the process that has the terminal writes manifest, records and report.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pytest

from hallmark.core.errors import HallmarkError, Inconclusive, NotOffered, SpecError, UsageError
from hallmark.core.exchanges import digest_of
from hallmark.core.records import ManifestEntry, record_from_plain
from hallmark.core.verdict import Verdict
from hallmark.core.waivers import Waiver
from hallmark.plugin.cell_servers import CellServers
from hallmark.plugin.cells import REF
from hallmark.plugin.checks import CheckRef
from hallmark.plugin.drafts import unacceptable
from hallmark.plugin.item_record import exchanges_of, note, plain_record, record_of
from hallmark.plugin.junit import properties_of
from hallmark.plugin.outcome import NotMeasured, Outcome, outcome_of, speaks_for_itself
from hallmark.plugin.run_folders import RunFolders
from hallmark.plugin.session import AcceptanceSession
from hallmark.report.judge import NO_EVIDENCE
from hallmark.specs.checks import demanded

RECORD = "hallmark_record"
EXCHANGES = "hallmark_exchanges"
"""On a report with a record of a check that did not pass: the lines of what was sent and answered."""
REPEATS = "hallmark_repeats"
"""On a report whose cause another check has told already."""
UNDECIDED = "hallmark_undecided"
"""On a report of a check that gave too little evidence: its one line."""
OPEN = "hallmark_open"
"""On a report of a check that ran and says why it decides nothing: no fault in a smoke run."""
ABSENT = "hallmark_not_offered"
"""On a report of a check of what the server does not have."""
MISUSE = "hallmark_misuse"
"""On a report that ended with what only a person's other words can mend: an option, a spec."""


@contextmanager
def _briefly(config: pytest.Config, call: pytest.CallInfo[None]) -> Iterator[None]:
    """No traceback of what is told by its own words: pytest reads and parses the sources of all that it shows, for each of two
    hundred checks of a server that did not start.
    """
    kept = config.option.tbstyle
    if call.excinfo is not None and speaks_for_itself(call.excinfo.value) and not config.option.verbose > 0:
        config.option.tbstyle = "value"
    try:
        yield
    finally:
        config.option.tbstyle = kept


class Recorder:
    """A plugin: from a test's report to its record, and from the records to the session's end."""

    def __init__(self, session: AcceptanceSession, folders: RunFolders, servers: CellServers) -> None:
        self._session = session
        self._folders = folders
        self._servers = servers
        self._ended = self._total = 0
        self._open = 0
        """How many reports that pytest counts as failed are of checks that a smoke run may leave open."""
        self._undecided: list[str] = []
        """The line of each check that gave too little evidence."""
        self._demanded: dict[tuple[str, bool, bool], Mapping[str, ManifestEntry]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        with _briefly(item.config, call):
            report = yield
        ref = item.stash.get(REF, None)
        if ref is None:
            return report
        if call.excinfo is not None:
            self._tell(item, ref, report, exc=self._servers.root_cause(ref, call.excinfo.value), during_call=call.when == "call")
        self._redact(report)
        if call.when == "teardown":
            waited_s = self._servers.waited_s(ref.cell)
            record = record_of(item, ref, default_start=self._session.stamp.started_at, waited_s=waited_s)
            lines = exchanges_of(item, record, redact=self._session.redactor)
            plain = plain_record(replace(record, exchanges=tuple(map(digest_of, lines))))
            setattr(report, RECORD, plain)
            setattr(report, EXCHANGES, lines)
            report.user_properties += properties_of(
                record_from_plain(plain),
                self._waiver(ref),
                started_at=self._session.stamp.started_at,
                redact=self._session.redactor,
            )
        return report

    def _redact(self, report: pytest.TestReport) -> None:
        """A traceback shows what a test had in its hands."""
        if (report.failed or hasattr(report, "wasxfail")) and (
            shown := self._session.redactor(report.longreprtext)
        ) != report.longreprtext:
            report.longrepr = shown
        report.sections = [(title, self._session.redactor(content)) for title, content in report.sections]

    def _tell(
        self, item: pytest.Item, ref: CheckRef, report: pytest.TestReport, *, exc: BaseException, during_call: bool
    ) -> None:
        """Note what `exc` means for the check, and say it on the terminal in one line, once."""
        outcome = _with_request(outcome_of(exc, during_call=during_call), item)
        first = self._servers.first_to_meet(exc, ref)
        if first != ref.check:
            outcome = replace(outcome, reason=f"same cause as {first}", log="")
        note(item, outcome, exc)
        missed = outcome.verdict is Verdict.FAIL and outcome.measured and not outcome.server_lost
        if missed and (waiver := self._waiver(ref)):
            # pytest's own word for a failure that is known; the report weighs it anew.
            report.outcome, report.wasxfail = "skipped", str(waiver)
        if isinstance(exc, NotOffered):
            self._tell_absence(ref, report, outcome)
            return
        if isinstance(exc, UsageError | SpecError):
            setattr(report, MISUSE, self._session.redactor(str(exc)))
        if outcome.verdict is Verdict.INCONCLUSIVE and outcome.measured and NO_EVIDENCE not in outcome.reason and report.failed:
            setattr(report, OPEN, True)
        if first != ref.check or isinstance(exc, NotMeasured):
            setattr(report, REPEATS, True)
            report.longrepr = outcome.reason
        elif isinstance(exc, Inconclusive):
            setattr(report, UNDECIDED, f"{ref.check}: {self._session.redactor(outcome.reason)}")
            report.longrepr = outcome.reason
        elif speaks_for_itself(exc) and not self._session.config.option.verbose > 0:
            report.longrepr = "\n".join(filter(None, [outcome.reason, outcome.log])) if missed else str(exc)

    def _tell_absence(self, ref: CheckRef, report: pytest.TestReport, outcome: Outcome) -> None:
        """What nobody demands is no failure of the session either."""
        report.longrepr = reason = self._session.redactor(outcome.reason)
        if not self._is_demanded(ref):
            report.outcome = "skipped"
            report.longrepr = (report.fspath, report.location[1] or 0, reason)  # as pytest's own JUnit file wants it
            setattr(report, ABSENT, True)

    def _is_demanded(self, ref: CheckRef) -> bool:
        """Whether the manifest demands the check."""
        options = self._session.options
        return ref.check in self._entries(ref.cell, guarded=options.guarded, attached=options.attached)

    def _waiver(self, ref: CheckRef) -> Waiver | None:
        """The waiver of that check, where it has one that holds in this run."""
        entry = self._entries(ref.cell, guarded=True, attached=False).get(ref.check)
        waiver = entry.waiver if entry else None
        return waiver if waiver and waiver.holds(self._session.stamp.started_at) else None

    def _entries(self, cell: str, *, guarded: bool, attached: bool) -> Mapping[str, ManifestEntry]:
        """What is demanded of the cell, by check: it is asked of for every check that is not offered."""
        key = (cell, guarded, attached)
        if key not in self._demanded:
            entries = demanded(self._session.cells[cell], guarded=guarded, attached=attached)
            self._demanded[key] = {entry.check: entry for entry in entries}
        return self._demanded[key]

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """One cause fills the terminal once: what it kept from being measured is counted, not listed."""
        if getattr(report, ABSENT, False):
            return "not offered", "n", "NOT OFFERED"
        if getattr(report, REPEATS, False):
            return "not measured", "-", "NOT MEASURED"
        if hasattr(report, UNDECIDED):
            return "inconclusive", "?", "INCONCLUSIVE"
        return None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._count(0, len(session.items))

    def pytest_runtest_logfinish(self) -> None:
        self._count(self._ended + 1, self._total)

    def _count(self, ended: int, total: int) -> None:
        """How many items have ended, of how many; a worker of xdist has only a part of those that it knows."""
        self._ended, self._total = ended, total
        if not hasattr(self._session.config, "workerinput"):
            self._session.progress.count(ended, total)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._session.progress.clear()  # before pytest writes its letter
        self._undecided += [getattr(report, UNDECIDED)] if hasattr(report, UNDECIDED) else []
        self._open += hasattr(report, OPEN)
        if misuse := getattr(report, MISUSE, ""):
            self._session.ending.misuse = self._session.ending.misuse or UsageError(misuse)
        plain = getattr(report, RECORD, None)
        if plain is not None and not hasattr(self._session.config, "workerinput"):
            try:
                record = record_from_plain(plain)
                self._folders.run_of(record.cell).append(record, getattr(report, EXCHANGES, ()))
            except HallmarkError as exc:
                self._session.ending.error = exc
                pytest.exit(str(exc), returncode=exc.exit_code)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """By a person or a signal; pytest and xdist have kinds of it for `-x` and for what cannot be collected, too."""
        self._session.ending.stopped = type(excinfo.value) is KeyboardInterrupt or isinstance(
            excinfo.value, pytest.exit.Exception
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """After the fixtures are torn down: close what is open, decide, and let no green hide a missing check."""
        self._session.progress.clear()
        self._servers.close()
        if self._session.writes:
            self._session.ending.decide(self._folders.opened)
            session.exitstatus = self._session.ending.exit_code(
                session.exitstatus, only_inconclusive=session.testsfailed == self._open
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self) -> None:
        """A session that was interrupted before it had begun is not finished by pytest; its folders may be there already."""
        if self._folders.opened and not self._session.ending.decided:
            self._servers.close()
            self._session.ending.decide(self._folders.opened)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Last of all summaries: what was decided is what a person came for."""
        if self._session.ending.error:
            terminalreporter.write_line(f"hallmark: {self._session.ending.error}", red=True, bold=True)
        if self._session.config.option.collectonly:
            # Again: a long list has scrolled the header away, and -q shows none.
            for line in unacceptable(self._session.cells.values()):
                terminalreporter.write_line(line)
        if self._session.ending.interrupted and not self._session.ending.reports:
            terminalreporter.write_sep("=", "hallmark: INTERRUPTED", red=True, bold=True)
            terminalreporter.write_line("The run was stopped before anything was measured.")
        if self._undecided:
            terminalreporter.write_sep("=", "INCONCLUSIVE: too little evidence to decide", yellow=True)
            for line in self._undecided:
                terminalreporter.write_line(line)
        if not self._session.ending.reports:
            return
        from hallmark.plugin.job_summary import publish
        from hallmark.plugin.summary import summarise

        for report in self._session.ending.reports:
            folder = None if self._session.options.decisions else self._folders.opened[report.cell].folder
            summarise(terminalreporter, report, folder=folder, redact=self._session.redactor)
        folders = {cell: run.folder for cell, run in self._folders.opened.items()}
        stated, redact = self._session.options.summary, self._session.redactor
        publish(terminalreporter, self._session.ending.reports, folders, stated=stated, environ=os.environ, redact=redact)


def _with_request(outcome: Outcome, item: pytest.Item) -> Outcome:
    """Below a failure stand the request and the answer that it is about: what it names itself, else the newest of its client."""
    client = getattr(item, "funcargs", {}).get("client")
    if outcome.verdict is not Verdict.FAIL or client is None or outcome.server_lost or "request: " in outcome.log:
        return outcome
    told: str = client.last_told()
    return replace(outcome, log="\n".join(filter(None, [outcome.log, told])))
