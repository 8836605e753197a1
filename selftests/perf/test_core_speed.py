"""The speed of a core beside a window: it is read, and a verdict that its change may have made is VOID."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hallmark.core.load import Place
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.perf.core_speed import NAME, CoreSpeed, Spins, judge_core_speed
from selftests.perf.test_disturbance import QUIET
from selftests.perf.test_judging import a_result, judged

STEADY = (1000, 1010, 990, 1005)


def spins(*, during: tuple[int, ...] = STEADY * 12, after: tuple[int, ...] = STEADY) -> Spins:
    return Spins(before=STEADY, during=during, after=after)


SLOWER_AFTER = spins(after=(1200, 1210, 1190))
FAR_SLOWER_AFTER = spins(after=(1740, 1740, 1740))
SLOWER_HALF = spins(during=(1000,) * 24 + (1150,) * 24)


@pytest.mark.parametrize(
    ("seen", "change"),
    [
        (spins(), 0.0),
        (SLOWER_AFTER, 0.2),
        (SLOWER_HALF, 0.15),
        (spins(during=(1000,) * 8 + (1150,) * 8), 0.0),
        # Cores that are half as fast in one moment and not in the next have not become slower.
        (spins(during=(1000, 1250) * 8, after=(1200, 1210, 1190)), 0.0),
        (spins(during=(1000, 1150) * 8, after=(1200, 1210, 1190)), 0.2),
        # And those that became slower in the middle have, though the window's own pieces differ by as much.
        (spins(during=(1000,) * 8 + (1200,) * 8, after=(1200, 1210, 1190)), 0.2),
        (spins(during=tuple(range(1000, 1200, 12)), after=(1200, 1210, 1190)), 0.2),
        (Spins(before=(), during=(), after=()), 0.0),
    ],
)
def test_the_change_is_that_of_medians(seen: Spins, change: float) -> None:
    """Of a short window the halves say nothing."""
    assert seen.change == pytest.approx(change, abs=0.005)


@pytest.mark.parametrize(
    ("seen", "limit", "verdict"),
    [
        (spins(), 101.0, "PASS"),
        (SLOWER_AFTER, 110.0, "VOID"),
        (SLOWER_HALF, 110.0, "VOID"),
        (SLOWER_HALF, 130.0, "PASS"),
        (SLOWER_AFTER, 95.0, "VOID"),
        (SLOWER_AFTER, 60.0, "FAIL"),
        # What is 2.5 times as quick as it has to be passes on cores that are slower by 74 %, too.
        (FAR_SLOWER_AFTER, 250.0, "PASS"),
        (FAR_SLOWER_AFTER, 160.0, "VOID"),
        (FAR_SLOWER_AFTER, 60.0, "VOID"),
        (FAR_SLOWER_AFTER, 50.0, "FAIL"),
    ],
)
def test_a_verdict_stands_whose_margin_bears_the_change(seen: Spins, limit: float, verdict: str) -> None:
    """First tokens come after 100 ms; the limit is as far away as it says."""
    found = judge_core_speed(list(judged(a_result(), TTFT_MEAN=limit).values()), seen, QUIET)
    one = {item.name: item for item in found}["ttft_mean_ms"]
    assert one.verdict == verdict
    assert ("changed their speed" in one.reason) == (verdict == "VOID")
    assert {item.name: item for item in found}["requests"].verdict is Verdict.PASS


def test_the_cores_of_a_client_tell_nothing_of_a_server_elsewhere() -> None:
    before = list(judged(a_result(), TTFT_MEAN=110.0).values())
    assert judge_core_speed(before, SLOWER_AFTER, replace(QUIET, server=Place.ELSEWHERE)) == before


def test_work_is_done_before_during_and_after() -> None:
    with CoreSpeed() as cores:
        pass
    assert min(len(cores.spins.before), len(cores.spins.after)) == 20
    (found,) = cores.evidence(a_result())
    assert (found.name, found.n) == (NAME, 40 + len(cores.spins.during))
    assert all(spin > 0 for spin in cores.spins.before)
    assert isinstance(found, Evidence)
    assert found.target is None, "it decides nothing by itself"


def test_one_whose_work_cannot_be_done_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hallmark.perf.core_speed.sys.executable", "/bin/false")
    with CoreSpeed() as cores:
        pass
    assert (cores.evidence(a_result()), cores.spins.change) == ([], 0.0)
