"""Health follows from signs of progress and their age."""

from __future__ import annotations

import pytest

from hallmark_services.gateway.progress import Engine, Status


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(clock: Clock) -> Engine:
    return Engine(stall_s=8, clock_s=clock)


def status(engine: Engine) -> Status:
    return engine.health().status


def test_an_engine_that_never_generated_is_loading_whatever_it_says(engine: Engine) -> None:
    assert status(engine) is Status.LOADING
    assert engine.health().last_progress_s is None
    engine.refused("nothing listens")
    assert status(engine) is Status.LOADING
    engine.failed("503")
    assert (status(engine), engine.health().reason) == (Status.LOADING, "503")


def test_progress_is_good_until_it_is_old(engine: Engine, clock: Clock) -> None:
    engine.progressed()
    clock.now_s += 8
    assert status(engine) is Status.OK
    clock.now_s += 0.1
    assert (status(engine), engine.health().last_progress_s) == (Status.STUCK, 8.1)
    engine.progressed()
    assert status(engine) is Status.OK


def test_a_refused_connection_or_a_bad_answer_shows_at_once_and_heals_by_progress(engine: Engine) -> None:
    engine.progressed()
    engine.refused("nothing listens")
    assert status(engine) is Status.DOWN
    engine.failed("500")
    assert status(engine) is Status.FAILING
    engine.progressed()
    assert (status(engine), engine.health().reason) == (Status.OK, "")
