"""What a spec's configurations come to: blocks by version, chunked prefill, runtime shapes; a conflict warns, or stops."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hallmark.core.errors import UsageError
from hallmark.specs.cell import Cell
from selftests.serving.granite import DEVICE_CONFIG, GRANITE, cell, configured, said


@pytest.mark.parametrize(
    ("installed", "blocks", "warned"),
    [
        ({"torch-sendnn": "1.0.2"}, "2080", False),
        ({"torch_sendnn": "1.0.3"}, "8192", False),
        ({"torch_sendnn": "1.1.0"}, "8192", False),
        ({"torch_sendnn": "1.0.3rc1"}, "2080", False),
        ({}, "8192", False),
        ({"torch_sendnn": "main"}, "8192", True),
        (None, "8192", True),
    ],
)
def test_blocks_follow_the_servers_version(tmp_path: Path, installed: dict[str, str] | None, blocks: str, warned: bool) -> None:
    plan = configured(cell(tmp_path), installed=installed)
    assert said(plan, "num_gpu_blocks_override") == (blocks, "spec")
    assert any("num_gpu_blocks_override follows from a version" in warning for warning in plan.warnings) is warned
    assert ("--num-gpu-blocks-override", blocks) in zip(plan.argv, plan.argv[1:], strict=False)


def test_without_a_default_there_is_no_override(tmp_path: Path) -> None:
    of = cell(tmp_path, device_configs={4: {"num_gpu_blocks_override": {"torch_sendnn_lt_1_0_3": 2080}}})
    assert "num_gpu_blocks_override" not in {v.name for v in configured(of, installed={"torch_sendnn": "2.0"}).values}


def test_versions_are_asked_only_where_a_value_follows_from_one(tmp_path: Path) -> None:
    asked: list[dict[str, str]] = []
    plain = cell(tmp_path / "a", device_configs={4: {"num_gpu_blocks_override": 8192}})
    keyed = cell(tmp_path / "b")
    for of in (plain, keyed):
        configured(of, installed=lambda env: asked.append(dict(env)))
    assert len(asked) == 1
    assert asked[0]["FLEX_HDMA_P2PSIZE"] == "268435456", "as the server's process will see them"


def test_chunked_prefill_and_variables_come_from_the_configuration(tmp_path: Path) -> None:
    plan = configured(cell(tmp_path), installed={})
    assert said(plan, "max_num_batched_tokens") == ("1024", "spec")
    assert "--enable-chunked-prefill" in plan.argv
    assert said(plan, "VLLM_DT_MAX_BATCH_TKV_LIMIT") == ("131072", "spec")
    assert plan.warnings == ()


@pytest.mark.parametrize("name", ["num_gpu_blocks_override", "max_num_batched_tokens"])
def test_who_says_otherwise_wins_and_is_warned(tmp_path: Path, name: str) -> None:
    for chosen, origin in (
        ({"engine_args": {name: "64"}}, "command line"),
        ({"environment_args": {name: "64"}}, "environment"),
    ):
        plan = configured(cell(tmp_path), installed={}, **chosen)
        assert said(plan, name) == ("64", origin)
        assert [warning.startswith(f"{name}=64 ") for warning in plan.warnings] == [True]


def test_the_entrys_own_word_is_nearer_than_its_configuration(tmp_path: Path) -> None:
    of = cell(tmp_path, engine_args={**GRANITE, "num_gpu_blocks_override": 100}, env_vars={"FLEX_HDMA_P2PSIZE": "1"})
    plan = configured(of, installed={})
    assert said(plan, "num_gpu_blocks_override") == ("100", "spec")
    assert said(plan, "FLEX_HDMA_P2PSIZE") == ("1", "spec")
    assert plan.warnings == ()


def test_another_parallel_size_has_other_needs(tmp_path: Path) -> None:
    two = {"env_vars": {"ONLY_OF_TWO": "1"}, "num_gpu_blocks_override": 7}
    of = cell(tmp_path, runtime_configs=None, device_configs={4: DEVICE_CONFIG, 2: two})
    plan = configured(of, installed={}, engine_args={"tensor-parallel-size": "2"})
    assert said(plan, "num_gpu_blocks_override") == ("7", "spec")
    assert said(plan, "ONLY_OF_TWO") == ("1", "spec")
    assert "FLEX_HDMA_P2PSIZE" not in plan.env
    assert "max_num_batched_tokens" not in {value.name for value in plan.values}


@pytest.mark.parametrize("size", ["0", "-1", "two", "1.5"])
def test_a_parallel_size_that_is_none_is_refused(tmp_path: Path, size: str) -> None:
    with pytest.raises(UsageError, match=r"tensor_parallel_size: .* is not a whole number"):
        configured(cell(tmp_path), engine_args={"tensor_parallel_size": size})


def test_an_only_runtime_configuration_is_taken(tmp_path: Path) -> None:
    plan = configured(cell(tmp_path, engine_args={"tensor_parallel_size": 4}, max_context=1024), installed={})
    assert (said(plan, "max_model_len"), said(plan, "max_num_seqs")) == (("32768", "spec"), ("32", "spec"))


TWO = [{"tp_size": 1, "max_model_len": 3072, "max_num_seqs": 16}, {"tp_size": 1, "max_model_len": 8192, "max_num_seqs": 4}]


@pytest.mark.parametrize(
    ("engine_args", "context", "expected"),
    [
        ({}, 8192, ("8192", "4")),
        ({}, 3072, ("3072", "16")),
        ({"max_model_len": 3072}, 8192, ("3072", "16")),
        ({"max_num_seqs": 16}, 8192, ("3072", "16")),
    ],
)
def test_of_several_the_one_that_agrees(
    tmp_path: Path, engine_args: dict[str, int], context: int, expected: tuple[str, str]
) -> None:
    runtime = {"continuous": TWO}
    plan = configured(cell(tmp_path, engine_args=engine_args, max_context=context, runtime_configs=runtime, device_configs={}))
    assert (said(plan, "max_model_len")[0], said(plan, "max_num_seqs")[0]) == expected
    assert plan.warnings == ()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"max_model_len": "4096"}, "max_model_len 4096, max_num_seqs 32 is no supported"),
        ({"max_num_seqs": "64"}, "max_num_seqs 64 is no supported"),
        ({"tensor_parallel_size": "2"}, "tensor_parallel_size 2, .* is no supported .* tp 4, 32768, 32"),
    ],
)
def test_what_is_not_supported_is_told(tmp_path: Path, given: dict[str, str], why: str) -> None:
    of = cell(tmp_path)
    warned = configured(of, installed={}, engine_args=given).warnings
    assert re.search(why, warned[-1])
    with pytest.raises(UsageError, match="--strict-config: "):
        configured(of, installed={}, engine_args=given, strict_config=True)


@pytest.mark.parametrize(
    ("environ", "settings", "installed", "why"),
    [
        ({"FLEX_HDMA_P2PSIZE": "1"}, {}, {}, "FLEX_HDMA_P2PSIZE=1 is set in the environment and kept; the spec says 268435456"),
        ({}, {"engine_args": {"num_gpu_blocks_override": "1"}}, {}, "num_gpu_blocks_override=1 is given on the command line"),
        ({}, {"env_vars": {"FLEX_HDMA_P2PSIZE": "2"}}, {}, "FLEX_HDMA_P2PSIZE=2 is given on the command line"),
        ({}, {}, None, "the version of torch-sendnn is unknown"),
    ],
)
def test_strict_stops_where_others_are_warned(
    tmp_path: Path, environ: dict[str, str], settings: dict[str, Any], installed: dict[str, str] | None, why: str
) -> None:
    of = cell(tmp_path)
    before = dict(os.environ), dict(environ), sorted(tmp_path.rglob("*"))
    assert any(why in warning for warning in configured(of, environ=environ, installed=installed, **settings).warnings)
    with pytest.raises(UsageError) as caught:
        configured(of, environ=environ, installed=installed, strict_config=True, **settings)
    assert str(caught.value).startswith("--strict-config: ")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (dict(os.environ), environ, sorted(tmp_path.rglob("*"))) == before, "nothing was applied, half or whole"


def test_strict_is_content_where_the_spec_is_obeyed(tmp_path: Path) -> None:
    environ = {"FLEX_HDMA_P2PSIZE": "268435456", "DO_NOT_TRACK": "0"}
    plan = configured(cell(tmp_path), environ=environ, installed={"torch_sendnn": "1.0.2"}, strict_config=True)
    assert plan.warnings == ("DO_NOT_TRACK=0 is set in the environment and kept; the default says 1",)


@pytest.mark.parametrize("name", ["api_key", "hf-token"])
def test_a_secret_does_not_go_onto_a_command_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="would put a secret on a command line") as caught:
        configured(cell(tmp_path, engine_args={**GRANITE, name: "canary-value"}), installed={})
    assert "canary" not in str(caught.value)
    assert configured(cell(tmp_path, engine_args={**GRANITE, "hf_token": True}), installed={}).argv


def test_attached_nothing_is_guessed_and_nothing_warned_of(tmp_path: Path) -> None:
    plan = configured(cell(tmp_path), server_url="http://far:8000", strict_config=True)
    assert (plan.argv, plan.warnings) == ((), ())


NAMES = st.sampled_from(["max_num_seqs", "max-num-batched-tokens", "num_gpu_blocks_override", "block_size", "dtype"])
SAID = st.dictionaries(NAMES, st.sampled_from(["1", "2", "3"]), max_size=4)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(own=SAID, environment=SAID, command_line=SAID, installed=st.sampled_from(["1.0.2", "1.0.3"]))
def test_whatever_is_said_the_precedence_holds(
    tmp_path: Path, own: dict[str, str], environment: dict[str, str], command_line: dict[str, str], installed: str
) -> None:
    of = _once(tmp_path)
    of = dataclasses.replace(of, entry=of.entry.model_copy(update={"engine_args": {"tensor_parallel_size": 4, **own}}))
    plan = configured(of, installed={"torch_sendnn": installed}, environment_args=environment, engine_args=command_line)
    from_config = {"num_gpu_blocks_override": "2080" if installed == "1.0.2" else "8192", "max_num_batched_tokens": "1024"}
    layers = [("spec", from_config), ("spec", own), ("environment", environment), ("command line", command_line)]
    expected = {name.replace("-", "_"): (value, origin) for origin, said_ in layers for name, value in said_.items()}
    assert {name: said(plan, name) for name in expected} == expected
    displaced = {n for n, (value, origin) in expected.items() if origin != "spec" and _spec_says(n, layers) not in ("", value)}
    assert {warning.partition("=")[0] for warning in plan.warnings} == displaced


def _spec_says(name: str, layers: list[tuple[str, dict[str, str]]]) -> str:
    texts = [v for origin, said_ in layers if origin == "spec" for n, v in said_.items() if n.replace("-", "_") == name]
    return texts[-1] if texts else ""


@functools.cache
def _once(folder: Path) -> Cell:
    return cell(folder, runtime_configs=None)
