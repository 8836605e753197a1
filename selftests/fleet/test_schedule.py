"""Where attempts start: on one node, on units that nobody has, the longest first, big ones although small ones keep coming."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fleet.cells import drawn, fleet, real_times
from hallmark.fleet import schedule
from hallmark.fleet.backends import Node
from hallmark.fleet.schedule import (
    Placement,
    Queue,
    Running,
    Start,
    Waiting,
    lower_bound,
    makespan,
    next_placements,
    simulated,
    stranded,
    takers,
)


def node(name: str, **units: int) -> Node:
    return Node(name=name, units=units)


def cell(key: str, count: int = 1, predicted_s: float = 10, unit: str = "n300", not_on: Iterable[str] = ()) -> Waiting:
    return Waiting(key=key, unit=unit, count=count, predicted_s=predicted_s, not_on=frozenset(not_on))


def held(node: str, *slots: int, until_s: float = 100, unit: str = "n300") -> Running:
    return Running(node=node, unit=unit, slots=slots, until_s=until_s)


def placed(
    waiting: Iterable[Waiting], nodes: Iterable[Node], *running: Running, now_s: float = 0
) -> dict[str, tuple[str, tuple[int, ...]]]:
    found = next_placements(Queue(waiting), nodes, running, now_s)
    return {one.key: (one.node, one.slots) for one in found}


def test_a_t3k_takes_four_boards_of_one_machine_and_not_of_two() -> None:
    t3k, machines = cell("t3k", 4), [node("a", n300=4), node("b", n300=4)]
    assert placed([t3k], machines, held("a", 0), held("b", 3)) == {}
    assert placed([t3k], machines, held("a", 0)) == {"t3k": ("b", (0, 1, 2, 3))}


def test_the_longest_starts_first_and_boards_of_another_kind_are_not_taken_for_it() -> None:
    waiting = [cell("short", predicted_s=1), cell("long", predicted_s=9), cell("other", unit="h100", predicted_s=99)]
    assert placed(waiting, [node("a", n300=1)]) == {"long": ("a", (0,))}


def test_a_small_one_goes_where_least_is_left() -> None:
    assert placed([cell("small")], [node("a", n300=4), node("b", n300=4)], held("b", 0, 2)) == {"small": ("b", (1,))}


def test_several_start_at_once_on_slots_of_their_own() -> None:
    waiting = [cell(name) for name in "abcdef"]
    found = placed(waiting, [node("a", n300=4), node("b", n300=1)], held("a", 1))
    assert sorted(found.values()) == [("a", (0,)), ("a", (2,)), ("a", (3,)), ("b", (0,))]


def test_a_node_that_is_excluded_is_left_alone_and_nothing_waits_behind_what_no_node_may_take() -> None:
    again = cell("again", predicted_s=99, not_on=["a"])
    assert placed([again, cell("other")], [node("a", n300=1)]) == {"other": ("a", (0,))}
    assert placed([again, cell("other")], [node("a", n300=1), node("b", n300=1)])["again"][0] == "b"
    assert takers(again, [node("a", n300=1), node("b", n300=1), node("c", h100=1)]) == ["b"]


def test_what_is_too_big_for_all_holds_nobody_up() -> None:
    assert placed([cell("huge", 8), cell("small")], [node("a", n300=4)]) == {"small": ("a", (0,))}


def test_what_runs_on_a_node_that_is_gone_is_passed_over() -> None:
    assert placed([cell("x")], [node("a", n300=1)], held("gone", 0)) == {"x": ("a", (0,))}


BIG = cell("big", 4, predicted_s=200)
"""The longest; it waits for all of a machine, of which one board is busy until 100."""


@pytest.mark.parametrize(("predicted_s", "starts"), [(99, True), (100, True), (101, False)])
def test_beside_one_that_waits_for_a_machine_starts_only_what_ends_before_that(predicted_s: float, starts: bool) -> None:
    found = placed([BIG, cell("small", predicted_s=predicted_s)], [node("a", n300=4)], held("a", 0))
    assert found == ({"small": ("a", (1,))} if starts else {})


def test_another_machine_is_not_kept() -> None:
    machines = [node("a", n300=4), node("b", n300=4)]
    running = [held("a", 0), held("b", 0, until_s=90)]
    assert placed([BIG, cell("small", predicted_s=150)], machines, *running) == {"small": ("a", (1,))}, "b is there first"


def test_boards_that_the_one_that_waits_leaves_over_are_taken() -> None:
    """Of six boards two are free; at 100 there will be five of which four are needed: one may be taken for long, and no more."""
    waiting = [BIG, cell("first", predicted_s=190), cell("second", predicted_s=180)]
    assert placed(waiting, [node("a", n300=6)], held("a", 0, 1, 2), held("a", 3, until_s=999)) == {"first": ("a", (4,))}


def test_a_machine_that_is_late_stays_the_one_that_is_kept() -> None:
    """At 120 what was to end at 100 still runs; the other machine is predicted for 130."""
    machines = [node("a", n300=4), node("b", n300=4)]
    running = [held("a", 0), held("b", 0, until_s=130)]
    assert placed([BIG, cell("small", predicted_s=40)], machines, *running, now_s=120) == {"small": ("b", (1,))}


def waits_among_small_ones(factor: float, *, at_most_s: float = 5_000) -> float:
    """When BIG starts on four boards that small ones fill in turns, of which one more comes whenever one starts; each takes
    `factor` times what was predicted. `at_most_s` where it has not by then."""
    names = map("small-{}".format, count())
    machine, now_s = node("a", n300=4), 0.0
    running = {next(names): (held("a", slot, until_s=10 + 3 * slot), 10 + 3 * slot) for slot in range(4)}
    waiting = Queue([BIG, *(cell(next(names), predicted_s=12) for _ in range(4))])
    while now_s < at_most_s:
        now_s = min(ends_s for _, ends_s in running.values())
        running = {key: (one, ends_s) for key, (one, ends_s) in running.items() if ends_s > now_s}
        for start in next_placements(waiting, [machine], [one for one, _ in running.values()], now_s):
            if start.key == BIG.key:
                return now_s
            waiting.remove(start.key)
            waiting.add(cell(next(names), predicted_s=12))
            running[start.key] = (held("a", *start.slots, until_s=now_s + 12), now_s + 12 * factor)
    return at_most_s


@pytest.mark.parametrize("factor", [0.7, 1, 1.3])
def test_a_big_one_starts_although_small_ones_keep_coming(factor: float) -> None:
    assert waits_among_small_ones(factor) <= 20


def test_it_would_starve_if_no_machine_were_kept_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "_kept_for", lambda *_: None)
    assert waits_among_small_ones(1) == 5_000


def test_the_queue_refuses_what_cannot_wait() -> None:
    waiting = Queue([cell("a")])
    for wrong in (cell("a"), cell("b", 0), cell("b", predicted_s=float("nan")), cell("b", predicted_s=-1)):
        with pytest.raises(ValueError, match="cannot wait"):
            waiting.add(wrong)
    assert waiting.remove("a").key == "a"
    assert not len(waiting)
    with pytest.raises(KeyError):
        waiting.remove("a")


NAMES = ("a", "b", "c", "d")
UNITS = ("n300", "h100")
nodes_of_a_fleet = st.lists(
    st.dictionaries(st.sampled_from(UNITS), st.integers(1, 8), min_size=1), min_size=1, max_size=len(NAMES)
).map(lambda found: [Node(name=name, units=units) for name, units in zip(NAMES, found, strict=False)])
attempts = st.lists(
    st.builds(
        cell,
        key=st.just(""),
        count=st.integers(1, 8),
        predicted_s=st.integers(1, 60),
        unit=st.sampled_from(UNITS),
        not_on=st.sets(st.sampled_from(NAMES), max_size=2),
    ),
    max_size=24,
).map(lambda found: [cell(f"c{i}", one.count, one.predicted_s, one.unit, one.not_on) for i, one in enumerate(found)])


def assert_sound(starts: Sequence[Start], waiting: Mapping[str, Waiting], fleet: Mapping[str, Node]) -> None:
    """Each on as many slots as it needs, which its node has and nobody else has then, and on no node that it must not use."""
    taken: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    for start in starts:
        attempt, place = waiting[start.placement.key], start.placement
        assert place.node not in attempt.not_on
        assert len(set(place.slots)) == len(place.slots) == attempt.count
        assert set(place.slots) <= set(range(fleet[place.node].units[attempt.unit]))
        for slot in place.slots:
            taken.setdefault((place.node, attempt.unit, slot), []).append((start.began_s, start.ended_s))
    for spans in taken.values():
        assert all(first[1] <= second[0] for first, second in pairwise(sorted(spans)))


@given(fleet=nodes_of_a_fleet, waiting=attempts, seed=st.integers(0, 99), error=st.sampled_from([0, 0.3, 0.9]))
def test_whatever_waits_and_however_wrong_it_is_predicted(
    fleet: list[Node], waiting: list[Waiting], seed: int, error: float
) -> None:
    """All that a node may take is run once, soundly; and no plan is shorter than the bound."""
    chance = random.Random(seed)
    takes = {one.key: one.predicted_s * chance.uniform(1 - error, 1 + error) for one in waiting}
    starts = list(simulated(waiting, fleet, lambda attempt: takes[attempt.key]))
    assert_sound(starts, {one.key: one for one in waiting}, {one.name: one for one in fleet})
    without = {one.key for one in stranded(waiting, fleet)}
    assert without == {one.key for one in waiting if not takers(one, fleet)}
    assert sorted(start.placement.key for start in starts) == sorted(one.key for one in waiting if one.key not in without)
    assert lower_bound(waiting, fleet) <= makespan(waiting, fleet) * (1 + 1e-9)


def test_two_on_one_slot_would_be_seen() -> None:
    twice = [
        Start(placement=Placement(key=key, node="a", slots=(0,)), began_s=5 * i, ended_s=5 * i + 6) for i, key in enumerate("xy")
    ]
    with pytest.raises(AssertionError):
        assert_sound(twice, {key: cell(key) for key in "xy"}, {"a": node("a", n300=1)})


def test_the_bound_is_the_work_over_the_boards_or_the_longest() -> None:
    machines = [node("a", n300=4), node("b", n300=4, h100=1)]
    work = [cell(f"c{i}", 4, predicted_s=10) for i in range(4)]
    assert lower_bound(work, machines) == makespan(work, machines) == 20
    assert lower_bound([*work, cell("long", predicted_s=30)], machines) == 30
    assert lower_bound([*work, cell("other", predicted_s=25, unit="h100")], machines) == 25
    assert lower_bound([*work, cell("impossible", 8, predicted_s=99)], machines) == 20
    assert lower_bound([], machines) == makespan([], machines) == 0


@pytest.mark.parametrize("error", [0, 0.3])
@pytest.mark.parametrize("counts", [(1,), (1, 1, 1, 2, 4), (1, 2, 4, 8)])
def test_a_thousand_cells_over_fifty_nodes_take_hardly_longer_than_they_must(counts: Sequence[int], error: float) -> None:
    chance, nodes = random.Random(16), fleet()
    cells = drawn(1000, nodes, chance, counts)
    takes = real_times(cells, error, chance)
    took_s = max(start.ended_s for start in simulated(cells, nodes, lambda one: takes[one.key]))
    really = [cell(one.key, one.count, takes[one.key], one.unit) for one in cells]
    assert lower_bound(really, nodes) >= 0.95 * took_s
