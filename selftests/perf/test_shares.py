"""Shares of the traffic: as many requests of each kind as the point says, and answers that must be what each kind asked for."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from hallmark.client.adapters import loaded
from hallmark.client.models import listed
from hallmark.client.oracle import TokenOracle
from hallmark.client.wire import WireClient
from hallmark.core.errors import CheckFailed
from hallmark.core.verdict import Verdict
from hallmark.perf.judge import judge_requests
from hallmark.perf.loadgen import measure
from hallmark.perf.sample import PointResult
from hallmark.perf.shares import kinds_drawn, kinds_of, kinds_seen, require_structure, structure
from hallmark.perf.workload import make_workload
from hallmark.specs.model import Metric, PerfPoint
from selftests.faulty import MODEL, running
from selftests.perf.test_chat_prompts import WEIGHTS
from selftests.perf.test_judging import a_result

VOCABULARY = range(69, 95)
ORACLE = TokenOracle.from_folder(WEIGHTS)
SHARES = {"adapters": {"subtract": 0.25}, "structured": 0.1}


def a_point(**given: Any) -> PerfPoint:
    fields: dict[str, Any] = {"isl": 40, "osl": 12, "concurrency": 4, "requests": 20, "source": "x"}
    return PerfPoint.model_validate(fields | {"targets": {Metric.TTFT_MEAN: 1.0}} | given)


def test_of_each_kind_there_are_as_many_as_its_share_in_a_drawn_order() -> None:
    point = a_point(api="chat", shares=SHARES, requests=40)
    kinds = kinds_drawn(point, seed=1, salt="s")
    assert Counter(kind.name for kind in kinds) == {"plain": 26, "adapter subtract": 10, "structured": 4}
    assert kinds == kinds_drawn(point, seed=1, salt="s") != kinds_drawn(point, seed=1, salt="t")
    assert kinds != sorted(kinds, key=lambda kind: kind.name), "not one kind after the other"
    assert {kind.name for kind in kinds_drawn(a_point(), seed=1, salt="s")} == {"plain"}
    few = point.model_copy(update={"requests": 4})  # as a smoke run sends
    assert {kind.name for kind in kinds_drawn(few, seed=1, salt="s")} == {"plain", "adapter subtract", "structured"}


def test_each_kind_asks_for_what_it_is_and_all_are_warm() -> None:
    point = a_point(api="chat", shares=SHARES)
    workload = make_workload(point, "m", vocabulary=(), seed=1, salt="s", tokenizer=ORACLE)
    for planned in (*workload.warmup, *workload.window):
        body = json.loads(planned.body)
        assert body["model"] == (planned.kind.adapter or "m")
        assert ("response_format" in body) == planned.kind.structured
        assert (body["max_tokens"], body["ignore_eos"]) == (12, True)
        assert planned.row(open_at=None)["kind"] == planned.kind.name
    assert [planned.kind for planned in workload.warmup[:3]] == kinds_of(point)


def test_what_one_model_has_read_an_adapters_cache_does_not_hold() -> None:
    fields: dict[str, Any] = {"prefixes": {"groups": 1, "tokens": 30}, "warmup": 1, "requests": 4}
    plain, mixed = (
        make_workload(a_point(**fields, **more), "m", vocabulary=VOCABULARY, seed=1, salt="s")
        for more in ({}, {"shares": {"adapters": {"subtract": 0.5}}})
    )
    assert plain.cached_by_chance >= 30
    assert mixed.cached_by_chance == pytest.approx(plain.cached_by_chance * 3 / 4, rel=0.1), "the adapter reads its first one"


@pytest.mark.parametrize("osl", [2, 12, 100, 1000])
def test_no_answer_of_osl_tokens_meets_the_schema_and_each_begin_of_one_is_right(osl: int) -> None:
    schema = structure(osl)["response_format"]["json_schema"]["schema"]
    side = math.isqrt(osl) + 1
    whole = [["red", "green"][number % 2] for number in range(side)]
    jsonschema.validate([whole] * side, schema)
    assert side * side > osl, "more words than tokens"
    for text in (json.dumps([whole] * 2), json.dumps([whole] * 2, separators=(",", ":"))):
        for end in range(len(text)):
            require_structure(text[:end])


@pytest.mark.parametrize(
    "text", ["sure:", '["red"', '[["pink",', '[["red" "blue"', "[[]", '{"rows"', '[["red"]]]', "null", '[["red",,']
)
def test_an_answer_without_the_structure_is_named(text: str) -> None:
    with pytest.raises(CheckFailed, match="asked for rows of words as JSON, and the answer is"):
        require_structure(text)


def test_the_name_of_a_point_tells_its_shares() -> None:
    assert a_point(api="chat", shares=SHARES).name == "isl40-osl12-c4-chat-adapter-subtract-0.25-structured-0.1"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"shares": {}}, "states no share"),
        ({"shares": {"adapters": {"a": 0.6, "b": 0.6}}}, "together are 1.2"),
        ({"shares": {"adapters": {"a": 0}}}, "greater than 0"),
        ({"shares": {"structured": 0.5}}, "add `api: chat`"),
        ({"shares": {"adapters": {"a": 0.01}}}, "0.01 of 20 requests is none"),
    ],
)
def test_what_is_no_share_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        a_point(**fields)


def test_the_times_of_each_kind_are_told_and_decide_nothing() -> None:
    result = a_result(3)
    assert kinds_seen(result) == []
    kinds = ("", "structured", "structured")
    mixed = tuple(replace(sample, kind=kind) for sample, kind in zip(result.samples, kinds, strict=True))
    found = kinds_seen(replace(result, samples=mixed))
    assert [(item.name, item.n, item.target) for item in found] == [
        ("ttft_p50_ms of plain", 1, None),
        ("ttft_p50_ms of structured", 2, None),
    ]


def test_adapters_are_served_for_as_long_as_they_are_needed() -> None:
    with running() as server, WireClient(server.base_url, MODEL) as client:
        client.post("/v1/load_lora_adapter", {"lora_name": "there", "lora_path": "x"}).require(200)
        with pytest.raises(ZeroDivisionError), loaded(client, {"there": "x", "subtract": "y"}):
            assert {model["id"] for model in listed(client)} == {MODEL, "there", "subtract"}
            raise ZeroDivisionError
        assert {model["id"] for model in listed(client)} == {MODEL, "there"}
    with (
        running("lora-refused") as server,
        WireClient(server.base_url, MODEL) as client,
        pytest.raises(CheckFailed, match="400"),
        loaded(client, {"subtract": "y"}),
    ):
        pass


def with_adapter(point: PerfPoint, *faults: str) -> PointResult:
    with (
        running(*faults) as server,
        WireClient(server.base_url, MODEL) as client,
        loaded(client, {"subtract": "x"}),
    ):
        return measure(server.base_url, server.model, point, vocabulary=VOCABULARY, tokenizer=ORACLE)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("fault", "error"),
    [("", ""), ("streams-unconstrained", "asked for rows of words as JSON"), ("constrains-few=0", "asked for rows of words")],
)
def test_a_point_of_all_kinds_and_structure_that_is_ignored(fault: str, error: str) -> None:
    point = a_point(api="chat", shares=SHARES)
    result = with_adapter(point, *filter(None, [fault]))
    evidence = judge_requests(result, point)
    assert evidence.verdict is (Verdict.FAIL if fault else Verdict.PASS), evidence.reason
    assert error in evidence.reason
    if not fault:
        assert Counter(sample.kind for sample in result.samples) == {"": 13, "adapter subtract": 5, "structured": 2}
        assert {(sample.prompt_tokens, sample.output_tokens) for sample in result.samples} == {(40, 12)}


@pytest.mark.e2e
def test_an_adapter_that_is_not_served_fails_its_share() -> None:
    point = a_point(shares={"adapters": {"subtract": 0.25}})
    with running() as server:
        result = measure(server.base_url, server.model, point, vocabulary=VOCABULARY)
    assert (len(result.samples), len(result.failures)) == (15, 5)
    assert "HTTP 404" in judge_requests(result, point).reason


@pytest.mark.e2e
@pytest.mark.parametrize("fault", ["", "lora-shares-cache"])
def test_a_cache_that_adapters_share_holds_more_than_it_may(fault: str) -> None:
    point = a_point(prefixes={"groups": 10, "tokens": 30}, warmup=1, shares={"adapters": {"subtract": 0.5}})
    result = with_adapter(point, "prefix-cache", *filter(None, [fault]))
    evidence = judge_requests(result, point)
    assert evidence.verdict is (Verdict.FAIL if fault else Verdict.PASS), evidence.reason
    assert ("came out of a prefix cache" in evidence.reason) == bool(fault)
