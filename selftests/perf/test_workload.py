"""Prompts of the exact length, no two of which a prefix cache could confuse."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from pydantic import ValidationError

from hallmark.core.errors import HarnessError
from hallmark.perf.prompts import KnownPrompts, common_by_chance
from hallmark.perf.workload import Workload, make_workload
from hallmark.specs.model import Metric, PerfPoint
from selftests.faulty.jobs import in_common


def a_point(**given: Any) -> PerfPoint:
    fields: dict[str, Any] = {
        "isl": 12,
        "osl": 4,
        "concurrency": 4,
        "requests": 50,
        "targets": {Metric.TTFT_MEAN: 1.0},
        "source": "x",
    }
    return PerfPoint(**(fields | given))


def make(point: PerfPoint, *, salt: str = "s", vocabulary: range | tuple[int, ...] = range(5, 90)) -> Workload:
    return make_workload(point, "m", vocabulary=vocabulary, seed=1, salt=salt)


def prompts(workload: Workload) -> list[tuple[int, ...]]:
    return [tuple(json.loads(planned.body)["prompt"]) for planned in (*workload.warmup, *workload.window)]


def test_a_body_asks_for_exactly_the_point() -> None:
    body = json.loads(make(a_point()).window[0].body)
    assert len(body["prompt"]) == 12
    assert (body["max_tokens"], body["ignore_eos"], body["stream"]) == (4, True, True)
    assert body["stream_options"] == {"include_usage": True}
    assert (body["temperature"], body["seed"]) == (0, 1)


def test_counts_and_one_warm_up_per_user_where_none_is_stated() -> None:
    assert [len(make(a_point()).warmup), len(make(a_point()).window)] == [4, 50]
    assert len(make(a_point(warmup=7)).warmup) == 7


def test_no_two_prompts_begin_alike_even_over_few_tokens() -> None:
    few = prompts(make(a_point(isl=8), vocabulary=(1, 2, 3)))
    assert len({p[:8] for p in few}) == len(few) == 54


def test_a_salt_makes_the_same_again_and_another_nothing_of_it() -> None:
    one, again, other = (prompts(make(a_point(), salt=salt)) for salt in ("a", "a", "b"))
    assert one == again
    assert not {p[:8] for p in one} & {p[:8] for p in other}


def test_a_vocabulary_too_small_for_distinct_prompts_is_our_error() -> None:
    with pytest.raises(HarnessError, match="too few prompts"):
        make(a_point(isl=1), vocabulary=(1, 2))


@pytest.mark.parametrize("vocabulary", [20, 94, 5000])
def test_what_prompts_have_in_common_by_chance_is_no_less_than_drawn_ones_have(vocabulary: int) -> None:
    bound = common_by_chance(vocabulary, isl=12)
    drawn = sorted(prompts(make(a_point(requests=400), vocabulary=range(vocabulary))))
    neighbours = [in_common(a, b) for a, b in itertools.pairwise(drawn)]
    assert sum(neighbours) / len(neighbours) <= bound < 6


def test_a_cache_may_hold_all_of_prompts_that_a_few_tokens_make() -> None:
    assert common_by_chance(2, isl=6) == 6
    assert common_by_chance(100_000, isl=32_000) == pytest.approx(0.1, rel=0.001)


def test_prompts_of_a_group_begin_alike_and_go_on_unlike() -> None:
    point = a_point(isl=40, requests=60, warmup=6, prefixes={"groups": 3, "tokens": 20})
    workload = make(point)
    assert [planned.group for planned in workload.warmup] == [0, 1, 2, 0, 1, 2], "every group is warm"
    by_group: dict[int | None, list[tuple[int, ...]]] = {}
    for planned, prompt in zip((*workload.warmup, *workload.window), prompts(workload), strict=True):
        by_group.setdefault(planned.group, []).append(prompt)
        assert len(prompt) == planned.isl == 40
    assert set(by_group) == {0, 1, 2}
    assert min(map(len, by_group.values())) > 10, "groups are drawn evenly"
    assert len({prompt[:20] for prompt in prompts(workload)}) == 3
    assert len({prompt[20:28] for prompt in prompts(workload)}) == 66
    assert 20 <= workload.cached_by_chance < 22
    assert [planned.row(open_at=None)["group"] for planned in workload.window[:9]] == [p.group for p in workload.window[:9]]


def test_what_a_cache_may_hold_is_less_where_no_warm_up_filled_it() -> None:
    point = a_point(isl=40, requests=20, warmup=1, prefixes={"groups": 4, "tokens": 20})
    assert make(point).cached_by_chance == pytest.approx((20 - 3) * 20 / 20, rel=0.1), (
        "three groups have a first prompt in the window"
    )


def test_a_drawn_prompt_has_room_beside_its_prefix() -> None:
    fields = {"isl": 40, "prefixes": {"groups": 2, "tokens": 20}}
    point = PerfPoint.model_validate(
        a_point(**fields).model_dump() | {"lengths": {"isl": {"kind": "lognormal", "p50": 10, "p95": 30}}}
    )
    assert min(planned.isl for planned in make(point).window) == 21
    for wrong in ({"prefixes": {"groups": 2, "tokens": 40}}, {"lengths": {"isl": {"kind": "uniform", "low": 20}}}):
        with pytest.raises(ValidationError, match="no more than the prefix"):
            a_point(**(fields | wrong))


def test_known_prompts_tell_what_a_new_one_begins_with_whatever_their_order() -> None:
    several = [[1, 2, 3, 4], [1, 2, 9], [7], [1, 2, 3, 5, 6], [1, 2, 3, 4]]
    for order in itertools.permutations(several):
        known = KnownPrompts(by_chance=0)
        assert sum(known.add(list(ids)) for ids in order) == 2 + 0 + 3 + 4
    known = KnownPrompts(by_chance=1.5)
    assert [known.add([1, 2, 3]), known.add([1, 8]), known.add([1, 2, 4])] == [1.5, 1.5, 2]


def test_the_name_of_a_point_tells_its_prefixes() -> None:
    assert a_point(isl=40, prefixes={"groups": 4, "tokens": 20}).name == "isl40-osl4-c4-prefix4x20"
