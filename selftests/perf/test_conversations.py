"""Conversations: each prompt is all that was said before and something new, and is sent when the answer before it has ended."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from hallmark.client.oracle import TokenOracle
from hallmark.core.verdict import Verdict
from hallmark.perf.drift import judge_drift
from hallmark.perf.judge import judge_requests
from hallmark.perf.loadgen import measure
from hallmark.perf.prompts import in_common
from hallmark.perf.sample import PointResult
from hallmark.perf.schedule import QUEUE, judge_schedule
from hallmark.perf.workload import Planned, Workload, make_workload
from hallmark.specs.model import Metric, PerfPoint
from selftests.faulty import running
from selftests.perf.test_chat_prompts import WEIGHTS
from selftests.perf.test_disturbance import QUIET
from selftests.perf.test_judging import a_result
from selftests.perf.test_steady import EVEN

VOCABULARY = range(69, 95)
ORACLE = TokenOracle.from_folder(WEIGHTS)
TURNS = {"number": 3, "think_s": 0.05}


def a_point(**given: Any) -> PerfPoint:
    fields: dict[str, Any] = {"isl": 80, "osl": 10, "concurrency": 2, "requests": 12, "source": "x", "turns": TURNS}
    return PerfPoint.model_validate(fields | {"targets": {Metric.TTFT_MEAN: 1.0}} | given)


def made(point: PerfPoint) -> Workload:
    return make_workload(point, "m", vocabulary=VOCABULARY, seed=1, salt="s", tokenizer=ORACLE)


def ids_of(planned: Planned) -> list[int]:
    body = json.loads(planned.body)
    return ORACLE.chat_ids(body["messages"]) if "messages" in body else list(body["prompt"])


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_each_prompt_goes_on_from_the_one_before_and_no_conversation_from_another(api: str) -> None:
    point = a_point(api=api, prefixes={"groups": 2, "tokens": 15})
    window = made(point).window
    conversations = [list(turns) for _, turns in itertools.groupby(window, key=lambda one: one.conversation)]
    assert [[one.turn for one in turns] for turns in conversations] == [[0, 1, 2]] * 4
    for turns in conversations:
        assert [one.isl for one in turns] == [30, 55, 80], "15 shared, 15 new in each turn, 10 in each answer"
        for earlier, later in itertools.pairwise(map(ids_of, turns)):
            assert later[: len(earlier)] == earlier
        assert len({one.group for one in turns}) == 1
    first = [ids_of(turns[0]) for turns in conversations]
    assert all(in_common(one, other) < 28 for one, other in itertools.combinations(first, 2))


def test_a_chat_has_the_answers_in_their_place() -> None:
    body = json.loads(made(a_point(api="chat")).window[2].body)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant"] * 2 + ["user"]


def test_a_cache_may_hold_what_was_said_before() -> None:
    """Of each conversation the prompts of 20, 50 and 80 tokens: 0, 20 and 50 of them; and what is equal by chance."""
    point = a_point(requests=120, turns={"number": 3})
    assert [one.isl for one in made(point).window[:3]] == [20, 50, 80]
    assert (0 + 20 + 50) / 3 <= made(point).cached_by_chance < 26


def test_drawn_answers_leave_the_prompts_within_the_most() -> None:
    window = made(a_point(lengths={"osl": {"kind": "uniform", "low": 2}}, requests=120)).window
    assert len({one.isl for one in window if one.turn == 2}) > 3
    assert max(one.isl for one in window) <= 80


def test_all_turns_are_of_one_kind() -> None:
    window = made(a_point(shares={"adapters": {"subtract": 0.5}})).window
    kinds = [{one.kind.name for one in turns} for _, turns in itertools.groupby(window, key=lambda one: one.conversation)]
    assert sorted(map(sorted, kinds)) == [["adapter subtract"]] * 2 + [["plain"]] * 2


def test_the_name_and_the_time_of_a_point_tell_its_turns() -> None:
    assert a_point().name == "isl80-osl10-c2-turns3-think0.05"
    assert a_point(turns={"number": 3}).name == "isl80-osl10-c2-turns3"
    assert a_point(turns={"number": 3, "think_s": 60}).limit_s(1.0) == 600 + 2 * 2 * 60


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"turns": {"number": 1}}, "greater than 1"),
        ({"turns": {"number": 3, "think_s": -1}}, "greater than or equal to 0"),
        ({"requests": 13}, "13 requests are no whole conversations of 3 turns"),
        ({"isl": 22}, "no room for 3 turns with answers of 10 tokens"),
        ({"lengths": {"isl": {"kind": "uniform", "low": 5}}}, "grow with its turns"),
        ({"shares": {"adapters": {"a": 0.1}}}, "0.1 of 4 conversations is none"),
    ],
)
def test_what_is_no_conversation_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        a_point(**fields)


def sent(point: PerfPoint, *faults: str, **options: Any) -> PointResult:
    with running(*faults, itl_ms=1) as server:
        return measure(server.base_url, server.model, point, vocabulary=VOCABULARY, tokenizer=ORACLE, **options)


@pytest.mark.e2e
@pytest.mark.parametrize("api", ["completions", "chat"])
@pytest.mark.parametrize("arrivals", [None, {"kind": "constant", "rate": 40}])
def test_each_turn_is_due_when_the_answer_before_has_ended_and_was_thought_about(api: str, arrivals: Any) -> None:
    point = a_point(api=api, arrivals=arrivals, concurrency=4)
    result = sent(point, "prefix-cache")
    assert judge_requests(result, point).verdict is Verdict.PASS, judge_requests(result, point).reason
    by_turn = [[sample for sample in result.samples if sample.turn == turn] for turn in range(3)]
    assert [len(samples) for samples in by_turn] == [4, 4, 4]
    assert [{sample.prompt_tokens for sample in samples} for samples in by_turn] == [{20}, {50}, {80}] or api == "chat"
    for earlier, later in itertools.pairwise(by_turn):
        ends = sorted(sample.end + 0.05 for sample in earlier)
        assert sorted(sample.start for sample in later) == pytest.approx(ends, abs=1e-6)
    assert all(sample.lag_s >= 0 for sample in result.samples)
    if arrivals:
        begun = sorted(sample.start for sample in by_turn[0])
        assert [start - begun[0] for start in begun] == pytest.approx([0, 0.025, 0.05, 0.075], abs=1e-6)
        assert [row["due_s"] for row in result.schedule[:4]] == [0.0, None, None, 0.025]


@pytest.mark.e2e
def test_users_are_as_many_as_the_point_says() -> None:
    result = sent(a_point(requests=24, turns={"number": 3}))
    edges = sorted([(sample.start, 1) for sample in result.samples] + [(sample.end, -1) for sample in result.samples])
    assert max(itertools.accumulate(step for _, step in edges)) == 2


@pytest.mark.e2e
def test_an_answer_that_fails_ends_no_conversation_and_is_counted() -> None:
    point = a_point()
    result = sent(point, "short-output")
    assert (len(result.failures), len(result.samples)) == (12, 0)
    assert "5 completion tokens, 10 were asked for" in judge_requests(result, point).reason


@pytest.mark.e2e
def test_a_measurement_that_ends_early_tells_what_was_sent_to_whom() -> None:
    asked = iter([None, None, None])
    result = sent(a_point(requests=3000), should_stop=lambda: next(asked, "enough"))
    assert result.stopped == "enough"
    assert result.samples
    assert all(sample.prompt_tokens == (20, 50, 80)[sample.turn] for sample in result.samples)
    assert not [failed for failed in result.failures if "not answered" not in failed.error]


def growing(*, told: bool) -> PointResult:
    """Three turns of 250 conversations, each turn of which waits 0.3 s longer; `told`: as turns, and not as equal requests."""
    plain, samples = a_result(750), []
    for number, one in enumerate(plain.samples):
        turn, longer = number // 250, 0.3 * (number // 250)
        times = tuple(moment + longer for moment in one.token_times)
        samples.append(replace(one, turn=turn if told else 0, token_times=times, end=one.end + longer))
    return replace(plain, samples=tuple(samples))


@pytest.mark.parametrize("told", [True, False])
def test_longer_prompts_of_later_turns_are_no_queue_that_grows_and_no_drift(told: bool) -> None:
    """The same waits of equal prompts are both."""
    point = a_point(isl=80, requests=750, arrivals={"kind": "constant", "rate": 40})
    (queue,) = (item for item in judge_schedule([], growing(told=told), point, load=QUIET) if item.name == QUEUE)
    drift = judge_drift(growing(told=told), point, load=QUIET, cores=EVEN)
    assert (queue.verdict, drift.verdict) == ((Verdict.PASS,) * 2 if told else (Verdict.FAIL,) * 2)
    assert drift.value == ("none" if told else "slower")
