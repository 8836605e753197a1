"""Each fault of a server that has too much to do turns its check red; a server that refuses some of it passes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from hallmark.client.wire import WireClient
from hallmark.core.verdict import Verdict
from hallmark.plugin.outcome import Outcome
from hallmark.specs.cell import Cell
from selftests.faulty.overload_faults import WHAT
from selftests.server.checking import CONTEXT, Suite, checks_in, served

CHECKS = checks_in("test_overload.py")
NEITHER = "of 32 requests at the same time were neither answered nor refused: "
FAULTS = {
    "overload-breaks": NEITHER + "POST /v1/completions answered 500",
    "overload-cuts": NEITHER + "POST /v1/completions: connection lost",
    "overload-loses": NEITHER + "POST /v1/completions: no answer in time",
    "overload-ends-streams": "and not by [DONE]",
    "overload-stays": "after 32 requests at the same time, a first token takes 0.5",
}
SEATS: Any = SimpleNamespace(entry=SimpleNamespace(max_context=CONTEXT, engine_args={"max_num_seqs": 8}))


def judged(*faults: str, timeout_s: float = 60.0) -> Outcome:
    """Of a server whose answers take long enough to be under way at the same time."""
    with served(*faults, ttft_ms=2, itl_ms=30) as url:
        suite = Suite(url, timeout_s=timeout_s, cell=cast("Cell", SEATS))
        return suite.run(CHECKS["server.overload"])[0]


def impatient(client: WireClient, _: float) -> WireClient:
    return WireClient(client.base_url, client.model, timeout_s=2.0)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_the_check_red(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hallmark.client.recovery.LATER_S", 0.1)  # a second would take long
    monkeypatch.setattr(
        "hallmark.client.wire.WireClient.more_patient", lambda client, _: WireClient(client.base_url, client.model, timeout_s=2.0)
    )
    found = judged(fault, timeout_s=2.0)
    assert found.verdict is Verdict.FAIL
    assert FAULTS[fault] in found.reason


@pytest.mark.parametrize("server", ["", "overload-refused", "only-openai", "no-metrics"])
def test_a_right_server_passes(server: str) -> None:
    found = judged(*([server] if server else []))
    assert found.verdict is Verdict.PASS, found


def test_every_fault_of_the_table_is_planted() -> None:
    assert {*FAULTS, "overload-refused"} == set(WHAT)
