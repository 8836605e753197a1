"""A machine that others keep busy, and servers that are slow by themselves: each whole run beside the burners it names.

All of a run shares one core with the burners, so that a handful of them keep any machine busy.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from selftests.plugin.commands import Ended
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import POINT, perf_point

pytestmark = [pytest.mark.e2e, pytest.mark.fresh_interpreter, pytest.mark.long]

PERF = f"perf.{POINT}"
BURNERS = 4


@contextmanager
def on_one_core() -> Iterator[None]:
    """Whatever is started here stays on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def burners() -> Iterator[None]:
    """Programs of somebody else's that use all the CPU that they get."""
    running = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(BURNERS)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def ended_beside(place: Place, *, busy: bool, targets: dict[str, float], **fields: Any) -> Ended:
    place.spec(perf=[perf_point(targets=targets)], impl={"features": []}, status="top_perf", **fields)
    with on_one_core(), burners() if busy else nullcontext():
        return place.release().end(deadline_s=240)


def others_share(ended: Ended) -> float:
    load = ended.rows[PERF]["load"]
    return float((load["others_s"] + load["steal_s"]) / (load["seconds"] * load["cores"]))


def test_a_healthy_server_beside_burners_is_not_rejected(place: Place) -> None:
    """Its first tokens come after 20 ms, and are to come within 21: with a core of its own they do."""
    ended = ended_beside(place, busy=True, targets={"ttft_mean_ms": 21}, engine_args={"ttft_ms": 20})
    row = ended.rows[PERF]
    assert row["verdict"] in ("PASS", "VOID"), row["reason"]
    assert (row["verdict"] == "VOID") == ("others had" in row["reason"])
    assert (ended.code, ended.outcome) in ((3, "VOID"), (4, "INCONCLUSIVE")), "no evals, so that it is never accepted"
    assert others_share(ended) > 0.5
    assert "machine: others had" in ended.out


@pytest.mark.parametrize("busy", [False, True])
def test_a_server_that_dawdles_is_rejected_whoever_burns(place: Place, busy: bool) -> None:
    """Two seconds to the first token are its own, not what others took from it."""
    ended = ended_beside(place, busy=busy, targets={"ttft_mean_ms": 20}, engine_args={"ttft_ms": 2000})
    ended.must_end(1, "REJECTED")
    assert ended.bad[PERF] == "FAIL"


def test_a_server_that_burns_its_own_cores_is_not_excused_by_that(place: Place) -> None:
    """Its children use the core that it serves on. Where others do, too, nobody can tell; else it is the server's fault."""
    ended = ended_beside(place, busy=False, targets={"ttft_mean_ms": 2.1}, faults=f"burns={BURNERS}")
    row = ended.rows[PERF]
    assert row["load"]["server_s"] > row["load"]["own_s"]
    if others_share(ended) < 0.1:
        assert (row["verdict"], ended.code) == ("FAIL", 1), row["reason"]
    assert row["verdict"] in ("FAIL", "VOID")


OWN_TESTS = """
import time
from hallmark.client.errors import NoAnswerInTime

def asked_for_a_second(client):
    began = time.perf_counter()
    while time.perf_counter() - began < 1:
        client.get("/health")

def test_late(client):
    asked_for_a_second(client)
    raise NoAnswerInTime("no answer in time", waited_s=0.1)

def test_wrong(client, check):
    asked_for_a_second(client)
    check.equal("answer", 4, 5)
"""


def test_a_busy_machine_excuses_an_answer_that_did_not_come_and_no_wrong_one(place: Place) -> None:
    place.spec(impl={"features": []})
    checkout = place.checkout()
    (checkout / "tests" / "test_own.py").write_text(OWN_TESTS, encoding="utf-8")
    with on_one_core(), burners():
        ended = place.pytest(cwd=checkout).end(deadline_s=240)
    late, wrong = (ended.rows[f"extra.tests/test_own.py::test_{name}"] for name in ("late", "wrong"))
    assert (late["verdict"], wrong["verdict"]) == ("VOID", "FAIL")
    assert late["reason"].endswith("; no answer in time")
    assert ended.outcome == "REJECTED", "what another check found is not undone by it"
