"""What heals lost items is told, whatever made them be lost; and asking again can neither raise nor go on for ever."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hallmark.core.errors import CheckFailed
from hallmark.core.verdict import Verdict
from hallmark.evals.attribution import (
    ALONE,
    FRESH,
    MOST_ITEMS,
    MOST_SECONDS,
    RENDERED,
    STATED,
    WORDS,
    Lost,
    attribute,
    lost_items,
    ways_of,
)
from hallmark.evals.items import digest
from selftests.server.checking import Suite, served

RIGHT, WRONG = "42", "41"


def lost(count: int = 4) -> list[Lost]:
    right = digest(json.dumps([RIGHT]))
    return [
        Lost(number=n, prompt=f"{n}+1=", generation={}, expected=RIGHT, answered=WRONG, reference=right) for n in range(count)
    ]


def ways(*healing: str) -> dict[str, Callable[[Lost], str]]:
    """Each way answers right where it is one of `healing`."""
    return {way: (lambda _, way=way: RIGHT if way in healing else WRONG) for way in WORDS}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("healing", "words"),
    [
        ([ALONE, FRESH, STATED, RENDERED], "Healed by concurrency"),
        ([FRESH], "Healed by the prefix cache"),
        ([STATED], "Healed by the server's own sampling defaults"),
        ([RENDERED], "Healed by the chat template"),
        ([], "Healed by nothing that was tried: weights, numerics"),
    ],
)
def test_the_first_way_that_heals_is_the_cause(healing: list[str], words: str) -> None:
    found = attribute(lost(), ways(*healing))
    assert words in found.reason
    assert found.verdict is Verdict.PASS, "it changes no verdict"
    assert found.detail["healed"] == {way: 4 * (way in healing) for way in WORDS}
    first = found.detail["items"][0]
    assert (first["question"], first["expected"], first["answered"]) == ("0+1=", RIGHT, WRONG)
    assert {first[way] for way in healing} <= {RIGHT}


def test_of_many_some_are_asked_and_the_number_is_told() -> None:
    found = attribute(lost(100), ways())
    assert (found.value, found.detail["lost"], len(found.detail["items"])) == (MOST_ITEMS, 100, MOST_ITEMS)
    assert f"of {MOST_ITEMS} of the 100 lost items" in found.reason


def test_a_server_that_is_gone_or_slow_ends_it() -> None:
    def gone(_: Lost) -> str:
        raise CheckFailed("connection lost")

    assert "; alone: connection lost" in attribute(lost(), {ALONE: gone}).reason
    clock = itertools.count(step=MOST_SECONDS / 2).__next__
    late = attribute(lost(), ways(ALONE), clock=clock)
    assert f"; given up after {MOST_SECONDS:g} s" in late.reason
    assert sum(late.detail["healed"].values()) < 4


def test_the_items_that_only_the_reference_has_right_are_taken_from_the_samples(tmp_path: Path) -> None:
    rows = [
        {
            "doc_id": n,
            "arguments": [[f"{n}+1=", {"until": ["\n"], "max_gen_toks": 8}]],
            "filtered_resps": [WRONG],
            "target": RIGHT,
        }
        for n in range(4)
    ]
    samples = tmp_path / "samples.jsonl"
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    items = [SimpleNamespace(number=n, score=float(n == 0), logprobs=(0.5,) if n == 3 else ()) for n in range(4)]
    reference = SimpleNamespace(right="1101", answers=("a", "b", "c", "d"))
    compared: Any = SimpleNamespace(items=items, reference=reference)
    (only,) = lost_items(samples, compared)
    assert (only.number, only.prompt, only.generation["max_gen_toks"], only.reference) == (1, "1+1=", 8, "b")


@pytest.mark.parametrize(("api", "prompt"), [("completions", "57+23="), ("chat", '[{"role": "user", "content": "57+23="}]')])
def test_each_way_asks_a_server_in_its_own_words(api: str, prompt: str) -> None:
    with served() as url:
        suite = Suite(url)
        client, offers, tokenizer = (suite._fixtures[name] for name in ("client", "offers", "tokenizer"))
        one = Lost(number=0, prompt=prompt, generation={"until": ["\n"]}, expected="80", answered="", reference="")
        asked = {way: ask(one) for way, ask in ways_of(client, offers, tokenizer, api=api).items()}
        suite.client.close()
    assert set(asked) == set(WORDS) - ({RENDERED} if api == "completions" else set())
    if api == "completions":
        assert set(asked.values()) == {"80"}
