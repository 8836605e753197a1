"""A server that has fallen silent is asked once more, and then no check waits for it any longer; none of them passes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hallmark.client.errors import NoAnswerInTime
from hallmark.client.wire import WireClient
from hallmark.core.errors import CheckFailed, Disturbed
from hallmark.plugin.outcome import NotMeasured
from hallmark.plugin.silence import Silence
from selftests.plugin.conftest import Place, place
from selftests.plugin.stand_in_spec import perf_point
from selftests.server.checking import served

__all__ = ["place"]

CELL, MET_BY = "cell", "server.chat"
NO_ANSWER = NoAnswerInTime("no answer in time", waited_s=0.3)


@pytest.fixture(params=["", "offers-only=completions"])
def silent(request: pytest.FixtureRequest) -> Iterator[WireClient]:
    """A client of a server that answers no completion, and no chat but by a refusal where it has none."""
    with served("stuck", *filter(None, [request.param])) as base_url, WireClient(base_url, "stand-in", timeout_s=0.3) as client:
        yield client


@pytest.fixture
def answering() -> Iterator[WireClient]:
    with served() as base_url, WireClient(base_url, "stand-in", timeout_s=20) as client:
        yield client


def suspecting(exc: BaseException = NO_ANSWER) -> Silence:
    silence = Silence()
    silence.suspect(CELL, MET_BY, exc)
    return silence


def test_a_silent_server_is_told_of_by_name_and_asked_once(silent: WireClient) -> None:
    silence = suspecting()
    with pytest.raises(NotMeasured, match=rf"answers nobody any more \(see {MET_BY}\): .* no answer in 0\.3 s"):
        silence.require_an_answer(CELL, silent)
    silent.close()  # whoever asked it again would meet another error
    with pytest.raises(NotMeasured, match=MET_BY):
        silence.require_an_answer(CELL, silent)
    assert not silence.is_suspected("another cell")


def test_a_server_that_answers_is_suspected_no_more(answering: WireClient) -> None:
    silence = suspecting()
    assert silence.is_suspected(CELL)
    silence.require_an_answer(CELL, answering)
    assert not silence.is_suspected(CELL)


def test_a_failure_that_came_of_silence_counts(silent: WireClient) -> None:
    wrong = CheckFailed("after a hostile request, a good one is not answered")
    wrong.__cause__ = NO_ANSWER
    with pytest.raises(NotMeasured):
        suspecting(wrong).require_an_answer(CELL, silent)


def of_a_busy_machine() -> Disturbed:
    """A miss that the machine explains, as the plugin raises it."""
    disturbed = Disturbed("the machine was busy")
    disturbed.__cause__ = NO_ANSWER
    return disturbed


@pytest.mark.parametrize("exc", [CheckFailed("a wrong text"), of_a_busy_machine()])
def test_a_wrong_answer_and_a_busy_machine_are_no_silence(exc: Exception) -> None:
    assert not suspecting(exc).is_suspected(CELL)


IMPATIENT = """
from hallmark.client import deadlines
deadlines._LEAST_FIRST_S = deadlines._SLOWER = 1.0
"""


@pytest.mark.long
@pytest.mark.e2e
def test_in_a_run_the_checks_after_it_do_not_wait_and_do_not_pass(place: Place) -> None:
    """The stand-in is stuck from its twelfth answer on, and each check waits a second or two for one."""
    place.plugin("impatient", IMPATIENT)
    place.spec(faults="stuck=12", perf=[perf_point(targets={"ttft_mean_ms": 500, "tokens_per_s": 100})])
    ended = place.pytest("-m", "server", "-p", "impatient").end()
    silenced = [record for record in ended.records if "answers nobody any more" in record["reason"]]
    (named,) = {record["reason"].split("(see ")[1].split(")")[0] for record in silenced}
    assert ended.bad[named] == "FAIL"
    assert len(silenced) > 5
    assert {(record["verdict"], record["measured"]) for record in silenced} == {("INCONCLUSIVE", False)}
