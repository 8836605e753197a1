"""A node that is taken, and one for each reason to refuse it."""

from __future__ import annotations

from typing import Any

import pytest

from hallmark import __version__
from hallmark.core.own_code import code_digest
from hallmark.fleet.proof import Look, proved
from hallmark.fleet.resources import as_resources, declared_units


def said(**other: Any) -> str:
    look = {"node": "board7", "hallmark": __version__, "code": code_digest(), "python": "/opt/python"}
    units = {"units": {"n300": 4, "cpu": 1}, "looked": {"n300": "tt-smi: 4 x n300", "cpu": "/proc/cpuinfo"}}
    return Look.model_validate({**look, **units, **other}).model_dump_json()


def test_what_is_declared_and_detected_is_taken() -> None:
    node = proved("a", {"n300": 4}, said(), "")
    assert (node.name, dict(node.units), dict(node.refused)) == ("a", {"n300": 4}, {})


def test_what_an_interpreter_says_before_its_look_is_left_out() -> None:
    assert proved("a", {"cpu": 1}, f"site customised\n{said()}\n", "").units == {"cpu": 1}


@pytest.mark.parametrize(
    ("look", "problem", "why"),
    [
        (said(units={}), "", "1 declared, 0 detected: /proc/cpuinfo"),
        (said(units={}, looked={}), "", "no device of its catalogue is counted in that unit"),
        (said(hallmark="0.0.1"), "", f"hallmark 0.0.1 there (/opt/python), {__version__} here"),
        (said(code="0" * 64), "", "is of other code (000000000000"),
        ("{}", "", "cannot be read: Field required"),
        ("", "", "cannot be read"),
        ("", "its folder is another", "its folder is another"),
    ],
    ids=["not-detected", "no-such-unit", "version", "code", "not-whole", "silent", "no-look"],
)
def test_why_a_node_is_refused(look: str, problem: str, why: str) -> None:
    node = proved("a", {"cpu": 1}, look, problem)
    assert dict(node.units) == {}
    assert why in node.refused["cpu"]


def test_of_more_devices_than_were_found_those_are_taken() -> None:
    node = proved("a", {"n300": 8, "cpu": 1}, said(), "")
    assert dict(node.units) == {"n300": 4, "cpu": 1}
    assert dict(node.refused) == {"n300": "8 declared, 4 detected: tt-smi: 4 x n300"}


def test_of_boards_that_are_hidden_from_whoever_was_not_given_them_those_that_were_given_are_looked_for() -> None:
    """Planted: the one that it was given is not there. Its clean twin found that one, and is believed the others."""
    declared, shown = {"n300": 8, "cpu": 1}, {"n300": 1}
    node = proved("a", declared, said(units={"n300": 1, "cpu": 1}), "", shown)
    assert (dict(node.units), dict(node.refused)) == ({"n300": 8, "cpu": 1}, {})
    node = proved("a", declared, said(units={"cpu": 1}), "", shown)
    assert dict(node.units) == {"cpu": 1}
    assert dict(node.refused) == {"n300": "8 declared, 0 detected: tt-smi: 4 x n300"}


def test_what_is_declared_is_read_back() -> None:
    assert as_resources({"n300": 4, "cpu": 1}) == '{"hallmark_cpu": 1, "hallmark_n300": 4}'
    assert declared_units({"hallmark_n300": 4.0, "CPU": 2.0, "node:10.0.0.1": 1.0, "hallmark_cpu": 1.0}) == {"n300": 4, "cpu": 1}
