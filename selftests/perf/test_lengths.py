"""Drawn lengths: each kind has its shape within the point's most, one seed draws them again, and what is none is refused."""

from __future__ import annotations

import json
import statistics
from typing import Any

import pytest
from pydantic import ValidationError

from hallmark.perf.lengths import lengths_of
from hallmark.perf.workload import make_workload
from hallmark.specs.model import Metric, PerfPoint
from hallmark.specs.traffic import Lengths

MANY = 4000
UNIFORM = {"kind": "uniform", "low": 100}
LOGNORMAL = {"kind": "lognormal", "p50": 60, "p95": 200}


def a_point(**given: Any) -> PerfPoint:
    fields: dict[str, Any] = {"isl": 400, "osl": 300, "concurrency": 2, "requests": 8, "source": "x"}
    return PerfPoint.model_validate(fields | {"targets": {Metric.TTFT_MEAN: 1.0}} | given)


def drawn(*, seed: int = 1, **given: Any) -> tuple[list[int], list[int]]:
    pairs = lengths_of(a_point(**given), MANY, seed=seed, salt="s")
    return [isl for isl, _ in pairs], [osl for _, osl in pairs]


def test_a_point_without_them_has_one_length_for_all() -> None:
    assert drawn() == ([400] * MANY, [300] * MANY)


def test_uniform_lengths_are_everywhere_between_low_and_the_most() -> None:
    isl, osl = drawn(lengths={"isl": UNIFORM})
    assert (min(isl), max(isl)) == (100, 400)
    assert statistics.fmean(isl) == pytest.approx(250, rel=0.03)
    assert statistics.pstdev(isl) == pytest.approx(300 / 12**0.5, rel=0.05)
    assert osl == [300] * MANY


def test_lognormal_lengths_have_their_quantiles_and_end_at_the_most() -> None:
    _, osl = drawn(lengths={"osl": LOGNORMAL})
    hundredths = statistics.quantiles(osl, n=100)
    assert hundredths[49] == pytest.approx(60, rel=0.06)
    assert hundredths[94] == pytest.approx(200, rel=0.1)
    assert max(osl) == 300, "what would be longer has the most"
    assert min(drawn(osl=4, lengths={"osl": {"kind": "uniform", "low": 1}})[1]) == 2, "one token has no time per token"


def test_one_seed_draws_them_again_and_more_of_them_begin_alike() -> None:
    point = a_point(lengths={"isl": UNIFORM, "osl": LOGNORMAL})
    assert lengths_of(point, 50, seed=1, salt="a") == lengths_of(point, 80, seed=1, salt="a")[:50]
    assert len({tuple(lengths_of(point, 50, seed=seed, salt=salt)) for seed, salt in ((1, "a"), (2, "a"), (1, "b"))}) == 3


def test_what_is_sent_has_the_drawn_lengths_and_the_schedule_tells_them() -> None:
    point = a_point(lengths={"isl": UNIFORM, "osl": LOGNORMAL}, arrivals={"kind": "poisson", "rate": 4})
    workload = make_workload(point, "m", vocabulary=range(69, 95), seed=1, salt="s")
    bodies = [json.loads(planned.body) for planned in workload.window]
    lengths = lengths_of(point, 8, seed=1, salt="s")
    assert [(len(body["prompt"]), body["max_tokens"]) for body in bodies] == lengths
    rows = [planned.row(open_at=2.0) for planned in workload.window]
    assert [(row["isl"], row["osl"]) for row in rows] == lengths
    assert [row["due_s"] for row in rows] == [round(planned.due_s / 2, 6) for planned in workload.window]
    assert workload.window[0].row(open_at=None)["due_s"] is None, "a closed loop has no times"
    assert {(planned.isl, planned.osl) for planned in workload.warmup} == {(400, 300)}, "the largest are warm, too"


def test_the_name_of_a_point_tells_its_lengths() -> None:
    assert a_point().name == "isl400-osl300-c2"
    assert a_point(lengths={"isl": UNIFORM}).name == "isl100to400-osl300-c2"
    assert a_point(lengths={"osl": LOGNORMAL}).name == "isl400-osl300lognormal60-200-c2"


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ({}, "draws no length"),
        ({"isl": {"kind": "uniform"}}, "uniform has low"),
        ({"isl": UNIFORM | {"p50": 3}}, "and no p50"),
        ({"isl": {"kind": "lognormal", "p50": 3}}, "lognormal has p50 and p95"),
        ({"isl": LOGNORMAL | {"low": 3}}, "and no low"),
        ({"isl": LOGNORMAL | {"p50": 200}}, r"p50 \(200\) must be below p95"),
        ({"isl": UNIFORM | {"low": 401}}, r"low \(401\) is above isl \(400\)"),
        ({"osl": LOGNORMAL | {"p95": 301}}, r"p95 \(301\) is above osl \(300\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(lengths: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        a_point(lengths=lengths)


def test_a_trace_has_its_own_lengths() -> None:
    with pytest.raises(ValidationError, match="a trace has lengths and prefixes of its own"):
        a_point(lengths={"isl": UNIFORM}, arrivals={"kind": "trace", "trace": "x.jsonl"})
    assert Lengths.model_validate({"isl": UNIFORM}).osl is None
