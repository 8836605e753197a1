"""The example of a gate of one's own judges what it says: red where a request was too slow, and where none ended."""

from __future__ import annotations

import runpy
from types import SimpleNamespace
from typing import Any

import pytest

from hallmark import Verdict
from hallmark.core import extensions
from hallmark.core.errors import HarnessError
from hallmark.core.gates import Gate, judged
from selftests.plugin.stand_in_spec import ROOT

EXAMPLE: dict[str, Any] = runpy.run_path(str(ROOT / "examples" / "gate_plugin" / "conftest.py"))


def result(*seconds: float) -> SimpleNamespace:
    return SimpleNamespace(samples=[SimpleNamespace(e2e_s=s) for s in seconds])


@pytest.mark.parametrize(("seconds", "verdict"), [((0.1, 59.0), Verdict.PASS), ((0.1, 61.0), Verdict.FAIL), ((), Verdict.FAIL)])
def test_it_judges_the_slowest_request(seconds: tuple[float, ...], verdict: Verdict) -> None:
    (gate,) = EXAMPLE["pytest_hallmark_gates"]()
    (evidence,) = gate.judge(None, None, result(*seconds))
    assert evidence.verdict is verdict


def test_a_gate_that_fails_is_an_error_of_ours_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(cell: object, what: object, measured: object) -> list[Any]:
        raise ZeroDivisionError

    gates = SimpleNamespace(answers=lambda _: (Gate(kind="perf", name="mine", judge=broken),))
    monkeypatch.setattr(extensions, "_in_pytest", [gates])
    with pytest.raises(HarnessError, match="the gate 'mine' failed: ZeroDivisionError"):
        list(judged("perf", None, None, None))
    assert list(judged("evals", None, None, None)) == [], "it is of another kind"
