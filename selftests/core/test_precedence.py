"""One precedence, in all combinations: command line > environment > spec > default."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.core.precedence import STRENGTH, Layer, settle

VALUES = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2", "3"]))
LAYERS = st.lists(st.builds(Layer, st.sampled_from(STRENGTH), VALUES), max_size=6)


@pytest.mark.parametrize("present", [p for n in range(1, 5) for p in itertools.combinations(STRENGTH, n)], ids="+".join)
@pytest.mark.parametrize("differ", [True, False])
def test_the_strongest_wins_in_every_combination(present: tuple[str, ...], differ: bool) -> None:
    layers = [Layer(origin, {"x": origin if differ else "same"}) for origin in STRENGTH if origin in present]
    for order in itertools.permutations(layers):
        (found,) = settle(order).values
        assert (found.origin, found.value) == (present[-1], present[-1] if differ else "same")
        assert found.overrode == (f"{present[-2]}: {present[-2]}" if differ and len(present) > 1 else "")


@pytest.mark.parametrize(
    ("said", "conflicts", "notices"),
    [
        ({"spec": "1", "environment": "2"}, ["x=2 is set in the environment and kept; the spec says 1"], []),
        ({"spec": "1", "command line": "2"}, ["x=2 is given on the command line; the spec says 1"], []),
        ({"default": "0", "spec": "1", "environment": "2"}, ["x=2 is set in the environment and kept; the spec says 1"], []),
        ({"spec": "1", "environment": "2", "command line": "1"}, [], []),
        ({"spec": "1", "environment": "1", "command line": "2"}, ["x=2 is given on the command line; the spec says 1"], []),
        ({"default": "0", "environment": "2"}, [], ["x=2 is set in the environment and kept; the default says 0"]),
        ({"default": "0", "spec": "1"}, [], []),
        ({"environment": "2", "command line": "3"}, [], []),
        ({"spec": "1", "environment": ""}, ["x= is set in the environment and kept; the spec says 1"], []),
    ],
)
def test_a_spec_that_is_displaced_is_a_conflict(said: dict[str, str], conflicts: list[str], notices: list[str]) -> None:
    settled = settle([Layer(origin, {"x": said[origin]}) for origin in STRENGTH if origin in said])
    assert (list(settled.conflicts), list(settled.notices)) == (conflicts, notices)


def test_what_was_overrode_is_the_strongest_that_differs() -> None:
    layers = [
        Layer("default", {"x": "0"}),
        Layer("spec", {"x": "1"}),
        Layer("environment", {"x": "2"}),
        Layer("command line", {"x": "2"}),
    ]
    assert settle(layers).values[0].overrode == "spec: 1"


def test_the_later_of_two_layers_of_one_origin_is_the_nearer() -> None:
    settled = settle([Layer("spec", {"x": "impl"}), Layer("spec", {"x": "device"})])
    assert (settled.values[0].value, settled.values[0].overrode, settled.conflicts) == ("device", "spec: impl", ())


def test_secrets_are_kept_and_not_told() -> None:
    settled = settle([Layer("spec", {"HF_TOKEN": "canary-spec"}), Layer("environment", {"HF_TOKEN": "canary-own"})])
    assert settled.value("HF_TOKEN") == "canary-own"
    assert "canary" not in f"{settled.values[0].overrode}{settled.conflicts}"


@given(LAYERS)
def test_every_name_that_anyone_said_is_settled_by_the_strongest(layers: list[Layer]) -> None:
    settled = settle(layers)
    said = {name for layer in layers for name in layer.values}
    assert {value.name for value in settled.values} == said
    for value in settled.values:
        best = max((layer for layer in layers if value.name in layer.values), key=lambda layer: STRENGTH.index(layer.origin))
        nearest = [layer for layer in layers if layer.origin == best.origin and value.name in layer.values][-1]
        assert (value.origin, value.value) == (nearest.origin, nearest.values[value.name])
    assert len(settled.conflicts) <= len(said)
