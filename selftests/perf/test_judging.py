"""Summaries and verdicts of made-up points: every tier, every absence, and no pass without all requests."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import replace
from typing import Any

import pytest

from hallmark.core.records import Evidence, to_plain
from hallmark.core.verdict import Verdict, worst
from hallmark.core.wording import finding
from hallmark.perf.judge import judge_point
from hallmark.perf.sample import Failed, PointResult, Sample
from hallmark.perf.summary import summarise
from hallmark.specs.model import Metric, PerfPoint, Tier
from hallmark.stats.estimate import Absent, Estimate

FACTORS = {Tier.FUNCTIONAL: 0.1, Tier.COMPLETE: 0.5, Tier.TARGET: 1.0}
OSL = 11


def a_sample(start: float, *, ttft_ms: float, tpot_ms: float, arrivals: int = OSL) -> Sample:
    ends = [start + (ttft_ms + tpot_ms * (OSL - 1) * i / max(1, arrivals - 1)) / 1000 for i in range(arrivals)]
    times = {"start": start, "taken_up": start, "sent": start, "first_byte": ends[0]}
    return Sample(**times, token_times=tuple(ends), end=ends[-1], prompt_tokens=5, output_tokens=OSL)


def a_result(count: int = 40, *, ttft_ms: float = 100, tpot_ms: float = 10, arrivals: int = OSL, **given: Any) -> PointResult:
    wobble = itertools.cycle((0.98, 1.0, 1.02))
    samples = tuple(a_sample(i, ttft_ms=ttft_ms * next(wobble), tpot_ms=tpot_ms, arrivals=arrivals) for i in range(count))
    fields: dict[str, Any] = {
        "samples": samples,
        "failures": (),
        "warmup_failures": (),
        "window_s": float(count),
        "stopped": "",
        "seed": 0,
        "salt": "s",
        "sent_again": 0,
        "cached_by_chance": 2.0,
        "client_delay_mean_s": 0.0,
        "client_delay_max_s": 0.0,
        "client_late_s": 0.0,
    }
    return PointResult(**(fields | given))


def judged(result: PointResult, *, required: Tier = Tier.TARGET, requests: int = 40, **targets: float) -> dict[str, Evidence]:
    point = PerfPoint(
        isl=5,
        osl=OSL,
        concurrency=2,
        requests=requests,
        targets={Metric[name]: value for name, value in (targets or {"TTFT_MEAN": 1000.0}).items()},
        source="a datasheet",
    )
    evidence = judge_point(result, point, required=required, tier_factors=FACTORS)
    return {e.name: e for e in evidence}


def test_every_metric_has_its_value_and_unit() -> None:
    found = judged(a_result())
    assert set(found) == {*(m.value for m in Metric), "requests", "client_delay_max_ms"}
    values = {name: e.value for name, e in found.items()}
    assert values["ttft_mean_ms"] == pytest.approx(100, rel=0.01)
    assert values["tpot_mean_ms"] == pytest.approx(10)
    assert values["e2e_mean_ms"] == pytest.approx(200, rel=0.01)
    assert values["tokens_per_s_per_user"] == pytest.approx(100)
    assert values["tokens_per_s"] == pytest.approx(OSL)
    assert values["requests_per_s"] == pytest.approx(1)
    assert [found[n].unit for n in ("e2e_p50_ms", "tokens_per_s", "requests_per_s")] == ["ms", "tokens/s", "1/s"]
    assert found["ttft_p50_ms"].interval is not None
    assert found["tokens_per_s"].interval is None
    assert found["ttft_p99_ms"].value == "absent"
    assert "299" in found["ttft_p99_ms"].reason
    assert worst(e.verdict for e in found.values()) is Verdict.PASS


def test_evidence_is_plain_json_data() -> None:
    for evidence in judged(a_result(), TTFT_MEAN=100.0, TOKENS=5.0).values():
        assert to_plain(evidence)["name"] == evidence.name


@pytest.mark.parametrize(
    ("ttft_ms", "required", "verdict", "reached"),
    [
        (50, Tier.TARGET, Verdict.PASS, "target"),
        (150, Tier.TARGET, Verdict.FAIL, "complete"),
        (150, Tier.COMPLETE, Verdict.PASS, "complete"),
        (500, Tier.COMPLETE, Verdict.FAIL, "functional"),
        (500, Tier.FUNCTIONAL, Verdict.PASS, "functional"),
        (5000, Tier.FUNCTIONAL, Verdict.FAIL, "none"),
        (100, Tier.TARGET, Verdict.INCONCLUSIVE, "complete"),
    ],
)
def test_latency_is_held_at_the_required_tier(ttft_ms: float, required: Tier, verdict: Verdict, reached: str) -> None:
    evidence = judged(a_result(ttft_ms=ttft_ms), required=required, TTFT_MEAN=100.0)["ttft_mean_ms"]
    assert evidence.verdict is verdict
    assert evidence.detail["reached"] == reached
    assert evidence.target is not None
    assert evidence.target.limit == pytest.approx(100 / FACTORS[required])
    assert (evidence.target.reference, evidence.target.tier, evidence.target.source) == (100, required, "a datasheet")
    assert finding(evidence) in evidence.reason
    assert f"tier {required} allows {100 / FACTORS[required]:,g} (" in evidence.reason
    if verdict is not Verdict.PASS:
        assert f"tier reached: {reached}" in evidence.reason


@pytest.mark.parametrize(
    ("reference", "required", "verdict"),
    [
        (10, Tier.TARGET, Verdict.PASS),
        (20, Tier.TARGET, Verdict.FAIL),
        (20, Tier.COMPLETE, Verdict.PASS),
        (120, Tier.FUNCTIONAL, Verdict.FAIL),
    ],
)
def test_throughput_is_a_part_of_its_reference(reference: float, required: Tier, verdict: Verdict) -> None:
    evidence = judged(a_result(), required=required, TOKENS=reference)["tokens_per_s"]
    assert evidence.verdict is verdict
    assert evidence.target is not None
    assert evidence.target.relation == ">="
    assert evidence.target.limit == pytest.approx(reference * FACTORS[required])


def test_a_target_whose_quantile_is_absent_is_inconclusive() -> None:
    evidence = judged(a_result(), TTFT_P99=1e6)["ttft_p99_ms"]
    assert (evidence.verdict, evidence.value, evidence.n) == (Verdict.INCONCLUSIVE, "absent", 0)
    enough = judged(a_result(300), requests=300, TTFT_P99=1e6)["ttft_p99_ms"]
    assert enough.verdict is Verdict.PASS


@pytest.mark.parametrize(
    "spoilt",
    [
        {"failures": (Failed(start=0, error="HTTP 500"),)},
        {"warmup_failures": (Failed(start=0, error="HTTP 500"),)},
        {"stopped": "the server died"},
    ],
)
def test_one_failed_request_fails_the_point_and_leaves_no_metric_passed(spoilt: dict[str, Any]) -> None:
    clean, dirty = judged(a_result()), judged(replace(a_result(), **spoilt))
    assert clean["requests"].verdict is Verdict.PASS
    assert dirty["requests"].verdict is Verdict.FAIL
    assert (clean["ttft_mean_ms"].verdict, dirty["ttft_mean_ms"].verdict) == (Verdict.PASS, Verdict.INCONCLUSIVE)
    assert dirty["ttft_mean_ms"].value == clean["ttft_mean_ms"].value


def test_fewer_requests_than_the_point_s_are_a_fail() -> None:
    assert judged(a_result(39))["requests"].verdict is Verdict.FAIL


@pytest.mark.parametrize(("cached", "verdict"), [(0, Verdict.PASS), (2, Verdict.PASS), (3, Verdict.FAIL)])
def test_prompts_out_of_a_cache_fail_the_point_beyond_chance(cached: int, verdict: Verdict) -> None:
    """By chance it is two tokens of five."""
    whole = a_result()
    found = judged(replace(whole, samples=tuple(replace(sample, cached_tokens=cached) for sample in whole.samples)))
    assert found["requests"].verdict is verdict
    assert found["requests"].detail["cached_prompt_share"] == cached / 5
    assert ("what was timed is the cache" in found["requests"].reason) == (verdict is Verdict.FAIL)


def test_one_token_by_chance_fails_nothing() -> None:
    whole = a_result()
    one = (replace(whole.samples[0], cached_tokens=1), *whole.samples[1:])
    assert judged(replace(whole, samples=one))["requests"].verdict is Verdict.PASS


def test_all_requests_failed_is_no_zero_latency() -> None:
    failures = tuple(Failed(start=i, error=f"HTTP {500 + i % 7}") for i in range(40))
    found = judged(a_result(0, failures=failures, window_s=0.0), TTFT_MEAN=1e9, TOKENS=1e-6)
    assert found["requests"].verdict is Verdict.FAIL
    assert found["requests"].detail["failed"] == 40
    assert len(found["requests"].detail["errors"]) == 5
    for name in ("ttft_mean_ms", "tokens_per_s"):
        assert (found[name].value, found[name].verdict) == ("absent", Verdict.INCONCLUSIVE)


def test_a_gathered_answer_has_no_time_per_token() -> None:
    found = summarise(a_result(arrivals=1))
    for metric in (Metric.TPOT_MEAN, Metric.TPOT_P50, Metric.TOKENS_PER_USER):
        absent = found[metric]
        assert isinstance(absent, Absent)
        assert "gathers" in absent.reason
    assert isinstance(found[Metric.TTFT_MEAN], Estimate)
    assert isinstance(summarise(a_result(arrivals=4))[Metric.TPOT_MEAN], Estimate)


def with_gathered(count: int) -> PointResult:
    """40 answers of which `count` came at once, at the end of the time that they took."""
    whole = a_result()
    late = [replace(s, token_times=(s.token_times[-1],)) for s in whole.samples[:count]]
    return replace(whole, samples=(*late, *whole.samples[count:]))


def test_an_answer_that_came_at_once_counts_with_the_longest_time_per_token_that_it_can_have_had() -> None:
    clean, late, many = (summarise(with_gathered(count))[Metric.TPOT_MEAN] for count in (0, 4, 5))
    assert isinstance(clean, Estimate)
    assert isinstance(late, Estimate)
    assert late.value > clean.value, "an answer that is late in one piece is never in the server's favour"
    assert late.value == pytest.approx(statistics.mean(s.tpot_s for s in with_gathered(4).samples) * 1000)
    assert isinstance(many, Absent)
    assert "5 of 40 answers" in many.reason
    assert judged(with_gathered(4))["requests"].reason.endswith(", 4 in too few pieces")
    assert judged(with_gathered(0))["requests"].reason.endswith("in full")
    worst = with_gathered(1).samples[0]
    assert worst.tpot_s * (OSL - 1) == pytest.approx(worst.e2e_s)
