"""How a session ends: what ended it, the report of each cell, what run.py is told, and pytest's exit code."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from hallmark.core.breaks import ENDED_CHECK, INTERRUPTED_CHECK
from hallmark.core.errors import HallmarkError, UsageError
from hallmark.core.records import Record
from hallmark.core.verdict import Verdict
from hallmark.plugin.cell_run import CellRun
from hallmark.plugin.decisions import write_decisions
from hallmark.plugin.interrupts import Interrupts
from hallmark.plugin.options import Options

if TYPE_CHECKING:
    from hallmark.report.document import Report


class Ending:
    """Of the process that writes the records; made before the first check runs."""

    def __init__(self, config: pytest.Config, options: Options, interrupts: Interrupts) -> None:
        self.error: HallmarkError | None = None
        """What ended the run itself, such as a full disk."""
        self.misuse: UsageError | None = None
        """What only showed once a check asked for it, such as a conflict under --strict-config."""
        self.stopped = False
        """By KeyboardInterrupt or `pytest.exit`."""
        self.reports: list[Report] = []
        self.decided = False
        self._config = config
        self._options = options
        self._interrupts = interrupts

    @property
    def interrupted(self) -> bool:
        """Whether the run was ended from outside, and not by what went wrong in it."""
        return self.error is None and (self.stopped or self._interrupts.received)

    def decide(self, runs: Mapping[str, CellRun]) -> None:
        """Write each cell's report, and what run.py is told."""
        self.decided = True
        interrupted = self.interrupted
        self._report(runs, interrupted=interrupted)
        if self.interrupted and not interrupted:  # while that was written
            self._report(runs, interrupted=True)
        self._tell(runs)

    def exit_code(self, of_pytest: int, *, only_inconclusive: bool = False) -> int:
        """pytest's own, unless it was ended by a signal or an error, or says yes where a report does not.

        `only_inconclusive`: every test that pytest counts as failed gave too little evidence, which a smoke run may.
        """
        if self.error:
            return self.error.exit_code
        if self._interrupts.received and any(report.decision.outcome == "INTERRUPTED" for report in self.reports):
            return pytest.ExitCode.INTERRUPTED
        # A run that was asked for less keeps pytest's own code; a whole one of another server than the spec's is no less PARTIAL.
        allowed = ("ACCEPTED", "SMOKE PASSED", "PARTIAL") if self._options.narrowed_by else ("ACCEPTED",)
        smoke_passed = self.reports and all(report.decision.outcome == "SMOKE PASSED" for report in self.reports)
        if smoke_passed and only_inconclusive and of_pytest == pytest.ExitCode.TESTS_FAILED:
            return pytest.ExitCode.OK
        if of_pytest == pytest.ExitCode.OK and any(report.decision.outcome not in allowed for report in self.reports):
            return pytest.ExitCode.TESTS_FAILED
        return of_pytest

    def _report(self, runs: Mapping[str, CellRun], *, interrupted: bool) -> None:
        if interrupted:
            self._note(runs, INTERRUPTED_CHECK, Verdict.INCONCLUSIVE, "interrupted before its end")
        if self.error:
            self._note(runs, ENDED_CHECK, Verdict.ERROR, str(self.error))
        try:
            self.reports = [run.finish(interrupted=interrupted) for run in runs.values()]
        except HallmarkError as exc:
            self.error = self.error or exc

    def _note(self, runs: Mapping[str, CellRun], check: str, verdict: Verdict, reason: str) -> None:
        """What ended the run: on record too, so that a report which is rendered again still knows."""
        for cell, run in runs.items():
            # A disk that is still full is told already, and takes no report either.
            with contextlib.suppress(HallmarkError):
                run.append(Record(check=check, cell=cell, kind="extra", verdict=verdict, reason=reason, measured=False))

    def _tell(self, runs: Mapping[str, CellRun]) -> None:
        """For run.py, which turns it into its exit code."""
        if self._options.decisions:
            rows: list[dict[str, object]] = [
                {
                    "cell": report.cell,
                    "folder": str(runs[report.cell].folder),
                    "outcome": report.decision.outcome,
                    "title": report.decision.title,
                    "headline": report.decision.headline,
                    "exit_code": report.decision.exit_code,
                }
                for report in self.reports
            ]
            try:
                write_decisions(self._config, rows, self.error or self.misuse)
            except HallmarkError as exc:
                self.error = self.error or exc
