"""A server that gets slower while it is measured is found; a healthy one, and one whose queue is long for a while, is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hallmark.core.load import Place
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.perf.device_series import DeviceReading
from hallmark.perf.drift import CRITICAL, LEAST, greatest_change, how_they_wander, judge_drift
from hallmark.perf.sample import PointResult
from hallmark.perf.steady import steady_part
from hallmark.specs.model import PerfPoint
from selftests.perf.made_up import a_point, always, closed_loop, open_loop, stepping
from selftests.perf.test_core_speed import SLOWER_HALF, spins
from selftests.perf.test_disturbance import BUSY, QUIET


def judged(result: PointResult, point: PerfPoint, **given: object) -> Evidence:
    fields = {"load": QUIET, "cores": spins()} | given
    return judge_drift(steady_part(result, point).result, point, **fields)  # type: ignore[arg-type]


def risen(seed: int = 1) -> tuple[PointResult, PerfPoint]:
    """A minute and a half of ten requests a second, whose TTFT is 10 % longer after a minute."""
    result = open_loop(900, 10, ttft=stepping(0.05, 0.055, at=60.0), seed=seed)
    return result, a_point(result, rate=10)


@pytest.mark.parametrize("seed", range(3))
def test_a_ttft_that_rises_by_a_tenth_after_a_minute_is_found_and_named(seed: int) -> None:
    found = judged(*risen(seed))
    assert found.verdict is Verdict.FAIL
    assert found.reason.startswith("the server got slower: TTFT is ")
    assert set(found.detail) == {"ttft"}
    assert found.detail["ttft"]["after_ms"] == pytest.approx(55, abs=1.5)


def test_a_server_that_is_throttled_is_slower_in_every_token() -> None:
    result = closed_loop(400, 16, ttft=always(0.05), tpot=stepping(0.01, 0.011, at=7.0))
    found = judged(result, a_point(result))
    assert found.verdict is Verdict.FAIL
    assert "TPOT is " in found.reason


HEALTHY = {
    "closed loop": lambda seed: (closed_loop(300, 16, ttft=always(0.05), seed=seed), 0.0),
    "open loop": lambda seed: (open_loop(300, 20, ttft=always(0.05), seed=seed), 20.0),
    "open loop near the most that the server can take": lambda seed: (
        open_loop(300, 30, ttft=always(0.02), most=16, seed=seed),
        30.0,
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_twenty_healthy_twins_are_never_failed(name: str) -> None:
    """Where waits hang together as in a queue, too: 30 requests a second are 97 % of what the last of these can answer."""
    for seed in range(20):
        result, rate = HEALTHY[name](seed)
        assert judged(result, a_point(result, rate=rate)).verdict is not Verdict.FAIL, seed


@pytest.mark.parametrize("blocks", CRITICAL)
def test_the_chance_of_a_false_alarm_is_what_is_stated(blocks: int) -> None:
    """One in a thousand where blocks are exchangeable: 4,000 draws have 13 or more with a chance of 0.0002."""
    draw = np.random.default_rng(9)
    scores = [greatest_change(draw.standard_normal(blocks))[0] for _ in range(4000)]
    assert sum(score > CRITICAL[blocks] for score in scores) < 13
    assert max(scores) > CRITICAL[blocks], "it can be exceeded"


@pytest.mark.parametrize("blocks", CRITICAL)
def test_a_machine_that_wanders_is_seldom_taken_for_a_change(blocks: int) -> None:
    """Blocks of which each is to a half like the one before it: 2 in a hundred at most, where plain ranks have 3 to 15."""
    draw = np.random.default_rng(11)
    alarms = sum(is_found(wandering(draw, blocks)) for _ in range(1000))
    assert alarms <= 20


@pytest.mark.parametrize(
    "rising", [lambda t: t, lambda t: np.floor(3 * t), lambda t: 2 * (t > 0.4)], ids=["evenly", "in steps", "once"]
)
def test_what_gets_slower_little_by_little_is_found_beside_some_wandering(rising: Callable[[np.ndarray], np.ndarray]) -> None:
    draw, times = np.random.default_rng(13), np.linspace(0, 1, 48, endpoint=False)
    found = sum(is_found(wandering(draw, 48, together=0.2) + 3 * rising(times)) for _ in range(100))
    assert found >= 85


def is_found(values: np.ndarray) -> bool:
    return greatest_change(values)[0] > CRITICAL[len(values)] * how_they_wander(values)


def wandering(draw: np.random.Generator, count: int, together: float = 0.5) -> np.ndarray:
    """Values of one deviation, each as much like the last one."""
    values = draw.standard_normal(count)
    for place in range(1, count):
        values[place] = together * values[place - 1] + np.sqrt(1 - together**2) * values[place]
    return values


def test_what_matters_little_or_is_seen_by_chance_is_none() -> None:
    little = open_loop(900, 10, ttft=stepping(0.05, 0.0515, at=60.0), noise=0.02)
    assert judged(little, a_point(little, rate=10)).verdict is Verdict.PASS
    short = open_loop(900, 10, ttft=stepping(0.005, 0.0055, at=60.0), noise=0.02)
    assert judged(short, a_point(short, rate=10)).verdict is Verdict.PASS, "half a millisecond is the client's own"
    few = closed_loop(LEAST - 1, 4, ttft=stepping(0.05, 0.5, at=10.0))
    assert judged(few, a_point(few, users=4)).value == "not looked for"


def readings(*, held_after: float) -> list[DeviceReading]:
    """Of 90 s."""
    none = {"clock_mhz": None, "power_w": None, "temperature_c": None, "busy_share": None, "memory_mib": None}
    return [
        DeviceReading(at=float(at), index=0, held_back_by=("heat (driver)",) if at >= held_after else (), **none)
        for at in range(90)
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"load": BUSY}, "the machine was busy with something else"),
        ({"cores": SLOWER_HALF}, "the machine's own cores got slower: equal work took +15.0% of time"),
        ({"devices": readings(held_after=55)}, "the device was held back by heat (driver)"),
    ],
)
def test_what_the_machine_or_the_device_explains_is_void(given: dict[str, object], words: str) -> None:
    result, _ = risen()
    point = a_point(result, rate=10, concurrency=16)
    found = judged(result, point, **given)
    assert found.verdict is Verdict.VOID
    assert words in found.reason
    assert "; as measured: the server got slower: TTFT is " in found.reason


def test_a_device_that_was_held_back_all_the_time_explains_no_change() -> None:
    assert judged(*risen(), devices=readings(held_after=0)).verdict is Verdict.FAIL
    assert judged(*risen(), devices=[]).verdict is Verdict.FAIL


def test_cores_of_another_machine_explain_nothing() -> None:
    assert judged(*risen(), load=replace(QUIET, server=Place.ELSEWHERE), cores=SLOWER_HALF).verdict is Verdict.FAIL


def test_a_timer_that_was_late_once_explains_no_drift_of_open_traffic_however_many_requests_may_be_under_way() -> None:
    """300 requests, of which one or two were under way, were 5 ms late each: a tenth of a second is not why."""
    result, _ = risen()
    point = a_point(result, rate=10, concurrency=256)
    assert judged(result, point, load=replace(QUIET, client_late_s=0.1)).verdict is Verdict.FAIL
    assert judged(result, point, load=replace(QUIET, client_late_s=3.0)).verdict is Verdict.VOID
