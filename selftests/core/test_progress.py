"""What is said of long work without a terminal: what is under way, for how long, what is left; not too often, not never."""

from __future__ import annotations

import pytest

from hallmark.core.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("hallmark.core.progress.time.monotonic", made)
    return made


def test_it_says_for_how_long_and_what_is_left(clock: Clock, capfd: pytest.CaptureFixture[str]) -> None:
    progress = Progress(lambda: None)
    progress.count(41, 46)
    clock.now += 125
    progress("perf isl16-osl8-c2: 3 of 8 requests")
    assert capfd.readouterr().err == "hallmark: perf isl16-osl8-c2: 3 of 8 requests (2:05, 5 of 46 checks left)\n"
    progress.count(46, 46)
    clock.now += 20
    progress("rendering [the] report")
    assert capfd.readouterr().err == "hallmark: rendering [the] report (2:25)\n"


def test_what_goes_on_is_said_again_after_a_minute(clock: Clock, capfd: pytest.CaptureFixture[str]) -> None:
    progress = Progress(lambda: None)
    said = []
    for _ in range(13):
        progress("the server is loading weights")
        said.append(bool(capfd.readouterr().err))
        clock.now += 10
    assert [place for place, shown in enumerate(said) if shown] == [0, 7]


def test_what_changes_is_said_every_ten_seconds(clock: Clock, capfd: pytest.CaptureFixture[str]) -> None:
    progress = Progress(lambda: None)
    said = []
    for done in range(10):
        progress(f"{done} of 10 requests")
        said.append(bool(capfd.readouterr().err))
        clock.now += 4
    assert [place for place, shown in enumerate(said) if shown] == [0, 3, 6, 9]
