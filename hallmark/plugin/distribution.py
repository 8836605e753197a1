"""How pytest-xdist spreads a session: a cell goes to one worker whole, for its checks share one server and one folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling


class CellScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """A scope is a cell. xdist's own groups will not do: under pytest 9.2 their suffix on a node id is not seen."""

    def __init__(self, config: pytest.Config, log: Any, cells: Iterable[str]) -> None:
        super().__init__(config, log)
        self._cell = self.pattern(cells)

    @staticmethod
    def pattern(cells: Iterable[str]) -> re.Pattern[str]:
        """Finds a cell's id in a node id. The longest first: one id may begin with another."""
        ids = sorted(cells, key=len, reverse=True)
        return re.compile(r"\[(" + "|".join(map(re.escape, ids)) + r")[-\]]")

    def _split_scope(self, nodeid: str) -> str:
        """The cell in a node id's parameters; a test of no cell stands for itself."""
        found = self._cell.search(nodeid)
        return found[1] if found else nodeid
