"""Both servers of a comparison: standing at once, or started in turn where one device holds one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hallmark.core.load import Place
from hallmark.environment.load import ServerProcesses
from hallmark.perf.interleaved import Letter
from hallmark.serving.server import RunningServer
from hallmark.workflows.sides import Side, Started, processes_of


class Servers:
    """Both servers: standing at once, or each started for its run.

    A device that is taken by a server is not free for another one, so that two specs of one device take turns. The same server
    on both sides is started once.
    """

    def __init__(self, baseline: Side, candidate: Side, *, in_turn: bool, folder: Path, tell: Callable[[str], None]) -> None:
        self._sides: dict[Letter, Side] = {"A": baseline, "B": candidate}
        self._folder = folder
        self._tell = tell
        self._stack = ExitStack()
        self._standing: dict[Letter, RunningServer] = {}
        self._up: list[RunningServer] = []
        self.same = baseline is candidate
        self.in_turn = in_turn or (not self.same and _share_a_device(baseline, candidate))

    @property
    def standing(self) -> tuple[Letter, ...]:
        """Those that are up all the time; one of a pair that is the same."""
        return () if self.in_turn else ("A",) if self.same else ("A", "B")

    @property
    def arrangement(self) -> str:
        both = list(self._sides.values())
        if self.in_turn:
            shared = _share_a_device(*both) and not self.same
            why = "one device holds one of them" if shared else "as --in-turn asks"
            return f"each run starts its server again: {why}"
        return "the same server on both sides" if self.same else "both servers stand at once"

    def __enter__(self) -> Servers:
        try:
            for letter in self.standing:
                self._standing[letter] = self._begin(letter)
        except BaseException:
            self._stack.close()
            raise
        if self.same and not self.in_turn:
            self._standing["B"] = self._standing["A"]
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _begin(self, letter: Letter) -> RunningServer:
        self._tell(f"{letter}: {self._sides[letter].title}")
        server = self._stack.enter_context(self._sides[letter].running(self._folder))
        self._up.append(server)
        return server

    @contextmanager
    def of(self, letter: Letter) -> Iterator[RunningServer]:
        """The server of one run."""
        if letter in self._standing:
            yield self._standing[letter]
            return
        with self._sides[letter].running(self._folder) as server:
            self._up.append(server)
            try:
                yield server
            finally:
                self._up.remove(server)

    def processes(self) -> ServerProcesses:
        """Of all servers that are up, so that none of them counts as a stranger on the machine."""
        found = [processes_of(server) for server in self._up]
        places = {one.place for one in found}
        if Place.HIDDEN in places or not found:
            return ServerProcesses(place=Place.HIDDEN)
        roots = frozenset(root for one in found for root in one.roots)
        return ServerProcesses(place=Place.HERE if Place.HERE in places else Place.ELSEWHERE, roots=roots)


def _share_a_device(baseline: Side, candidate: Side) -> bool:
    if isinstance(baseline, Started) and isinstance(candidate, Started):
        return baseline.cell.device == candidate.cell.device
    return False
