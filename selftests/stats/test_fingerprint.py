"""What a fingerprint tells: a right server passes, each kind of difference has its own words, and nothing that is none passes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.stats.fingerprint import (
    CHAT,
    LONG,
    OTHER_DTYPE_NATS,
    SIXTEEN_BITS_NATS,
    WIDE_NATS,
    Fingerprint,
    Probe,
    judge_fingerprint,
    tolerance,
)

LENGTHS = {"ordinary text": 90, "code": 80, "digits": 90, LONG: 400, CHAT: 20}
Change = Callable[[str, int, float], float]
"""(probe, place, log-probability) -> the log-probability that the server gives instead."""


def fingerprint(change: Change = lambda *_: 0.0, *, way: str = "prompt") -> Fingerprint:
    """The same texts each time, with `change` added to each log-probability."""
    draw = random.Random(7)
    probes = {}
    for name, length in LENGTHS.items():
        values = [-draw.expovariate(1) - 6.0 for _ in range(length)]
        tokens = tuple(str(draw.randrange(200)) for _ in range(length))
        logprobs = tuple(value + change(name, place, value) for place, value in enumerate(values))
        probes[name] = Probe(tokens=tokens, logprobs=logprobs)
    return Fingerprint(way=way, probes=probes)


def noise(size: float) -> Change:
    draw = random.Random(1)
    return lambda *_: draw.gauss(0, size)


def judged(here: Fingerprint, limit: float = WIDE_NATS) -> Evidence:
    return judge_fingerprint(fingerprint(), here, limit=limit, source="the reference")


def test_an_adapter_that_is_left_on_is_told_by_name() -> None:
    left_on, rounding = noise(0.4), noise(0.002)
    changes = {(name, place): left_on(name, place, 0.0) for name, length in LENGTHS.items() for place in range(length)}
    signs = {"terse": fingerprint(lambda name, place, _: changes[name, place]), "formal": fingerprint(noise(0.3))}
    here = fingerprint(lambda name, place, value: changes[name, place] + rounding(name, place, value))

    def words(server: Fingerprint) -> str:
        return judge_fingerprint(fingerprint(), server, limit=WIDE_NATS, source="the reference", adapters=signs).reason

    assert "those with the adapter terse: it is left on" in words(here)
    assert "at all positions" in words(fingerprint(lambda *_: -0.7))
    assert "left on" not in words(fingerprint())


def test_the_same_numerics_pass_with_what_rounding_makes() -> None:
    found = judged(fingerprint(noise(0.003)))
    assert found.verdict is Verdict.PASS
    assert found.n == sum(LENGTHS.values())
    assert "of 0.01 that rounding may make" in found.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (noise(0.05), "at all positions: other weights, their quantisation, or an adapter"),
        (lambda *_: -0.2, "at all positions"),
        (lambda name, place, _: 0.002 * place, "times as much at the end of a long text as at its beginning: RoPE"),
        (
            lambda name, place, _: 2.0 if name == "digits" else 0.0,
            "much in digits and hardly in ordinary text, code: some tokens'",
        ),
        (lambda name, place, _: 1.0 if name == CHAT else 0.0, "only in a chat: the chat template"),
    ],
)
def test_each_kind_of_difference_has_its_words(change: Change, words: str) -> None:
    found = judged(fingerprint(change))
    assert found.verdict is Verdict.FAIL
    assert words in found.reason


@pytest.mark.parametrize("value", [math.nan, -math.inf, 0.5])
def test_what_is_no_log_probability_fails_and_is_named(value: float) -> None:
    right = fingerprint()
    code = right.probes["code"]
    wrong = replace(code, logprobs=(*code.logprobs[:-1], value))
    found = judged(replace(right, probes={**right.probes, "code": wrong}))
    assert found.verdict is Verdict.FAIL
    assert f"the log-probability of the token {code.tokens[-1]} in code is {value}" in found.reason


@pytest.mark.parametrize(("name", "kind"), [(CHAT, "the chat template"), ("code", "the tokenizer")])
def test_other_tokens_are_no_numerics(name: str, kind: str) -> None:
    right = fingerprint()
    probe = right.probes[name]
    shorter = Probe(tokens=probe.tokens[1:], logprobs=probe.logprobs[1:])
    found = judged(replace(right, probes={**right.probes, name: shorter}))
    assert found.verdict is Verdict.FAIL
    assert found.reason == f"{name}: the server reads other tokens than the reference: {kind}"


def test_nothing_that_cannot_be_compared_passes() -> None:
    right = fingerprint()
    without = replace(right, probes={name: probe for name, probe in right.probes.items() if name != "digits"})
    nothing = replace(right, probes={name: Probe(tokens=(), logprobs=()) for name in right.probes}, way="answer")
    assert "says nothing of digits" in judged(without).reason
    assert "read by its prompts, this server by its answers" in judged(replace(right, way="answer")).reason
    assert all(judged(one).verdict is Verdict.INCONCLUSIVE for one in (without, replace(right, way="answer"), nothing))
    empty = judge_fingerprint(nothing, nothing, limit=1.0, source="")
    assert (empty.verdict, empty.n) == (Verdict.INCONCLUSIVE, 0)


def test_first_tokens_are_compared_as_far_as_both_tell_them() -> None:
    """Each names its own likeliest ones, so another choice of the last of them is no other tokenizer."""
    mine = Fingerprint(way="answer", probes={"code": Probe(tokens=("a", "b", "c"), logprobs=(-0.5, -2.0, -3.0))})
    other = Fingerprint(way="answer", probes={"code": Probe(tokens=("a", "b", "d"), logprobs=(-0.5, -2.0, -3.0))})
    found = judge_fingerprint(mine, other, limit=WIDE_NATS, source="")
    assert (found.verdict, found.n) == (Verdict.PASS, 2)
    assert any("no log-probabilities of prompts" in one for one in found.detail["not_seen"])


def test_a_server_that_finds_other_first_tokens_likely_is_another_however_alike_the_one_that_both_tell() -> None:
    mine = Fingerprint(way="answer", probes={"code": Probe(tokens=("a", "b", "c"), logprobs=(-0.5, -2.0, -3.0))})
    for tokens, logprobs in ((("a", "x", "y"), (-0.5, -1.0, -4.0)), (("a", "x", "y"), (-0.5, -2.5, -2.6))):
        other = Fingerprint(way="answer", probes={"code": Probe(tokens=tokens, logprobs=logprobs)})
        for one, two in ((mine, other), (other, mine)):
            assert judge_fingerprint(one, two, limit=WIDE_NATS, source="").verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("reference", "served", "noise", "limit"),
    [
        ("float32", "float32", 0.0, WIDE_NATS),
        ("float32", "float64", 0.0, WIDE_NATS),
        ("float32", "bfloat16", 0.0, OTHER_DTYPE_NATS),
        ("bfloat16", "bfloat16", 0.01, SIXTEEN_BITS_NATS),
        ("bfloat16", "float16", 0.2, 1.0),
    ],
)
def test_how_much_rounding_may_make_hangs_on_the_dtypes_and_on_what_was_measured(
    reference: str, served: str, noise: float, limit: float
) -> None:
    measured = replace(fingerprint(), noise=noise)
    assert tolerance(measured, reference_dtype=reference, dtype=served) == pytest.approx(limit)
