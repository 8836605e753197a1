"""Slow or stalled? Told from the growth of log and caches, on a clock of the test's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hallmark.core.errors import LaunchError
from hallmark.serving.local.launcher import LocalLauncher
from hallmark.serving.movement import Movement, Startup, caches
from selftests.serving.plans import stand_in


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_grows_is_not_idle(tmp_path: Path, clock: Clock) -> None:
    log, cache = tmp_path / "server.log", tmp_path / "cache"
    cache.mkdir()
    movement = Movement(log, (cache,), clock=clock)
    clock.now += 30
    assert movement.idle_s() == 30
    log.write_text("loading\n")
    clock.now += 5
    assert movement.idle_s() == 0
    clock.now += 5
    assert movement.idle_s() == 5
    (cache / "part").write_bytes(b"x" * 5000)
    clock.now += 5
    assert movement.idle_s() == 0
    assert movement.cached_bytes == 5000


def test_what_was_cached_before_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"x" * 100)
    assert Movement(tmp_path / "log", (tmp_path,)).cached_bytes == 0


def test_looking_is_rare(tmp_path: Path, clock: Clock) -> None:
    log = tmp_path / "log"
    movement = Movement(log, clock=clock)
    log.write_text("new")
    clock.now += 1.5
    assert movement.idle_s() == 1.5, "it looked again within two seconds"


def test_caches_follow_the_servers_environment() -> None:
    assert caches({"HOME": "/home/u"})[0] == Path("/home/u/.cache/huggingface")
    assert caches({"HOME": "/home/u", "HF_HOME": "/data/hf"})[0] == Path("/data/hf")
    assert caches({"HF_HOME": "/data/hf", "HF_HUB_CACHE": "/data/hub"})[0] == Path("/data/hub")


@pytest.mark.parametrize(("logs", "word"), [(True, "slow but not stalled"), (False, "stalled (nothing new")])
def test_a_time_out_says_which_it_was(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, *, logs: bool, word: str
) -> None:
    plan = stand_in(tmp_path, startup_timeout_s=60)
    monkeypatch.setattr("hallmark.serving.movement.time.monotonic", clock)
    said: list[str] = []
    startup = Startup(plan, Movement(plan.log_path, clock=clock), said.append)
    for second in range(12):
        clock.now += 5
        if logs:
            plan.log_path.write_text("shard\n" * (second + 1))
        assert startup.waited("/health answers 503")
    idle = "" if logs else " - nothing new for 60 s"
    assert said[-1] == f"the server is starting (/health answers 503), 60 s so far{idle}", "no line of the log is shown"
    assert word in startup.explained("/health answers 503")
    assert "after 60 s" in startup.explained("x")


def test_a_stall_ends_the_start_long_before_its_time(tmp_path: Path) -> None:
    plan = replace(stand_in(tmp_path, "hang-at-start", startup_timeout_s=600), stall_timeout_s=0.3)
    with pytest.raises(LaunchError, match="was not ready after"):
        LocalLauncher().start(plan, lambda _: None)


def test_without_a_limit_a_stall_is_only_told(tmp_path: Path, clock: Clock) -> None:
    startup = Startup(stand_in(tmp_path), Movement(tmp_path / "log", clock=clock), lambda _: None)
    clock.now += 10_000
    assert startup.waited("x")
