"""A config is matched to the most specific architecture that holds for it, to nothing, or the tie is an error."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.core.errors import SpecError
from hallmark.specs.matching import Matcher, Overlap, Pattern, contradictions, make_pattern, overlaps

SHAPE = {"model_type": "granite", "num_hidden_layers": 40, "hidden_size": 4096, "vocab_size": 49159}
VISION = {"num_hidden_layers": 24, "hidden_size": 1024}


def pattern(name: str, **architecture: Any) -> Pattern:
    made = make_pattern(name, architecture)
    assert made is not None
    return made


def matched(config: object, *patterns: Pattern) -> str | None:
    found = Matcher(patterns).match(config)
    return found.name if found else None


# Architecture, config, whether it holds: what upstream's matcher was seen to do, and where we want it otherwise.
HOLDS: dict[str, tuple[dict[str, Any], Any, bool]] = {
    "all attributes": (SHAPE, {**SHAPE, "more": 1}, True),
    "model_type alone": ({"model_type": "granite"}, SHAPE, True),
    "another model_type": ({**SHAPE, "model_type": "llama"}, SHAPE, False),
    "one of two model_types": ({**SHAPE, "model_type": ["mistral3", "granite"]}, SHAPE, True),
    "none of two model_types": ({**SHAPE, "model_type": ("mistral3", "pixtral")}, SHAPE, False),
    "another value": ({**SHAPE, "num_hidden_layers": 4}, SHAPE, False),
    "an attribute that is absent": ({**SHAPE, "num_experts": 8}, SHAPE, False),
    "an attribute that is null": ({**SHAPE, "rope": 1}, {**SHAPE, "rope": None}, False),
    "no model_type": (SHAPE, {key: value for key, value in SHAPE.items() if key != "model_type"}, False),
    "a number is a number": ({**SHAPE, "hidden_size": 4096.0}, SHAPE, True),
    "text is no number": (SHAPE, {**SHAPE, "hidden_size": "4096"}, False),
    "true is not 1": ({**SHAPE, "tie": True}, {**SHAPE, "tie": 1}, False),
    "true is true": ({**SHAPE, "tie": True}, {**SHAPE, "tie": True}, True),
    "a list": ({**SHAPE, "architectures": ("A",)}, {**SHAPE, "architectures": ["A"]}, True),
    "another list": ({**SHAPE, "architectures": ("A",)}, {**SHAPE, "architectures": ["A", "B"]}, False),
    "a nested mapping, in part": (
        {"model_type": "pixtral", "vision_config": VISION},
        {"model_type": "pixtral", "vision_config": {**VISION, "heads": 16}},
        True,
    ),
    "a nested value that differs": (
        {"model_type": "pixtral", "vision_config": VISION},
        {"model_type": "pixtral", "vision_config": {**VISION, "hidden_size": 1}},
        False,
    ),
    "nested where the config has a number": (
        {"model_type": "pixtral", "vision_config": VISION},
        {"model_type": "pixtral", "vision_config": 3},
        False,
    ),
    "a number where the config is nested": ({**SHAPE, "vision_config": 3}, {**SHAPE, "vision_config": VISION}, False),
    "quantised, the pattern not": (SHAPE, {**SHAPE, "quantization_config": {"quant_method": "gptq"}}, False),
    "quantised elsewhere, the pattern not": (SHAPE, {**SHAPE, "compression_config": {"format": "pack-quantized"}}, False),
    "quantised below text_config": (SHAPE, {**SHAPE, "text_config": {"quantization_config": {"bits": 4}}}, False),
    "the pattern quantised, the config not": ({**SHAPE, "quantization_config": {"format": "x"}}, SHAPE, False),
    "quantised alike": (
        {**SHAPE, "quantization_config": {"format": "float-quantized"}},
        {**SHAPE, "quantization_config": {"format": "float-quantized", "bits": 8}},
        True,
    ),
    "quantised alike under the other name": (
        {**SHAPE, "quantization_config": {"format": "float-quantized"}},
        {**SHAPE, "compression_config": {"format": "float-quantized"}},
        True,
    ),
    "quantised otherwise": (
        {**SHAPE, "quantization_config": {"format": "float-quantized"}},
        {**SHAPE, "quantization_config": {"format": "pack-quantized"}},
        False,
    ),
    "an empty quantisation is none": (SHAPE, {**SHAPE, "quantization_config": {}}, True),
    "no config at all": (SHAPE, None, False),
    "an unhashable model_type": (SHAPE, {**SHAPE, "model_type": ["granite"]}, False),
}


@pytest.mark.parametrize("name", HOLDS)
def test_a_pattern_holds_or_not(name: str) -> None:
    architecture, config, holds = HOLDS[name]
    made = pattern("it", **architecture)
    assert matched(config, made) == ("it" if holds else None)
    (compared,) = Matcher([made]).nearest(config)
    assert compared.holds is holds, "what is explained must be what is decided"


def objects(value: Any) -> Any:
    """A config as transformers has it: objects with attributes."""
    return SimpleNamespace(**{k: objects(v) for k, v in value.items()}) if isinstance(value, dict) else value


@pytest.mark.parametrize("name", ["all attributes", "a nested mapping, in part", "another value", "quantised alike"])
def test_a_config_may_be_data_an_object_or_vllms_own(name: str) -> None:
    architecture, config, holds = HOLDS[name]
    made = pattern("it", **architecture)
    for form in (config, objects(config), SimpleNamespace(hf_config=objects(config)), {"hf_config": config}):
        assert matched(form, made) == ("it" if holds else None)
    assert matched(SimpleNamespace(hf_config=None), made) is None


def test_the_most_specific_one_wins() -> None:
    wide, narrow = pattern("wide", model_type="x", a=1), pattern("narrow", model_type="x", a=1, b=2)
    assert matched({"model_type": "x", "a": 1, "b": 2}, wide, narrow) == "narrow"
    assert matched({"model_type": "x", "a": 1}, wide, narrow) == "wide"


def test_a_tie_names_the_candidates() -> None:
    patterns = [pattern("one", model_type="x", a=1), pattern("two", model_type="x", b=2), pattern("three", model_type="x")]
    with pytest.raises(SpecError, match="2 architectures equally well: one, two") as caught:
        matched({"model_type": "x", "a": 1, "b": 2}, *patterns)
    assert "add the attribute" in caught.value.hint


def test_a_model_of_several_configs_is_one_model() -> None:
    """Two patterns of one name: either will do, both are no tie, and of the two the nearer is told."""
    both = [pattern("it", model_type="x", a=1), pattern("it", model_type="x", b=2)]
    assert list(overlaps(both)) == []
    for config in ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}):
        assert matched({"model_type": "x", **config}, *both) == "it"
    assert matched({"model_type": "x", "a": 3}, *both) is None
    (told,) = Matcher(both).nearest({"model_type": "x", "a": 1, "b": 3})
    assert told.holds


@pytest.mark.parametrize(
    ("architecture", "config", "contradicted"),
    [
        ({"a": 1, "b": 2}, {"model_type": "x", "a": 1}, []),
        ({"a": 1, "b": 2}, {"model_type": "x", "a": 2}, ["a"]),
        ({"a": 1}, {"model_type": "y", "a": 1}, ["model_type"]),
        ({"a": 1, "quantization_config": {"format": "f"}}, {"model_type": "x", "a": 1}, ["quantization_config.format"]),
        ({"a": 1}, {"model_type": "x", "quantization_config": {"format": "f"}}, ["quantization"]),
    ],
)
def test_what_a_config_leaves_out_contradicts_nothing(
    architecture: dict[str, Any], config: dict[str, Any], contradicted: list[str]
) -> None:
    """Of one that is known in part; one without a word of quantisation is not quantised."""
    assert [m.attribute for m in contradictions(pattern("it", model_type="x", **architecture), config)] == contradicted


def test_the_nearest_are_named_with_what_they_failed_on() -> None:
    near = pattern("near", **SHAPE)
    far = pattern("far", **{**SHAPE, "model_type": "llama", "hidden_size": 1})
    first, second = Matcher([far, near]).nearest({**SHAPE, "vocab_size": 7})
    assert first.name == "near"
    assert [str(mismatch) for mismatch in first.mismatches] == ["vocab_size is 7, not 49159"]
    assert [m.attribute for m in second.mismatches] == ["model_type", "hidden_size", "vocab_size"]


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ({"a": 1}, {"a": 1}, "tie"),
        ({"a": 1}, {"b": 1}, "tie"),
        ({"a": 1, "c": 3}, {"b": 1}, "crossing"),
        ({"a": 1}, {"a": 1, "b": 2}, ""),
        ({"a": 1}, {"a": 2}, ""),
        ({"a": 1}, {"quantization_config": {"format": "x"}}, ""),
        ({"v": {"a": 1}}, {"v": {"a": 2}}, ""),
        ({"model_type": ("y", "x"), "a": 1}, {"a": 1}, "tie"),
        ({"model_type": ("y", "x"), "a": 1}, {"model_type": ("y", "x"), "b": 1}, "tie"),
        ({"model_type": ("y", "z"), "a": 1}, {"a": 1}, ""),
    ],
)
def test_patterns_that_one_config_can_match_are_known_without_a_config(
    first: dict[str, Any], second: dict[str, Any], kind: str
) -> None:
    found = list(overlaps([pattern("b", **{"model_type": "x", **second}), pattern("a", **{"model_type": "x", **first})]))
    assert found == ([Overlap("a", "b", kind)] if kind else [])  # type: ignore[arg-type]


values = st.integers(0, 2)
architectures = st.fixed_dictionaries(
    {"model_type": st.sampled_from("xy")},
    optional={"a": values, "b": values, "c": values, "n": st.dictionaries(st.sampled_from("pq"), values, min_size=1)},
)


def outcome(config: dict[str, Any], patterns: list[Pattern]) -> str:
    """The match, none, or the tie in words."""
    try:
        return str(matched(config, *patterns))
    except SpecError as exc:
        return exc.message


@given(st.lists(architectures, max_size=8), architectures, st.randoms(use_true_random=False))
def test_matching_does_not_depend_on_the_order_of_registration(
    several: list[dict[str, Any]], config: dict[str, Any], shuffle: random.Random
) -> None:
    patterns = [pattern(f"p{number}", **architecture) for number, architecture in enumerate(several)]
    expected, nearest = outcome(config, patterns), Matcher(patterns).nearest(config)
    shuffle.shuffle(patterns)
    assert outcome(config, patterns) == expected
    assert Matcher(patterns).nearest(config) == nearest


@given(st.lists(architectures, max_size=8), architectures)
def test_the_index_finds_what_trying_each_would(several: list[dict[str, Any]], config: dict[str, Any]) -> None:
    """The plain way of matching, written once more, is the oracle."""

    def holds(architecture: dict[str, Any]) -> bool:
        return all(
            all(config.get(key, {}).get(k) == v for k, v in value.items())
            if isinstance(value, dict)
            else config.get(key) == value
            for key, value in architecture.items()
        )

    def size(architecture: dict[str, Any]) -> int:
        return sum(len(v) if isinstance(v, dict) else 1 for v in architecture.values()) - 1

    patterns = [pattern(f"p{number}", **architecture) for number, architecture in enumerate(several)]
    held = [(size(architecture), f"p{number}") for number, architecture in enumerate(several) if holds(architecture)]
    assert {found.name for found in Matcher(patterns).candidates(config)} == {name for _, name in held}
    best = [name for s, name in held if s == max(held)[0]]
    if len(best) == 1:
        assert matched(config, *patterns) == best[0]
    elif not best:
        assert matched(config, *patterns) is None
    else:
        with pytest.raises(SpecError):
            matched(config, *patterns)


@given(st.lists(architectures, min_size=2, max_size=5))
def test_an_overlap_is_found_exactly_where_a_config_ties(several: list[dict[str, Any]]) -> None:
    """Every config of the small world is tried."""
    patterns = [pattern(f"p{number}", **architecture) for number, architecture in enumerate(several)]
    said = {(o.first, o.second) for o in overlaps(patterns) if o.kind == "tie"}
    for first, second in itertools.combinations(patterns, 2):
        both = [dict(first.constraints), dict(second.constraints)]
        possible = first.model_types == second.model_types and all(
            both[0][key] == both[1][key] for key in both[0].keys() & both[1].keys()
        )
        assert ((first.name, second.name) in said) == (possible and first.specificity == second.specificity)


@pytest.mark.parametrize("form", [dict, objects], ids=["data", "object"])
def test_many_patterns_of_many_attributes(form: Any) -> None:
    """More attributes than a config names: then the index goes by the config's own, and finds no less."""
    patterns = [pattern(f"p{number}", model_type="x", **{f"a{number}": 1, f"b{number % 7}": 2}) for number in range(100)]
    nested = pattern("nested", model_type="x", text_config={"size": 3}, quantization_config={"format": "f"})
    matcher = Matcher([*patterns, nested])
    for number in range(100):
        found = matcher.match(form({"model_type": "x", f"a{number}": 1, f"b{number % 7}": 2}))
        assert found is not None
        assert found.name == f"p{number}"
    assert matcher.match(form({"model_type": "x", "a1": 1})) is None
    found = matcher.match(form({"model_type": "x", "text_config": {"size": 3}, "compression_config": {"format": "f"}}))
    assert found == nested
