"""What is collected: each check of each cell, in the order in which it runs, and what the header says of them."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hallmark import __version__
from hallmark.core.errors import UsageError
from hallmark.core.files import write_json
from hallmark.core.wording import plural
from hallmark.plugin.cells import REF, in_order, parametrise, refer, take_measured
from hallmark.plugin.decisions import stopped
from hallmark.plugin.drafts import unacceptable
from hallmark.plugin.run_folders import RunFolders
from hallmark.plugin.session import AcceptanceSession
from hallmark.plugin.suite import suite_items


class Collection:
    """A plugin: which tests there are, in which order, and to which worker of xdist they go."""

    def __init__(self, session: AcceptanceSession, folders: RunFolders) -> None:
        self._session = session
        self._folders = folders

    def pytest_report_header(self) -> list[str]:
        cells, redact = self._session.cells, self._session.redactor
        shown = ", ".join(list(cells)[:4]) + (f" and {len(cells) - 4} more" if len(cells) > 4 else "")
        header = [f"hallmark {__version__}: {shown}", f"  {redact(self._session.options.header())}"]
        notes = dict.fromkeys(redact(note) for cell in cells.values() for note in cell.notes)
        return [*header, *self._gone_on(), *(f"  {line}" for line in (*notes, *unacceptable(cells.values())))]

    def _gone_on(self) -> Iterator[str]:
        if broken := self._session.broken:
            yield self._session.redactor(
                f"  goes on with {broken.folder} ({broken.why}); {plural(len(broken.records), 'record')} of it stay"
            )

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        parametrise(metafunc, list(self._session.cells.values()))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> Generator[None, None, None]:
        items += suite_items(session)
        cells, options = list(self._session.cells.values()), self._session.options
        if left_out := refer(items, cells, guarded=options.guarded, attached=options.attached):
            self._session.config.hook.pytest_deselected(items=left_out)
        if (broken := self._session.broken) and (measured := take_measured(items, broken.settled)):
            self._session.config.hook.pytest_deselected(items=measured)
        yield
        # Afterwards, because pytest itself regroups items by the parameters of a user's own session fixtures.
        try:
            items[:] = in_order(items, cells)
        except UsageError as exc:
            self._session.ending.misuse = exc
            raise stopped(self._session.config, exc) from exc

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        # What is collected lives until the end. Ten thousand checks would cost each full garbage collection a tenth
        # of a second and more: one before each perf window, and three at exit.
        gc.freeze()
        collected = dict.fromkeys(ref.cell for item in session.items if (ref := item.stash.get(REF, None)))
        if path := self._session.config.option.hallmark_cells:
            write_json(Path(path), list(collected))
        if not self._session.writes:
            return
        # Of a whole run each cell has its manifest, also one that a conftest left no test of.
        for cell in collected if self._session.options.narrowed_by else self._session.cells:
            self._folders.run_of(cell)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """xdist may spread cells over its workers, never the checks of one cell."""
        from hallmark.plugin.distribution import CellScheduling

        return CellScheduling(config, log, self._session.cells)
