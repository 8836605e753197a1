"""The folder of each cell of a run: opened by the process that writes, told to the workers of xdist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hallmark.core.errors import HallmarkError
from hallmark.plugin.broken_off import BrokenOff
from hallmark.plugin.cell_run import CellRun, open_folder
from hallmark.plugin.decisions import stopped
from hallmark.plugin.session import AcceptanceSession
from hallmark.specs.cell import Cell

_OF_WORKERS = "hallmark_folders"


class RunFolders:
    """A plugin that opens a folder when it is first asked for; what stands in each is its CellRun's."""

    def __init__(self, session: AcceptanceSession) -> None:
        self._session = session
        self.opened: dict[str, CellRun] = {}
        """By the ids of their cells."""

    def run_of(self, cell_id: str) -> CellRun:
        if cell_id not in self.opened:
            cell = self._session.cells[cell_id]
            session = self._session
            try:
                run = self._gone_on_with(cell, session.broken) if session.broken else self._new(cell)
            except HallmarkError as exc:
                session.ending.error = exc
                raise stopped(session.config, exc) from exc
            self.opened[cell_id] = run
        return self.opened[cell_id]

    def _new(self, cell: Cell) -> CellRun:
        session = self._session
        folder = open_folder(cell, session.options, session.stamp, redact=session.redactor)
        run = CellRun(cell, folder, redactor=session.redactor, sign=session.sign)
        run.begin(session.references.get(cell.id))
        return run

    def _gone_on_with(self, cell: Cell, broken: BrokenOff) -> CellRun:
        """The run that broke off, from now on this session's; nothing in its folder is changed where it cannot be."""
        from hallmark.plugin.comparison import require_same

        run = CellRun(cell, broken.folder, redactor=self._session.redactor, sign=self._session.sign)
        try:
            at = broken.break_until(self._session.stamp.started_at)
            self._session.progress("comparing with what was measured before the break")
            run.resume(at, compared=require_same(self._session, cell, broken), subjects=broken.subjects)
        except BaseException:
            run.release()
            raise
        return run

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        for run in self.opened.values():
            run.release()

    def folder_of(self, cell_id: str) -> Path:
        """The cell's folder; a worker is told by its controller."""
        assigned: dict[str, str] | None = getattr(self._session.config, "workerinput", {}).get(_OF_WORKERS)
        return Path(assigned[cell_id]) if assigned is not None else self.run_of(cell_id).folder

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """xdist: the controller opens the folders and tells its workers where they are."""
        node.workerinput[_OF_WORKERS] = {cell: str(self.run_of(cell).folder) for cell in self._session.cells}
