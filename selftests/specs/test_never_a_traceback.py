"""Whatever stands in a file of specs, loading it ends in a spec or in one line: never in a traceback, never in a hang."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hallmark.core.errors import SpecError
from hallmark.specs.family import Family, expand
from hallmark.specs.foreign.model_configs import parse_model_configs, to_family
from hallmark.specs.inherit import resolved
from hallmark.specs.loader import devices_of, family_of
from hallmark.specs.matching import Matcher, make_pattern
from hallmark.specs.migrations import migrated
from hallmark.specs.yaml_source import parse
from selftests.specs.sheets import DEVICES, FAMILY

PRINTED = Path(__file__).parent / "printed"
FILE = Path("any.yaml")
RICH = yaml.safe_load(FAMILY)
RICH["impls"][0]["devices"]["cpu"] |= {
    "runtime_configs": {
        "continuous": [{"tp_size": 1, "max_model_len": 512, "max_num_seqs": 8}],
        "static": [{"tp_size": 1, "warmup_shapes": [{"prompt_len": 1, "batch_size": 1}]}],
    },
    "device_configs": {
        "1": {"num_gpu_blocks_override": {"x_lt_1": 1, "default": 2}, "chunked_prefill": {"max_num_batched_tokens": 1}}
    },
}
RICH["base_targets"] = {"cpu": [RICH["impls"][0]["devices"]["cpu"]["perf"][0]]}
CONFIGS = yaml.safe_load((PRINTED / "new_model.yaml").read_text())
KNOWN = devices_of(parse(DEVICES, FILE)).devices

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([10**30, -0.0, 1e308, float("inf"), float("nan")]),
    st.sampled_from(["", "cpu", "plain", "small", "1", "\x00", "x" * 300, ">=1", "é", "4", "default", "a_lt_1"]),
    st.sampled_from([[], {}, [None], [[]], {"": None}, {"a": {"b": {"c": {}}}}, [{}], {"name": "plain"}, [1, "a", None]]),
).map(copy.deepcopy)


PUT_IN = ("", "\t", "{", "]", "&a", "*a", "!!", "---\n", "\n- ", ": ", "'", "%", "\ufeff", "? ", "|\n")


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at]
    if isinstance(value, dict):
        found += [place for key, item in value.items() for place in places(item, (*at, key))]
    elif isinstance(value, list):
        found += [place for key, item in enumerate(value) for place in places(item, (*at, key))]
    return found


@st.composite
def spoilt(draw: st.DrawFn, data: Any) -> Any:
    """The data with up to three places changed, removed, or given a key that nobody knows."""
    data = copy.deepcopy(data)
    for _ in range(draw(st.integers(1, 3))):
        *above, key = draw(st.sampled_from([place for place in places(data) if place]))
        inside = data
        for part in above:
            inside = inside[part]
        match draw(st.sampled_from(["change", "remove", "add"])):
            case "remove":
                del inside[key]
            case "add" if isinstance(inside, dict):
                inside[draw(st.sampled_from(["odd", "extends", "schema_version", "family", "4", ""]))] = draw(odd)
            case _:
                inside[key] = draw(odd)
        if not any(places(data)):
            break
    return data


def one_line(exc: SpecError) -> None:
    assert len(str(exc).splitlines()) == 1, str(exc)
    assert exc.where
    assert exc.hint


def load(text: str) -> None:
    """All that happens to a family from its text to its cells; the only way out but success is a SpecError of one line."""
    try:
        source = migrated(parse(text, FILE))
        (merged, *_) = resolved([source, parse(FAMILY.replace("family: small", "family: base"), FILE)])
        family = family_of(merged)
        list(expand(Family(family, merged), KNOWN))
        made = make_pattern("it", family.architecture)
        Matcher([made] if made else []).nearest({"model_type": "tiny"})
    except SpecError as exc:
        one_line(exc)


def text_of(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


@settings(max_examples=80, deadline=None)
@given(spoilt(RICH))
@example({**RICH, "extends": "base", "impls": None})
@example({**RICH, "extends": "base", "impls": [{"name": "plain", "devices": {"cpu": 3}}]})
@example({"extends": "base", "family": "x"})
def test_a_spoilt_spec(data: Any) -> None:
    load(text_of(data))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_file_with_something_cut_out_or_put_in(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(FAMILY)))
    end = data.draw(st.integers(start, min(len(FAMILY), start + 40)))
    inside = data.draw(
        st.sampled_from(["", "\t", "{", "]", "&a", "*a", "!!", "---\n", "\n- ", ": ", "'", "%", "\ufeff", "? ", "|\n"])
    )
    load(FAMILY[:start] + inside + FAMILY[end:])


@settings(max_examples=40, deadline=None)
@given(spoilt(yaml.safe_load(DEVICES)))
def test_a_spoilt_device_catalogue(data: Any) -> None:
    try:
        devices_of(parse(text_of(data), FILE))
    except SpecError as exc:
        one_line(exc)


@settings(max_examples=60, deadline=None)
@given(spoilt(CONFIGS))
def test_a_spoilt_model_config(data: Any) -> None:
    try:
        for model in parse_model_configs(text_of(data), FILE):
            to_family(model)
    except SpecError as exc:
        one_line(exc)
