"""What a point's answers say is held to what the server says alone: each fault is found, and nothing of a right server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hallmark.client.offers import Offers
from hallmark.client.oracle import TokenOracle
from hallmark.client.same_answers import SameAnswers
from hallmark.client.wire import WireClient
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.perf.asked_again import ask_again
from hallmark.perf.loadgen import measure
from hallmark.perf.quality import CACHED, LENGTH, QUALITY, AskedAgain, Lone, checked_places, judge_quality
from hallmark.perf.sample import Checked, Sample
from hallmark.specs.model import Metric, PerfPoint
from hallmark.stats.sameness import Noise, Said
from selftests.faulty import running
from selftests.perf.planting import planted

OSL = 4
TOKENIZER = TokenOracle.from_folder(Path(__file__).resolve().parents[2] / "fixtures" / "hallmark_tiny")


def a_lone(window: str = "abcd", *, osl: int = OSL, pieces: int | None = None, counted: int | None = None, **said: Any) -> Lone:
    """An answer of the window beside "abcd", each letter of which leads by 3 nats, but the third by 0.1 before "x"."""
    tops = [{one: -0.1, "y": -3.1} for one in "abcd"]
    tops[2] = {"c": -0.7, "x": -0.8}
    told: dict[str, Any] = {"tokens": tuple("abcd"), "logprobs": (-0.1, -0.1, -0.7, -0.1), "tops": tuple(tops)}
    alone = Said(**({"text": "abcd", "finish_reason": "length"} | told | said))
    checked = Checked(body=b"{}", isl=3, osl=osl, text=window, pieces=len(window) if pieces is None else pieces)
    counts = {"counted": len(window) if counted is None else counted, "counted_alone": len(alone.text)}
    return Lone(checked=checked, said=alone, asked=OSL, **counts)


def a_sample(ttft_s: float, gap_s: float) -> Sample:
    times = tuple(ttft_s + gap_s * place for place in range(OSL))
    started = {"start": 0.0, "taken_up": 0.0, "sent": 0.0, "first_byte": times[0]}
    return Sample(**started, token_times=times, end=times[-1], prompt_tokens=3, output_tokens=OSL)


USUAL = a_sample(0.1, 0.01)


def judged(
    *lone: Lone, noise: Noise | None = None, repeated: tuple[Sample, ...] = (USUAL,), fresh: tuple[Sample, ...] = (USUAL,)
) -> dict[str, Evidence]:
    again = AskedAgain(lone=lone or (a_lone(),) * 4, noise=noise or Noise(tokens=9), repeated=repeated, fresh=fresh)
    return {item.name: item for item in judge_quality(again)}


@pytest.mark.parametrize(("count", "checked"), [(1, 1), (3, 3), (8, 4), (24, 4), (96, 10), (100_000, 16)])
def test_a_tenth_of_the_window_is_checked_spread_over_it(count: int, checked: int) -> None:
    places = checked_places(count)
    assert len(set(places)) == checked
    assert list(places) == sorted(places)
    assert places[0] >= 0
    assert places[-1] < count
    assert {4 * place // count for place in places} == set(range(4)) or count < 4


def test_answers_that_are_the_same_pass() -> None:
    found = judged()
    assert {item.verdict for item in found.values()} == {Verdict.PASS}
    assert found[QUALITY].reason == "4 answers of the window are what the server says when nothing else is asked"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("abcd", Verdict.PASS),
        ("abxq", Verdict.PASS),
        ("abyq", Verdict.PASS),
        ("aycd", Verdict.FAIL),
        ("abcy", Verdict.FAIL),
        ("zbcd", Verdict.FAIL),
        ("ab", Verdict.PASS),
    ],
)
def test_an_answer_that_differs_is_a_fault_where_its_token_led(text: str, verdict: Verdict) -> None:
    """At the third token rounding may decide; what comes after is then another answer's."""
    found = judged(a_lone(), a_lone(text), a_lone())[QUALITY]
    assert found.verdict is verdict
    assert ("1 of 3 answers differ: answer 2: token" in found.reason) == (verdict is Verdict.FAIL)


def test_a_text_that_can_be_cut_in_several_ways_is_judged_by_the_nearest() -> None:
    """In place of "b", "bx" was as likely; read letter by letter it would be an "x" that nothing speaks for."""
    tops = ({"a": -0.1, "y": -3.1}, {"b": -0.7, "bx": -0.8}, {"c": -0.1, "y": -3.1}, {"d": -0.1, "y": -3.1})
    logprobs = (-0.1, -0.7, -0.1, -0.1)
    assert judged(a_lone("abxd", tops=tops, logprobs=logprobs))[QUALITY].verdict is Verdict.PASS
    assert judged(a_lone("abzd", tops=tops, logprobs=logprobs))[QUALITY].verdict is Verdict.FAIL


def test_an_answer_is_compared_as_far_as_the_lone_one_goes() -> None:
    assert judged(a_lone("abcdefgh", osl=8))[QUALITY].verdict is Verdict.PASS
    broken = {"text": "abc\N{REPLACEMENT CHARACTER}", "tokens": (*"abc", "\N{REPLACEMENT CHARACTER}")}
    assert judged(a_lone("abc\N{SNOWMAN}efgh", osl=8, **broken))[QUALITY].verdict is Verdict.PASS


