"""Numbers as they are read, and drawings as they are placed."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.core.records import Evidence, Interval, Relation, Target
from hallmark.core.verdict import Verdict
from hallmark.report import plots, wording


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


@pytest.mark.parametrize(("value", "width"), [(0.0, 0.0), (50.0, 25.0), (100.0, 50.0), (200.0, 100.0), (900.0, 100.0)])
def test_the_limit_stands_in_the_middle_of_every_bar(value: float, width: float) -> None:
    picture = drawn(plots.bar_plot(evidence(value, "<=", 100.0)))
    bar = next(rect for rect in picture.findall("rect") if "bar" in (rect.get("class") or ""))
    assert float((bar.get("width") or "").rstrip("%")) == width
    assert (picture.find("svg") is not None) == (value > 200)


def test_the_hatched_side_is_the_wrong_one() -> None:
    sides = [drawn(plots.bar_plot(evidence(1.0, relation, 2.0))).find("rect") for relation in (">=", "<=")]
    assert [side.get("x") for side in sides if side is not None] == ["0%", "50%"]


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
