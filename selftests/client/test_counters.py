"""Counters of an engine are read by the names of its kind, and a client that goes away says whether it missed anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.client.counters import Growth, Reading, names_in
from hallmark.client.exposition import read_samples
from hallmark.client.offers import Known, Offers
from hallmark.client.wire import WireClient
from selftests.server.checking import served

EXPOSITIONS = Path(__file__).resolve().parents[1] / "sidecar" / "expositions"


@pytest.mark.parametrize(
    ("file", "prompt", "generated", "ended"),
    [
        ("vllm_0_6.txt", None, None, None),
        ("vllm_0_32.txt", 36, 18, 6),
        ("sglang.txt", 106, 105, 7),
        ("sglang_older.txt", 135, 113, 8),
    ],
)
def test_engines_are_known_by_their_names(file: str, prompt: int | None, generated: int | None, ended: int | None) -> None:
    text = (EXPOSITIONS / file).read_text(encoding="utf-8")
    names = names_in(text)
    assert names
    reading = Reading(names, text, read_samples(text))
    nothing = Reading(names, "", [])
    growth = Growth(nothing, reading)
    assert reading.cache is not None
    if prompt is not None:
        assert (growth.prompt_tokens, growth.generated_tokens, growth.ended) == (prompt, generated, ended)


@pytest.mark.parametrize(
    ("file", "counts", "cached"),
    [("vllm_0_6.txt", False, 0), ("vllm_0_32.txt", True, 0), ("sglang.txt", True, 33), ("sglang_older.txt", False, 0)],
)
def test_what_came_from_a_cache_is_read_where_it_is_counted(file: str, counts: bool, cached: int) -> None:
    text = (EXPOSITIONS / file).read_text(encoding="utf-8")
    names = names_in(text)
    assert names
    reading = Reading(names, text, read_samples(text))
    assert reading.counts_cached is counts
    assert Growth(Reading(names, "", []), reading).cached_tokens == cached


def test_reasons_are_told_where_they_are_counted() -> None:
    text = (EXPOSITIONS / "vllm_0_32.txt").read_text(encoding="utf-8")
    names = names_in(text)
    assert names
    assert Growth(Reading(names, "", []), Reading(names, text, read_samples(text))).reasons() == {"stop": 6}


def test_other_series_are_no_engine_s() -> None:
    assert names_in("# TYPE llamacpp:prompt_tokens_total counter\nllamacpp:prompt_tokens_total 3\n") is None


@pytest.mark.parametrize(("fault", "known"), [("", Known.OFFERED), ("no-metrics", Known.ABSENT), ("only-openai", Known.ABSENT)])
def test_counters_are_looked_for(fault: str, known: Known) -> None:
    with served(*([fault] if fault else [])) as url:
        assert Offers(WireClient(url, "stand-in"))("extension:counters").known is known


def test_who_goes_away_says_whether_all_was_there() -> None:
    with served(ttft_ms=200) as url, WireClient(url, "stand-in") as client:
        body = client.body(prompt="1+1=", max_tokens=1)
        assert client.give_up("/v1/completions", body, after_s=0.0) is None
        for asked, status in ((body, 200), (client.body(prompt=None), 400)):
            answer = client.give_up("/v1/completions", asked, after_s=30.0)
            assert answer
            assert answer.status == status
