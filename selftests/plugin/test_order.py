"""In which order the checks of a cell run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hallmark.core.errors import UsageError
from hallmark.plugin.cells import REF, in_order
from hallmark.plugin.checks import CheckRef


def item(check: str, kind: Any, **words: Any) -> Any:
    """A collected test, as far as its place goes."""
    marker = pytest.mark.check(check, **words).mark
    return SimpleNamespace(stash={REF: CheckRef(check=check, cell="c", kind=kind)}, get_closest_marker=lambda _: marker)


def test_what_tells_of_the_others_comes_behind_all_of_its_cell_however_they_were_shuffled() -> None:
    items = [item("perf.a", "perf"), item("server.all", "server", last=True), item("server.a", "server"), item("spec.a", "spec")]
    cells: Any = [SimpleNamespace(id="c")]
    assert [one.stash[REF].check for one in in_order(items, cells)] == ["spec.a", "server.a", "perf.a", "server.all"]


def test_of_two_checks_that_end_the_server_neither_is_chosen() -> None:
    items = [item("server.told", "server", ends_server=True), item("server.killed", "server", ends_server=True)]
    cells: Any = [SimpleNamespace(id="c")]
    with pytest.raises(UsageError, match="both end the server"):
        in_order(items, cells)
    assert in_order(items[:1], cells) == items[:1]