def test_without_log_probabilities_many_differences_tell() -> None:
    untold: dict[str, Any] = {"tokens": (), "logprobs": (), "tops": ()}
    one, three = (judged(*(a_lone("zbcd", **untold),) * wrong, *(a_lone(),) * 4)[QUALITY] for wrong in (1, 3))
    assert (one.verdict, three.verdict) == (Verdict.INCONCLUSIVE, Verdict.FAIL)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ({"window": "ab"}, Verdict.FAIL),
        ({"window": "abc"}, Verdict.PASS),
        ({"window": "ab", "pieces": 4}, Verdict.PASS),
        ({"window": "abcd", "pieces": 1}, Verdict.PASS),
        ({"window": "\n\n\n\n", "pieces": 1, "counted": 1}, Verdict.FAIL),
    ],
)
def test_an_answer_without_the_tokens_that_are_counted_is_too_short(given: dict[str, Any], verdict: Verdict) -> None:
    """Tokens may share a piece, and a text may be cut into fewer; not both."""
    short = a_lone(**given)
    assert judged(a_lone(), short, short)[LENGTH].verdict is verdict
    assert judged(a_lone(), short)[LENGTH].verdict is Verdict.PASS


def test_tokens_that_the_tokenizer_joins_are_no_shortness() -> None:
    """Of the lone answer each is told; nothing tells them where the lone answer is as short."""
    blank = replace(a_lone("\n\n\n\n", pieces=1, counted=1), counted_alone=1)
    assert judged(blank, blank)[LENGTH].verdict is Verdict.PASS
    untold = replace(blank, said=replace(blank.said, tokens=("\n", "\n")))
    found = judged(untold, untold)[LENGTH]
    assert found.verdict is Verdict.FAIL
    assert found.reason == "2 of 2 answers are shorter than usage says: it counts 4 tokens, and the text is 1 in 1 pieces"


@pytest.mark.parametrize(
    ("repeated", "verdict"),
    [
        (USUAL, Verdict.PASS),
        (a_sample(0.001, 0.01), Verdict.PASS),
        (a_sample(0.03, 0.0), Verdict.PASS),
        (a_sample(0.002, 0.0), Verdict.FAIL),
        (a_sample(0.002, 0.001), Verdict.FAIL),
    ],
)
def test_a_repeated_request_that_is_answered_at_once_is_out_of_a_store(repeated: Sample, verdict: Verdict) -> None:
    """A prefix cache spares it the time to its first token, and a busy machine may make its tokens come together, but late."""
    found = judged(repeated=(USUAL, repeated))[CACHED]
    assert found.verdict is verdict
    assert ("1 of 2 repeated requests were answered out of a store of answers" in found.reason) == (verdict is Verdict.FAIL)


def test_a_new_answer_whose_tokens_came_together_hides_no_store() -> None:
    """As on a real engine beside a busy machine: of four new answers one came in one piece but for its first token."""
    gulped = replace(USUAL, token_times=(0.1, *(0.1001,) * (OSL - 1)))
    found = judged(repeated=(a_sample(0.002, 0.0),), fresh=(USUAL, gulped, USUAL, USUAL))[CACHED]
    assert found.verdict is Verdict.FAIL


def of_a_window(*faults: str, itl_ms: float = 5, api: str = "completions", **plants: float) -> dict[str, Verdict]:
    """What a small point shows on the stand-in behind the proxy, each with its faults."""
    sizes = {"isl": 48, "osl": 16, "concurrency": 4, "requests": 8}
    point = PerfPoint.model_validate({**sizes, "api": api, "targets": {Metric.TTFT_MEAN: 1.0}, "source": "x"})
    with (
        running(*faults, ttft_ms=20, itl_ms=itl_ms) as server,
        planted(server.base_url, **plants) as url,
        WireClient(url, server.model) as client,
    ):
        result = measure(url, server.model, point, vocabulary=TOKENIZER.ordinary_ids(), tokenizer=TOKENIZER)
        assert result.faultless, result.distinct_errors()
        again = ask_again(result, point, SameAnswers(Offers(client)), TOKENIZER, limit_s=60)
    return {item.name: item.verdict for item in judge_quality(again)}


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("faults", "plants", "found"),
    [
        (["prefix-cache"], {}, set()),
        ([], {"shortens": 0.5}, {LENGTH}),
        ([], {"spoils": 2}, {QUALITY}),
        ([], {"spoils": 2, "api": "chat"}, {QUALITY}),
        ([], {"keeps": 1, "itl_ms": 20}, {CACHED}),
    ],
    ids=["healthy", "short", "wrong under load", "wrong chats", "kept"],
)
@pytest.mark.long
def test_a_server_that_is_quick_by_what_it_says_is_found(faults: list[str], plants: dict[str, Any], found: set[str]) -> None:
    """One that keeps prefixes is not."""
    verdicts = of_a_window(*faults, **plants)
    assert verdicts == {name: Verdict.FAIL if name in found else Verdict.PASS for name in (QUALITY, LENGTH, CACHED)}
