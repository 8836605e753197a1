"""A spec that loads survives being written and read again; the JSON Schema in the checkout is that of the models."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from hallmark.core.errors import SpecError
from hallmark.environment.system_names import system_names
from hallmark.specs.catalogue import load_catalogue
from hallmark.specs.dump import to_plain, to_yaml
from hallmark.specs.loader import family_of
from hallmark.specs.model import Feature, Metric, Status
from hallmark.specs.schema import SCHEMA_FILE, make_schema, schema_text
from hallmark.specs.yaml_source import YamlSource, parse, read

SHIPPED = Path(__file__).resolve().parents[2] / "model_specs"
FILE = Path("spec.yaml")

names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,8}\Z")
# What YAML may take for something else, and what it must escape, is worth more than long texts.
texts = st.one_of(
    st.sampled_from(
        ["yes", "null", "~", "1.0", "0x1f", "1e3", "2026-12-05", "{{x}}", "a: b", "# c", "'", "1_000", "<<", "=", "\u2028"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12),
)
said = texts.filter(bool)
positive = st.integers(1, 10**6)
scalars = st.one_of(texts, st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
specifiers = st.sampled_from(["", ">=1", "==2.0.*,!=2.0.1", "~=3.4"])
variables = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,8}\Z")
environment = st.dictionaries(variables, texts, max_size=3)
packages = st.from_regex(r"\A[A-Za-z0-9]([._-]?[A-Za-z0-9]){0,4}\Z")
arguments = st.dictionaries(st.from_regex(r"\A[A-Za-z][A-Za-z0-9_]{0,8}\Z"), scalars, max_size=2)


def some(strategy: st.SearchStrategy[Any], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(strategy, max_size=2, **more)


points = st.builds(
    lambda isl, osl, users, extra, targets, source: {
        "isl": isl,
        "osl": osl,
        "concurrency": users,
        "requests": users + extra,
        "targets": targets,
        "source": source,
    },
    positive,
    st.integers(2, 10**4),
    st.integers(1, 64),
    st.integers(0, 64),
    # Both rates together could be impossible, which is another test's business.
    st.dictionaries(st.sampled_from([m.value for m in Metric if m is not Metric.TOKENS]), st.floats(0.001, 1e6), min_size=1),
    texts,
)
evals = st.fixed_dictionaries(
    {
        "name": names,
        "task": texts,
        "metrics": st.lists(texts, min_size=1, max_size=2),
        "reference": st.floats(0.5, 1),
        "tolerance": st.floats(0, 0.4),
        "source": texts,
    },
    optional={
        "n": positive,
        "api": st.sampled_from(["chat", "completions"]),
        "gen_kwargs": st.dictionaries(names, scalars, max_size=2),
    },
)
device_config = st.fixed_dictionaries(
    {},
    optional={
        "env_vars": environment,
        "num_gpu_blocks_override": st.one_of(
            positive,
            st.fixed_dictionaries({"some_dist_lt_1_0": positive}, optional={"default": positive, "some_dist_ge_2": positive}),
        ),
        "chunked_prefill": st.fixed_dictionaries({"max_num_batched_tokens": positive}),
    },
)
continuous = st.fixed_dictionaries({"tp_size": st.just(1), "max_model_len": positive, "max_num_seqs": positive})
shapes = st.fixed_dictionaries({"prompt_len": positive, "batch_size": positive}, optional={"new_tokens": st.integers(0, 9)})
commits = st.from_regex(r"[0-9a-f]{7,40}|v[0-9][a-z0-9.+/-]{0,9}", fullmatch=True)
entries = st.fixed_dictionaries(
    {"max_context": positive},
    optional={
        "default": st.booleans(),
        "engine_args": arguments,
        "env_vars": environment,
        "status": st.sampled_from([status.value for status in Status]),
        "commits": st.dictionaries(names, commits, max_size=2),
        "perf": some(points, unique_by=lambda p: (p["isl"], p["osl"], p["concurrency"])),
        "device_configs": st.dictionaries(st.integers(1, 8), device_config, max_size=2),
        "runtime_configs": st.fixed_dictionaries(
            {},
            optional={
                "continuous": some(continuous, unique_by=lambda c: (c["max_model_len"], c["max_num_seqs"])),
                "static": st.lists(
                    st.fixed_dictionaries({"tp_size": st.just(1), "warmup_shapes": st.lists(shapes, min_size=1, max_size=1)}),
                    max_size=1,
                ),
            },
        ),
        "known_limits": some(st.fixed_dictionaries({"text": said, "source": said})),
    },
)
impls = st.fixed_dictionaries(
    {
        "name": names,
        "status": st.sampled_from([status.value for status in Status]),
        "devices": st.dictionaries(names, entries, min_size=1, max_size=2),
    },
    optional={
        "env_vars": environment,
        "system_deps": st.dictionaries(st.sampled_from(sorted(system_names())), specifiers, max_size=2),
        "python_deps": st.dictionaries(packages, specifiers, max_size=1),
        "runtime": st.booleans(),
        "image": st.sampled_from(["", "some/image:1"]),
        "features": st.lists(st.sampled_from([feature.value for feature in Feature]), max_size=3),
        "container": st.fixed_dictionaries({}, optional={"gpus": st.sampled_from(["all", "2"]), "shm_gib": positive}),
    },
)
architectures = st.one_of(
    st.just({}),
    st.dictionaries(names, st.one_of(scalars, st.lists(scalars, max_size=2)), max_size=3).map(lambda a: {**a, "model_type": "x"}),
)
families = st.fixed_dictionaries(
    {
        "schema_version": st.just(2),
        "family": names,
        "weights": st.lists(
            st.fixed_dictionaries({"name": names, "repo": names}, optional={"revision": texts, "engine_args": arguments}),
            min_size=1,
            max_size=3,
            unique_by=lambda w: w["name"],
        ),
        "impls": st.lists(impls, min_size=1, max_size=2, unique_by=lambda i: i["name"]),
    },
    optional={"architecture": architectures, "metadata": st.dictionaries(names, scalars, max_size=2)},
)


@st.composite
def whole(draw: st.DrawFn) -> dict[str, Any]:
    """A family with targets for weights and devices that it has."""
    family: dict[str, Any] = draw(families)
    names_of = st.sampled_from([w["name"] for w in family["weights"]])
    family["evals"] = draw(st.dictionaries(names_of, some(evals, unique_by=lambda e: e["name"]), max_size=2))
    return family


def loaded(data: Any) -> Any:
    return family_of(YamlSource(FILE, data, dict))


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(whole())
def test_any_spec_that_loads_survives_dump_and_reload(data: dict[str, Any]) -> None:
    try:
        family = loaded(data)
    except SpecError:
        reject()  # such as two known sizes that are one; Hypothesis complains if it is often
    text = to_yaml(family, comment="written by a test")
    assert family_of(parse(text, FILE)) == family
    assert to_yaml(family_of(parse(text, FILE)), comment="written by a test") == text


def test_every_shipped_family_survives_too() -> None:
    for family in load_catalogue([SHIPPED]).families:
        again = family_of(parse(to_yaml(family.spec), FILE))
        assert again == family.spec.model_copy(update={"extends": ""})


def test_the_schema_in_the_checkout_is_that_of_the_models() -> None:
    assert (SHIPPED / SCHEMA_FILE).read_text(encoding="utf-8") == schema_text(), "run: hallmark specs schema --write model_specs"


@cache
def validator() -> jsonschema.Draft202012Validator:
    """Made by whoever needs it: it takes a second, and every worker collects this file."""
    return jsonschema.Draft202012Validator(make_schema())


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(make_schema())


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_file_meets_the_schema(path: Path) -> None:
    assert [error.message for error in validator().iter_errors(read(path).data)] == []


@settings(max_examples=30, deadline=None)
@given(whole())
def test_what_the_models_take_the_schema_takes(data: dict[str, Any]) -> None:
    try:
        family = loaded(data)
    except SpecError:
        reject()
    assert list(validator().iter_errors(json.loads(json.dumps(to_plain(family))))) == []


@pytest.mark.parametrize(
    "change",
    [
        {"familly": 1},
        {"impls": []},
        {"weights": [{"name": "a b"}]},
        {"schema_version": 3},
        {"impls": [{"name": "i", "status": "done", "devices": {"cpu": {"max_context": 1}}}]},
        {"impls": [{"name": "i", "status": "complete", "devices": {"c p u": {"max_context": 1}}}]},
        {"impls": [{"name": "i", "status": "complete", "devices": {"cpu": {"max_context": 0}}}]},
        {"impls": [{"name": "i", "devices": {"cpu": {"max_context": 1}}}]},
        {"impls": [{"name": "i", "status": "complete", "devices": {"cpu": None}}]},
    ],
)
def test_the_schema_refuses_what_the_models_refuse(change: dict[str, Any]) -> None:
    impl = {"name": "i", "status": "complete", "devices": {"cpu": {"max_context": 1}}}
    good = {"schema_version": 2, "family": "f", "weights": [{"name": "w", "repo": "o/w"}], "impls": [impl]}
    assert validator().is_valid(good)
    assert not validator().is_valid(good | change)
    with pytest.raises(SpecError):
        loaded(good | change)


def test_the_schema_lets_an_heir_leave_out_and_state_less() -> None:
    heir = {"schema_version": 2, "family": "f", "extends": "g", "weights": [{"name": "w", "repo": "o/w"}]}
    assert validator().is_valid(heir | {"impls": [{"name": "i", "devices": {"cpu": None}}], "architecture": None})
    assert not validator().is_valid(heir | {"impls": [{"name": "i", "devises": {}}]})
    assert not validator().is_valid({key: value for key, value in heir.items() if key != "weights"})
