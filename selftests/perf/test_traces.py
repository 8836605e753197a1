"""Recorded traffic as it is published, what is no such file, and the prompts that a trace's requests have in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hallmark.client.oracle import TokenOracle
from hallmark.core.errors import UsageError
from hallmark.perf.loadgen import measure
from hallmark.perf.prompts import in_common
from hallmark.perf.traces import BLOCK_TOKENS, TraceRequest, read_trace
from hallmark.perf.workload import make_workload
from hallmark.specs.model import Metric, PerfPoint
from hallmark.specs.targets import Arrivals
from selftests.faulty import running
from selftests.perf.test_chat_prompts import WEIGHTS

VOCABULARY = range(69, 95)
TEXTS = {
    "mooncake": '{"timestamp": 1000, "input_length": 20, "output_length": 5, "hash_ids": [0, 7]}\n\n'
    '{"timestamp": 1500, "input_length": 30, "output_length": 6}\n',
    "burstgpt": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,20,5,25,Conversation log\n5.2,GPT-4,9,0,9,API log\n5.5,GPT-4,30,6,36,API log\n",
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,20,5\n2023-11-16 18:17:04.4799600,30,6\n",
    "hallmark": '{"time_s": 3.5, "isl": 30, "osl": 6}\n{"time_s": 3, "isl": 20, "osl": 5, "blocks": [0, 7]}\n',
}


def written(folder: Path, text: str) -> Path:
    path = folder / "trace"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("form", TEXTS)
def test_each_form_tells_when_and_how_long(form: str, tmp_path: Path) -> None:
    """Times begin at the first request, rows come in the order of their times, and a request without an answer is none."""
    first, second = read_trace(written(tmp_path, TEXTS[form]), form, most=2)
    assert (first.due_s, first.isl, first.osl) == (0.0, 20, 5)
    assert (second.isl, second.osl) == (30, 6)
    assert second.due_s == pytest.approx(0.5, abs=1e-5)
    assert first.blocks == ((0, 7) if form in ("mooncake", "hallmark") else ())


@pytest.mark.parametrize(
    ("form", "text", "words"),
    [
        ("mooncake", "[1, 2]\n", ":1: is no row of mooncake"),
        ("mooncake", '{"timestamp": 0\n', ":1: is no JSON"),
        ("hallmark", TEXTS["mooncake"], ":1: is no row of hallmark (KeyError('time_s'))"),
        ("azure", TEXTS["burstgpt"], ":2: is no row of azure (KeyError('TIMESTAMP'))"),
        ("burstgpt", TEXTS["burstgpt"].replace("30", "many"), ":4: is no row of burstgpt"),
        ("burstgpt", TEXTS["azure"], ":2: is no row of burstgpt"),
        ("mooncake", TEXTS["mooncake"].splitlines()[0], "has 1 requests with an answer, 2 are asked for - lower `requests`"),
    ],
)
def test_what_is_no_such_file_is_one_line_that_names_the_place(form: str, text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_trace(written(tmp_path, text), form, most=2)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no-such\.jsonl: cannot be read"):
        read_trace(tmp_path / "no-such.jsonl", "mooncake", most=1)


def a_point(**given: Any) -> PerfPoint:
    trace = Arrivals(kind="trace", trace="traces/conversation.jsonl", format="mooncake", speed=2)
    fields: dict[str, Any] = {"isl": 2000, "osl": 8, "concurrency": 2, "requests": 3, "source": "x", "arrivals": trace}
    return PerfPoint(**(fields | {"targets": {Metric.TTFT_MEAN: 1.0}} | given))


RECORDED = (
    TraceRequest(due_s=0.0, isl=1100, osl=40, blocks=(1, 2, 3)),
    TraceRequest(due_s=0.1, isl=900, osl=1, blocks=(1, 2)),
    TraceRequest(due_s=0.4, isl=5000, osl=5, blocks=(1, 9, 2, 4)),
)


def test_requests_are_as_long_as_recorded_within_what_the_point_allows_and_share_their_blocks() -> None:
    workload = make_workload(a_point(), "m", vocabulary=VOCABULARY, seed=1, salt="s", trace=RECORDED)
    prompts = [json.loads(planned.body)["prompt"] for planned in workload.window]
    assert [len(prompt) for prompt in prompts] == [planned.isl for planned in workload.window] == [1100, 900, 2000]
    assert [planned.osl for planned in workload.window] == [8, 2, 5], "an answer of one token has no time per token"
    assert [planned.due_s for planned in workload.window] == [0.0, 0.1, 0.4]
    assert prompts[0][:900] == prompts[1]
    assert prompts[0][:BLOCK_TOKENS] == prompts[2][:BLOCK_TOKENS]
    assert prompts[0][BLOCK_TOKENS : BLOCK_TOKENS + 20] != prompts[2][BLOCK_TOKENS : BLOCK_TOKENS + 20]
    assert workload.cached_by_chance == pytest.approx((900 + BLOCK_TOKENS) / 3, rel=0.01)
    other = make_workload(a_point(), "m", vocabulary=VOCABULARY, seed=1, salt="t", trace=RECORDED)
    assert json.loads(other.window[0].body)["prompt"][:20] != prompts[0][:20], "a fresh salt shares nothing"


def test_a_chat_of_a_trace_is_as_long_as_recorded_and_shares_its_whole_blocks() -> None:
    oracle = TokenOracle.from_folder(WEIGHTS)
    point = a_point(api="chat")
    workload = make_workload(point, "m", vocabulary=(), seed=1, salt="s", trace=RECORDED, tokenizer=oracle)
    ids = [oracle.chat_ids(json.loads(planned.body)["messages"]) for planned in workload.window]
    assert [len(one) for one in ids] == [planned.isl for planned in workload.window] == [1100, 900, 2000]
    assert BLOCK_TOKENS - 20 < in_common(ids[0], ids[1]) < BLOCK_TOKENS + 20
    assert BLOCK_TOKENS - 20 < in_common(ids[0], ids[2]) < BLOCK_TOKENS + 20


@pytest.mark.e2e
def test_a_trace_is_sent_at_its_times_and_answered_in_its_lengths() -> None:
    short = tuple(TraceRequest(due_s=place * 0.2, isl=10 + place, osl=3 + place) for place in range(3))
    with running(ttft_ms=5, itl_ms=2) as server:
        result = measure(server.base_url, server.model, a_point(isl=20, warmup=1), vocabulary=VOCABULARY, trace=short)
    assert result.faultless
    assert [(sample.prompt_tokens, sample.output_tokens) for sample in result.samples] == [(10, 3), (11, 4), (12, 5)]
    begun = result.samples[0].start
    assert [sample.start - begun for sample in result.samples] == pytest.approx([0, 0.1, 0.2], abs=1e-6), "twice as fast"


def test_the_name_of_a_point_tells_its_trace() -> None:
    assert a_point().name == "isl2000-osl8-c2-trace-conversation-x2"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "trace"}, "a trace has a file"),
        ({"kind": "trace", "trace": "x.jsonl", "rate": 3}, "no rate of its own"),
        ({"kind": "poisson"}, "poisson has a rate"),
        ({"kind": "poisson", "rate": 3, "trace": "x.jsonl"}, "neither a file nor a speed"),
    ],
)
def test_what_fits_no_kind_of_arrivals_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Arrivals.model_validate(fields)
