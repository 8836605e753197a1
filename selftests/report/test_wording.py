"""Numbers as they are read, and drawings as they are placed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.core import wording
from hallmark.core.records import Evidence, Interval, Relation, Target
from hallmark.core.verdict import Verdict
from hallmark.report import plots


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.95, "0.95"), (0.0, "0"), (1.0, "1"), (0.90249, "0.9025"), (12.3456, "12.35"), (5210.0, "5,210"), (1e6, "1,000,000"),
        (7, "7"), (2048, "2048"), (65536, "65,536"), (-3.5, "-3.5"), (1.5e-7, "1.5e-07"), (float("nan"), "nan"), (100.0, "100"),
        (-0.0, "0"),
    ],
)  # fmt: skip
def test_number(value: float, text: str) -> None:
    assert wording.number(value) == text


@given(st.floats(min_value=-1e12, max_value=1e12), st.floats(min_value=-1e12, max_value=1e12))
def test_a_miss_is_never_rounded_into_a_hit(value: float, limit: float) -> None:
    shown = wording.compared(value, limit)
    assert (shown[0] == shown[1]) == (value == limit)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (0.024, "0.024 s"), (59.4, "59.4 s"), (60.0, "1 min 00 s"), (3599.6, "1 h 00 min"), (7384.0, "2 h 03 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


def test_times_are_utc() -> None:
    assert wording.when("2026-03-02T10:00:00+02:00") == "2026-03-02 08:00:00 UTC"
    assert wording.when("2026-03-02T08:00:00") == "2026-03-02 08:00:00 UTC"
    assert wording.when("some day") == "some day"
    assert wording.when("") == "unknown"


def evidence(value: float, relation: Relation, limit: float, **fields: object) -> Evidence:
    return Evidence(name="m", value=value, target=Target(relation=relation, limit=limit), **fields)  # type: ignore[arg-type]


def test_finding_states_the_side() -> None:
    missed = evidence(0.902, ">=", 0.95, interval=Interval(low=0.88, high=0.92))
    assert wording.finding(missed) == "0.902 [0.88, 0.92] < 0.95"
    assert (
        wording.finding(evidence(0.96, ">=", 0.95, interval=Interval(low=0.93, high=0.98))) == "0.96 [0.93, 0.98] (wanted ≥ 0.95)"
    )
    assert wording.finding(evidence(0.94999, ">=", 0.95)) == "0.94999 < 0.95"
    assert wording.finding(Evidence(name="m", value=True)) == "true"


def of_tier(value: float, relation: Relation, limit: float, target: float, *, tier: str, interval: Interval | None = None) -> str:
    unit = "tokens/s" if relation == ">=" else "ms"
    held = Target(relation=relation, limit=limit, reference=target, tier=tier)
    return wording.finding(Evidence(name="m", value=value, unit=unit, target=held, interval=interval))


@pytest.mark.parametrize(
    ("value", "relation", "limit", "target", "tier", "said"),
    [
        (505.0, ">=", 400.0, 800.0, "complete", "505 of 800 tokens/s: 63 %, tier complete needs 400 (0.5 x target)"),
        (350.0, ">=", 400.0, 800.0, "complete", "350 of 800 tokens/s: 44 %, tier complete needs 400 (0.5 x target)"),
        (3.2, ">=", 2.1, 21.0, "functional", "3.2 of 21 tokens/s: 15 %, tier functional needs 2.1 (0.1 x target)"),
        (812.0, ">=", 800.0, 800.0, "target", "812 of 800 tokens/s: 101 %, tier target needs 800 (1 x target)"),
        (799.99, ">=", 400.0, 800.0, "complete", "799.99 of 800 tokens/s: 99.9988 %, tier complete needs 400 (0.5 x target)"),
        (21.0, "<=", 50.0, 25.0, "complete", "21 ms, 16 % under the target of 25, tier complete allows 50 (2 x target)"),
        (31.0, "<=", 50.0, 25.0, "complete", "31 ms, 24 % over the target of 25, tier complete allows 50 (2 x target)"),
        (61.0, "<=", 50.0, 25.0, "complete", "61 ms, 2.4 times the target of 25, tier complete allows 50 (2 x target)"),
        (25.0, "<=", 25.0, 25.0, "target", "25 ms, the very target of 25, tier target allows 25 (1 x target)"),
        (25.001, "<=", 50.0, 25.0, "complete", "25.001 ms, 0.004 % over the target of 25, tier complete allows 50 (2 x target)"),
    ],
)
def test_what_is_held_to_a_tier_says_target_tier_factor_and_what_was_reached(
    value: float, relation: Relation, limit: float, target: float, tier: str, said: str
) -> None:
    assert of_tier(value, relation, limit, target, tier=tier) == said


def test_the_interval_of_what_is_held_to_a_tier_stands_beside_it() -> None:
    interval = Interval(low=490.0, high=520.0)
    assert of_tier(505.0, ">=", 400.0, 800.0, tier="complete", interval=interval).startswith("505 [490, 520] of 800 tokens/s: ")


def test_what_is_absent_says_what_was_asked_of_it() -> None:
    held = Target(relation="<=", limit=20.0, reference=10.0, tier="complete")
    absent = Evidence(name="m", value="absent", unit="ms", n=0, target=held)
    assert wording.finding(absent) == "absent (target 10, tier complete allows 20)"
    assert wording.value_text(absent) == "absent"


@given(st.floats(min_value=0.001, max_value=1e6), st.floats(min_value=0.001, max_value=1e6))
def test_a_target_that_is_not_reached_is_never_called_reached(value: float, target: float) -> None:
    """However near: neither by rounding the share nor by leaving out in which direction it misses."""
    throughput = of_tier(value, ">=", target / 2, target, tier="complete")
    share = float(throughput.split(": ")[1].split(" %")[0].replace(",", ""))
    assert (share >= 100) == (value >= target)
    latency = of_tier(value, "<=", target * 2, target, tier="complete")
    assert ((" over " in latency) or (" times " in latency)) == (value > target)


@pytest.mark.parametrize(
    ("relation", "value", "low", "high", "full"),
    [
        (">=", 9.9, None, None, False),
        (">=", 10.0, None, None, True),
        (">=", 11.0, 9.9, 12.0, False),
        (">=", 11.0, 10.0, 12.0, True),
        ("<=", 10.1, None, None, False),
        ("<=", 9.0, 8.0, 10.1, False),
        ("<=", 9.0, 8.0, 10.0, True),
        ("==", 10.0, None, None, False),
    ],
)
def test_reached_in_full_is_the_target_with_the_whole_interval(
    relation: Relation, value: float, low: float | None, high: float | None, full: bool
) -> None:
    interval = Interval(low=low, high=high) if low is not None and high is not None else None
    held = Target(relation=relation, limit=5.0, reference=10.0, tier="complete")
    assert wording.in_full(Evidence(name="m", value=value, target=held, interval=interval)) is full


def drawn(markup: str) -> ET.Element:
    return ET.fromstring(markup)


def test_a_score_is_placed_on_the_shared_axis() -> None:
    shown = evidence(0.9, ">=", 0.8, interval=Interval(low=0.87, high=0.93), n=500)
    axis = plots.axis_of([shown])
    picture = drawn(plots.score_plot(shown, axis=axis))
    circle = picture.find("circle")
    assert circle is not None
    assert float((circle.get("cx") or "").rstrip("%")) == pytest.approx(axis.at(0.9))
    assert [text.text for text in picture.findall("text")] == ["floor 0.8", "0.9"]
    assert "[0.87, 0.93]" in (picture.get("aria-label") or "")


def test_a_score_that_does_not_do_has_another_shape() -> None:
    shown = evidence(0.7, ">=", 0.8, verdict=Verdict.FAIL)
    picture = drawn(plots.score_plot(shown, axis=plots.axis_of([shown])))
    assert picture.find("circle") is None
    assert picture.find("svg/path") is not None


@given(st.lists(st.floats(min_value=0, max_value=1), max_size=6))
def test_every_axis_has_a_width_and_ticks(values: list[float]) -> None:
    axis = plots.axis_of(Evidence(name="m", value=value) for value in values)
    assert 0 <= axis.low < axis.high <= 1
    assert 2 <= len(axis.ticks()) <= 7
    assert all(axis.low <= value <= axis.high for value in values)


@pytest.mark.parametrize(("value", "width"), [(0.0, 0.0), (50.0, 40.0), (100.0, 80.0), (125.0, 100.0), (900.0, 100.0)])
def test_the_limit_stands_at_four_fifths_of_a_bar(value: float, width: float) -> None:
    picture = drawn(plots.bar_plot(evidence(value, "<=", 100.0)))
    bar = next(rect for rect in picture.findall("rect") if "bar" in (rect.get("class") or ""))
    assert float((bar.get("width") or "").rstrip("%")) == width
    assert (picture.find("svg") is not None) == (value > 125)


@pytest.mark.parametrize(
    ("relation", "line", "reference", "places"),
    [
        (">=", 400.0, 800.0, {"limit": 40.0, "reference": 80.0}),
        (">=", 80.0, 800.0, {"limit": 8.0, "reference": 80.0}),
        ("<=", 50.0, 25.0, {"limit": 80.0, "reference": 40.0}),
        ("<=", 250.0, 25.0, {"limit": 80.0, "reference": 8.0}),
        ("<=", 25.0, 25.0, {"limit": 80.0}),
    ],
)
def test_limit_and_target_are_both_in_every_bar(
    relation: Relation, line: float, reference: float, places: dict[str, float]
) -> None:
    held = Target(relation=relation, limit=line, reference=reference, tier="complete")
    picture = drawn(plots.bar_plot(Evidence(name="m", value=30.0, target=held)))
    assert {mark.get("class"): float((mark.get("x1") or "").rstrip("%")) for mark in picture.findall("line")} == places


def test_the_hatched_side_is_the_wrong_one() -> None:
    sides = [drawn(plots.bar_plot(evidence(1.0, relation, 2.0))).find("rect") for relation in (">=", "<=")]
    assert [side.get("x") for side in sides if side is not None] == ["0%", "80%"]


def test_the_ratio_is_never_rounded_to_the_limit() -> None:
    assert plots.ratio_text(evidence(53.1, "<=", 100.0)) == "0.531 x limit"
    assert plots.ratio_text(evidence(100.001, "<=", 100.0)) == "1.00001 x limit"
    assert plots.ratio_text(Evidence(name="m", value=1.0)) == ""


def test_labels_are_escaped() -> None:
    named = Evidence(name='"><script>', value=0.5, target=Target(relation=">=", limit=0.4))
    for picture in (plots.score_plot(named, axis=plots.axis_of([named])), plots.bar_plot(named), plots.empty_plot(reason="<b>")):
        assert "<script>" not in picture
        assert "<b>" not in picture
        drawn(picture)


def test_a_loss_is_drawn_left_of_no_difference_and_is_no_score() -> None:
    interval = Interval(low=-0.07, high=-0.03)
    target = Target(relation=">=", limit=-0.02, reference=0.0)
    lost = Evidence(name="difference", value=-0.05, target=target, verdict=Verdict.FAIL, interval=interval)
    picture = drawn(plots.difference_plot(lost))
    places = {line.get("class"): float((line.get("x1") or "").rstrip("%")) for line in picture.findall("line")}
    assert 0 < places["limit"] < places["reference"] == 50
    assert picture.find("circle") is None, "what was lost is not accepted"
    assert plots.score(replace(lost, value=0.0)) is None, "nothing lost is no score of 0"
    assert plots.difference(evidence(0.9, ">=", 0.8)) is None
