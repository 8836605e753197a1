"""Adapters that answer for each other are found out, in a batch and from what was read before."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from hallmark.core.verdict import Verdict
from hallmark.plugin.outcome import Outcome
from selftests.faulty.lora_faults import WHAT
from selftests.server.checking import OneCheck, Suite, function_in, served

CASE = SimpleNamespace(prompt="57+23=", expected="34", without="80", max_tokens=8)
ADAPTER = SimpleNamespace(name="subtract", path="adapter", checks=[CASE, SimpleNamespace(**{**vars(CASE), "prompt": "78+47="})])
CELL = SimpleNamespace(lora=[ADAPTER], beside_spec=Path)
FAULTS = {
    "lora-mixes": "answers differ",
    "lora-shares-cache": "answers differ",
}


def judged(*faults: str) -> Outcome:
    with served(*faults, itl_ms=1) as url:
        suite = Suite(url)
        given = {"lora_adapter": ADAPTER, "cell": CELL, "runtime_client": suite.client}
        function = function_in("test_lora.py", "test_adapters_and_the_model_do_not_mix")
        return suite.run(OneCheck("server.lora-mixed.subtract", function, given, ()))[0]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_the_check_red(fault: str) -> None:
    found = judged(fault)
    assert found.verdict is Verdict.FAIL, found
    assert FAULTS[fault] in found.reason


def test_a_right_server_passes() -> None:
    assert judged().verdict is Verdict.PASS


def test_an_adapter_that_changes_nothing_shows_nothing() -> None:
    found = judged("lora-ignored")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "says nothing that the model does not say" in found.reason


def test_every_fault_of_the_table_is_planted() -> None:
    assert set(FAULTS) == set(WHAT)
