"""The plugin's pure parts: who tells a cause, what goes to one worker, which cells a `-m` can mean, what an exception says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from hallmark.core.errors import CheckFailed, HarnessError, Inconclusive, LaunchError, SpecError, Void
from hallmark.core.verdict import Verdict
from hallmark.plugin.causes import Causes
from hallmark.plugin.checks import CheckRef
from hallmark.plugin.distribution import CellScheduling
from hallmark.plugin.marks import names_in, reachable
from hallmark.plugin.outcome import NotMeasured, outcome_of
from hallmark.plugin.summary import MOST_CAUSES, summarise
from hallmark.report.document import Decision
from hallmark.specs.cell import Cell


def ref(check: str, cell: str = "a") -> CheckRef:
    return CheckRef(check=check, cell=cell, kind="server")


def test_the_first_check_that_meets_a_cause_tells_it() -> None:
    causes = Causes()
    latched = LaunchError("no port")
    assert causes.first_to_meet(latched, ref("one")) == "one"
    assert causes.first_to_meet(latched, ref("two")) == "one"
    assert causes.first_to_meet(Void("no t3k"), ref("two")) == "two"
    assert causes.first_to_meet(Void("no t3k"), ref("three")) == "two"
    assert causes.first_to_meet(latched, ref("two", "b")) == "two", "another cell has its own server"


def test_a_failure_is_never_taken_for_another_ones() -> None:
    causes = Causes()
    for check in ("one", "two"):
        assert causes.first_to_meet(CheckFailed("status 500"), ref(check)) == check
        assert causes.first_to_meet(Inconclusive("the test recorded no evidence"), ref(check)) == check
    kept = Inconclusive("the environment of an attached server is not known")
    assert [causes.first_to_meet(kept, ref(check)) for check in ("one", "two")] == ["one", "one"]


def test_one_check_carries_the_blame_for_a_death() -> None:
    causes = Causes()
    assert not causes.of_death("a")
    assert [causes.blame_death(ref(check)) for check in ("one", "two")] == ["one", "one"]
    assert (causes.of_death("a"), causes.of_death("b")) == ("one", "")


@pytest.mark.parametrize(
    ("exc", "verdict", "measured"),
    [
        (CheckFailed("x"), Verdict.FAIL, True),
        (AssertionError("x"), Verdict.FAIL, True),
        (Inconclusive("x"), Verdict.INCONCLUSIVE, True),
        (NotMeasured("x"), Verdict.INCONCLUSIVE, False),
        (pytest.skip.Exception("x"), Verdict.INCONCLUSIVE, False),
        (pytest.xfail.Exception("x"), Verdict.INCONCLUSIVE, False),
        (Void("x"), Verdict.VOID, False),
        (LaunchError("x"), Verdict.ERROR, False),
        (HarnessError("x"), Verdict.ERROR, False),
        (SpecError("x"), Verdict.ERROR, False),
        (KeyError("x"), Verdict.ERROR, False),
    ],
)
def test_no_exception_is_a_pass(exc: BaseException, verdict: Verdict, measured: bool) -> None:
    outcome = outcome_of(exc, during_call=True)
    assert (outcome.verdict, outcome.measured) == (verdict, measured)
    assert "x" in outcome.reason


@pytest.mark.parametrize("exc", [AssertionError("x"), pytest.fail.Exception("x")])
def test_a_failure_in_a_fixture_is_an_error_of_ours(exc: BaseException) -> None:
    assert outcome_of(exc, during_call=False).verdict is Verdict.ERROR
    assert outcome_of(exc, during_call=True).verdict is Verdict.FAIL


def test_in_a_fixture_too_the_servers_fault_is_a_failure() -> None:
    assert outcome_of(CheckFailed("x"), during_call=False).verdict is Verdict.FAIL


def test_the_checks_of_a_cell_go_to_one_worker() -> None:
    scheduling = CellScheduling.__new__(CellScheduling)
    scheduling._cell = CellScheduling.pattern(["id_x_m_cpu", "id_x_m_cpu-2"])
    assert scheduling._split_scope("tests/a.py::test[id_x_m_cpu]") == "id_x_m_cpu"
    assert scheduling._split_scope("tests/a.py::test[id_x_m_cpu-env.A]") == "id_x_m_cpu"
    assert scheduling._split_scope("tests/a.py::test[id_x_m_cpu-2-env.A]") == "id_x_m_cpu-2"
    assert scheduling._split_scope("tests/a.py::test_own") == "tests/a.py::test_own"


@pytest.mark.parametrize(
    ("expression", "reached"),
    [
        ("", {"cpu", "t3k"}),
        ("t3k", {"t3k"}),
        ("not t3k", {"cpu"}),
        ("perf", {"cpu", "t3k"}),
        ("t3k and perf", {"t3k"}),
        ("t3k and cpu", set()),
        ("slow and t3k", {"t3k"}),
        ("perf and", {"cpu", "t3k"}),
    ],
)
def test_a_mark_expression_reaches_its_cells(expression: str, reached: set[str]) -> None:
    cells = cast("list[Cell]", [SimpleNamespace(device=name) for name in ("cpu", "t3k")])
    assert {cell.device for cell in reachable(cells, expression)} == reached
    assert names_in("t3k and not (perf or slow)") == {"t3k", "perf", "slow"}


class Screen:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def write_sep(self, _sep: str, title: str, **_markup: bool) -> None:
        self.lines.append(title)

    def write_line(self, line: str, **_markup: bool) -> None:
        self.lines.append(line)


@pytest.mark.parametrize("count", [MOST_CAUSES, MOST_CAUSES + 1])
def test_the_summary_names_so_many_causes_and_counts_the_rest(count: int) -> None:
    causes = tuple(f"cause {i}" for i in range(count))
    decision = Decision(accepted=False, exit_code=1, outcome="REJECTED", headline="no", causes=causes, verdict=Verdict.FAIL)
    screen = Screen()
    report: Any = SimpleNamespace(decision=decision, cell="a", notes=(), waived=(), breaks=(), load=SimpleNamespace(line=""))
    summarise(cast("Any", screen), report, folder=None, redact=lambda text: text.replace("cause 0", "[redacted]"))
    assert screen.lines[:3] == ["hallmark: REJECTED", "a: no", "  - [redacted]"]
    assert sum(line.startswith("  - ") for line in screen.lines) == MOST_CAUSES
    assert ("  ... and 1 more, see the report" in screen.lines) == (count > MOST_CAUSES)
