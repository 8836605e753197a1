"""The life of a cell's server: up for the first check that needs it, watched, and gone after the cell's last check."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hallmark.client.errors import ConnectionLost
from hallmark.client.offers import Known
from hallmark.core.errors import CheckFailed, Disturbed, HallmarkError, HarnessError, Inconclusive, NotOffered
from hallmark.core.load import Miss, explanation
from hallmark.plugin.causes import Causes
from hallmark.plugin.cells import REF, TO_FIND_OUT
from hallmark.plugin.checks import Check, CheckRef
from hallmark.plugin.item_record import CHECK, LOAD, STARTED, WAITED
from hallmark.plugin.outcome import NotMeasured
from hallmark.plugin.run_folders import RunFolders
from hallmark.plugin.session import AcceptanceSession
from hallmark.plugin.settling import settle
from hallmark.plugin.silence import Silence
from hallmark.serving.server import Death, RunningServer, lost
from hallmark.specs.cell import Cell

if TYPE_CHECKING:
    from hallmark.plugin.cell_tools import CellTools
    from hallmark.serving.testbed import Testbed

_WITHOUT_DEVICE = ("spec", "extra")
"""Kinds of checks that are judged also where the device is absent; one of them that asks for it, or for the server, is void."""
_DEATH_SHOWS_WITHIN_S = 0.5
"""A connection breaks before the process that held it is reaped."""


class CellServers:
    """A plugin: what the checks of a cell share while they run. Lives where they do: in an xdist worker, if there are such."""

    def __init__(self, session: AcceptanceSession, folders: RunFolders) -> None:
        self.session = session
        self._folders = folders
        self._tools: dict[str, CellTools] = {}
        self._causes = Causes()
        self._silence = Silence()
        self._evaluated: frozenset[str] = frozenset()
        """The cells that lm-eval will be asked about."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        evals = (item for item in session.items if "evaluate" in getattr(item, "fixturenames", ()))
        self._evaluated = frozenset(ref.cell for item in evals if (ref := item.stash.get(REF, None)))

    def tools(self, cell_id: str) -> CellTools:
        """What the tests of the cell share."""
        if cell_id not in self._tools:
            from hallmark.plugin.cell_tools import CellTools  # brings the HTTP and tokenizer libraries

            cell = self.session.cells[cell_id]
            testbed = self.testbed_of(cell, self._folders.folder_of(cell_id))
            self._tools[cell_id] = CellTools(cell, testbed, on_death=lambda death: self._announce(cell, death))
        return self._tools[cell_id]

    def server_of(self, cell_id: str) -> RunningServer:
        """The running server of the cell, started when first asked for; lm-eval, where it is needed, imports meanwhile."""
        tools = self.tools(cell_id)
        if cell_id in self._evaluated:
            tools.prepare_evals()
        return tools.server

    def waited_s(self, cell_id: str) -> float:
        """How long the checks of the cell have waited for its server so far."""
        return self._tools[cell_id].testbed.waited_s if cell_id in self._tools else 0.0

    def testbed_of(self, cell: Cell, folder: Path) -> Testbed:
        """A testbed of the cell, as the options want it, that writes into `folder`."""
        from hallmark.plugin.cell_tools import make_testbed

        return make_testbed(
            cell,
            self.session.options,
            folder=folder,
            root=self.session.config.rootpath,
            redactor=self.session.redactor,
            progress=self.session.progress,
            say=self.session.progress.say,
        )

    def _announce(self, cell: Cell, death: Death) -> None:
        """Called from the watching thread the moment a server dies, once."""
        lines = "\n    ".join(death.log_tail.splitlines()[-8:])
        self.session.progress.say(
            self.session.redactor(f"SERVER LOST - {cell.id}: {death}" + (f"\n    {lines}" if lines else ""))
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        ref = item.stash.get(REF, None)
        if ref is None:
            return
        item.stash[STARTED] = datetime.now(UTC).isoformat(timespec="milliseconds")
        item.stash[WAITED] = self.waited_s(ref.cell)
        item.stash[CHECK] = Check(ref)
        if ref.kind not in _WITHOUT_DEVICE:
            self.tools(ref.cell).testbed.require_device()
        first = self._causes.of_death(ref.cell)
        if first and "server" in getattr(item, "fixturenames", ()):
            raise NotMeasured(f"server lost (see {first})")
        if self._silence.is_suspected(ref.cell) and "server" in getattr(item, "fixturenames", ()):
            self._silence.require_an_answer(ref.cell, self.tools(ref.cell).offers.client)
        if needs := item.stash.get(TO_FIND_OUT, ()):
            self._require_offered(ref.cell, needs)

    def _require_offered(self, cell_id: str, needs: Sequence[str]) -> None:
        """Raise NotOffered where the server says that it has not what a check needs and its spec does not declare.

        Where a feature could not be probed the check runs, and meets what the probe met. Of a field that cannot be known: the
        check would send what a server is right to refuse.
        """
        self.server_of(cell_id)
        offers = self.tools(cell_id).offers
        for need in needs:
            offer = offers(need)
            if offer.known is Known.ABSENT:
                raise NotOffered(f"{need} is not offered: {offer.reason}")
            if offer.known is Known.UNKNOWN and need.startswith("field:"):
                raise Inconclusive(f"whether the server offers {need} is not known: {offer.reason}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        check = item.stash.get(CHECK, None)
        if check is None:
            return (yield)
        window = self.tools(check.ref.cell).load.window()
        try:
            with window:
                result = yield
                settle(item, check, self.session.cells[check.ref.cell])
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
        if ref and ref.cell in self._tools:
            with contextlib.suppress(HallmarkError):  # a full disk is told by the records
                self._tools[ref.cell].keep_answers(self.session.redactor)
        following = nextitem.stash.get(REF, None) if nextitem else None
        if ref and (following is None or following.cell != ref.cell):
            tools = self.tools(ref.cell)
            tools.testbed.look_again()
            death = tools.testbed.death
            tools.close()
            if death and not self._causes.of_death(ref.cell):
                raise lost(death)
        return result

    def root_cause(self, ref: CheckRef, exc: BaseException) -> BaseException:
        """A check that fails because the server died is about that death; the first one carries the blame."""
        if isinstance(exc, NotMeasured | NotOffered | pytest.skip.Exception):
            return exc
        testbed = self.tools(ref.cell).testbed
        wait_s = _DEATH_SHOWS_WITHIN_S if isinstance(exc, ConnectionLost | HarnessError) else 0.0
        if not testbed.has_died(within_s=wait_s) or testbed.death is None:
            self._silence.suspect(ref.cell, ref.check, exc)
            return exc
        first = self._causes.blame_death(ref)
        return lost(testbed.death) if first == ref.check else NotMeasured(f"server lost (see {first})")

    def first_to_meet(self, exc: BaseException, ref: CheckRef) -> str:
        """The check that met the cause `exc` first: `ref`'s own, unless another one told it already."""
        return self._causes.first_to_meet(exc, ref)

    def close(self) -> None:
        """End what still runs. What cannot be ended is told, and keeps no report from being written."""
        for tools in self._tools.values():
            try:
                tools.close()
            except HallmarkError as exc:
                self.session.progress.say(self.session.redactor(str(exc)))
                if not self.session.ending.interrupted:
                    self.session.ending.error = self.session.ending.error or exc
