"""The configurator inside of vLLM's process: on a stand-in for its config object, and on the real one."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hallmark.core.errors import UsageError
from hallmark.specs.configurator import DefaultConfigurator
from selftests.serving.granite import DEVICE_CONFIG, cell

ROOT = Path(__file__).resolve().parents[2]
TKV, P2P = "VLLM_DT_MAX_BATCH_TKV_LIMIT", "FLEX_HDMA_P2PSIZE"


def vllm_config(*, tp: int = 4, blocks: int | None = None, chunked: bool = True, seqs: int = 32) -> Any:
    """As vLLM's own, as far as anybody looks."""
    return SimpleNamespace(
        parallel_config=SimpleNamespace(world_size=tp, tensor_parallel_size=tp),
        model_config=SimpleNamespace(max_model_len=32768, hf_config=SimpleNamespace(model_type="granite", num_hidden_layers=40)),
        cache_config=SimpleNamespace(num_gpu_blocks_override=blocks),
        scheduler_config=SimpleNamespace(max_num_seqs=seqs, max_num_batched_tokens=2048, enable_chunked_prefill=chunked),
    )


def configurator(
    folder: Path, *, installed: str = "1.0.2", environ: dict[str, str] | None = None, **more: Any
) -> DefaultConfigurator:
    there = {"torch-sendnn": installed} if installed else {}

    def versions(names: Iterable[str]) -> dict[str, str]:
        return {name: there[name] for name in names if name in there}

    return DefaultConfigurator(cell(folder, **more), {} if environ is None else environ, versions)


def state(config: Any) -> tuple[object, ...]:
    scheduler = config.scheduler_config
    return config.cache_config.num_gpu_blocks_override, scheduler.max_num_batched_tokens, scheduler.enable_chunked_prefill


def test_the_device_configuration_of_its_size_is_applied(tmp_path: Path) -> None:
    config, of = vllm_config(), configurator(tmp_path)
    applied = of.configure(config)
    assert state(config) == (2080, 1024, True)
    assert of.environ == DEVICE_CONFIG["env_vars"]
    assert (applied.model, applied.tp_size, applied.warnings) == ("granite-8b", 4, ())
    assert {value.name: value.overrode for value in applied.engine_args}["max_num_batched_tokens"] == "default: 2048"


@pytest.mark.parametrize(
    ("installed", "blocks"), [("1.0.2", 2080), ("1.0.3", 8192), ("1.0.3rc1", 2080), ("2.0+cpu", 8192), ("", 8192)]
)
def test_blocks_follow_the_version_that_is_installed(tmp_path: Path, installed: str, blocks: int) -> None:
    config = vllm_config()
    configurator(tmp_path, installed=installed).configure(config)
    assert config.cache_config.num_gpu_blocks_override == blocks


@pytest.mark.parametrize(("key", "blocks"), [("pytest_ge_1", 11), ("no_such_distribution_ge_1", 12)])
def test_the_versions_are_those_of_its_own_interpreter(tmp_path: Path, key: str, blocks: int) -> None:
    config = vllm_config()
    of = DefaultConfigurator(cell(tmp_path, device_configs={4: {"num_gpu_blocks_override": {key: 11, "default": 12}}}), {})
    assert of.configure(config).warnings == ()
    assert config.cache_config.num_gpu_blocks_override == blocks


def test_a_size_that_needs_nothing_is_left_alone(tmp_path: Path) -> None:
    config, of = vllm_config(tp=2), configurator(tmp_path, runtime_configs=None)
    assert of.configure(config).warnings == ()
    assert (state(config), of.environ) == ((None, 2048, True), {})


def test_of_a_config_without_a_parallel_size_the_world_counts(tmp_path: Path) -> None:
    config = vllm_config()
    del config.parallel_config.tensor_parallel_size
    assert configurator(tmp_path).configure(config).tp_size == 4


def test_what_a_person_said_is_kept_and_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config, of = vllm_config(blocks=100), configurator(tmp_path, environ={P2P: "1"})
    warnings = of.configure(config, stated=["max_num_batched_tokens"]).warnings
    assert state(config) == (100, 2048, True)
    assert of.environ == {P2P: "1", TKV: "131072"}
    assert [warning.split(" ")[0] for warning in warnings] == [
        f"{P2P}=1",
        "num_gpu_blocks_override=100",
        "max_num_batched_tokens=2048",
    ]
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 3


def test_what_a_person_said_too_is_no_conflict(tmp_path: Path) -> None:
    config, of = vllm_config(blocks=2080), configurator(tmp_path, environ=dict(DEVICE_CONFIG["env_vars"]))
    assert of.configure(config, strict=True).warnings == ()
    assert state(config) == (2080, 1024, True)


def test_chunked_prefill_that_is_off_stays_off(tmp_path: Path) -> None:
    config = vllm_config(chunked=False)
    (warning,) = configurator(tmp_path).configure(config).warnings
    assert "enable_chunked_prefill is off" in warning
    assert state(config) == (2080, 2048, False)


@pytest.mark.parametrize(
    ("config", "more", "why"),
    [
        (
            vllm_config(blocks=1),
            {"strict": True},
            "strict: num_gpu_blocks_override=1 is given on the command line; the spec",
        ),
        (vllm_config(seqs=16), {"strict": True}, "max_num_seqs 16 is no supported runtime configuration"),
        (vllm_config(seqs=2000), {}, "max_num_batched_tokens 1024 of the spec is below max_num_seqs 2000, which vLLM refuses"),
        (SimpleNamespace(parallel_config=1), {}, "without model_config, cache_config, scheduler_config is not vLLM's config"),
        (None, {}, "a NoneType without"),
    ],
)
def test_where_it_stops_nothing_was_applied(tmp_path: Path, config: Any, more: dict[str, Any], why: str) -> None:
    of = configurator(tmp_path)
    before = repr(config)
    with pytest.raises(UsageError) as caught:
        of.configure(config, **more)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (repr(config), of.environ) == (before, {})


def test_a_runtime_configuration_that_is_not_supported_is_warned_of(tmp_path: Path) -> None:
    (warning,) = configurator(tmp_path).configure(vllm_config(seqs=16)).warnings
    assert "supported (tp, max_model_len, max_num_seqs): tp 4, 32768, 32" in warning


def test_a_variable_is_set_kept_or_overridden_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    of = configurator(tmp_path, environ={"THERE": "1", "EMPTY": "", "A_TOKEN": "canary"})
    assert of.set_env_var("NEW", "2")
    assert of.set_env_var("THERE", "1")
    assert not of.set_env_var("THERE", "2")
    assert not of.set_env_var("EMPTY", "2"), "empty is set, too"
    assert of.set_env_var("A_TOKEN", "canary-too", override=True)
    assert of.environ == {"NEW": "2", "THERE": "1", "EMPTY": "", "A_TOKEN": "canary-too"}
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "NEW=2 for granite-8b"),
        ("WARNING", "THERE=1 is set already and kept; not set to 2"),
        ("WARNING", "EMPTY= is set already and kept; not set to 2"),
        ("INFO", "A_TOKEN=[redacted] (instead of [redacted]) for granite-8b"),
    ]


def test_left_alone_it_is_about_this_process(tmp_path: Path) -> None:
    assert DefaultConfigurator(cell(tmp_path)).environ is os.environ


def test_static_shapes_are_exported(tmp_path: Path) -> None:
    shapes = [{"prompt_len": 64, "new_tokens": 20, "batch_size": 4}]
    runtime = {"static": [{"tp_size": 4, "warmup_shapes": shapes}]}
    of = configurator(tmp_path, runtime_configs=runtime, device_configs={})
    assert of.configure(vllm_config()).warnings == ()
    assert of.environ["VLLM_SPYRE_WARMUP_PROMPT_LENS"] == "64"


def shown_in_the_documentation() -> str:
    """The example of model_specs/README.md."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "model_specs" / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return str(example)


STAND_IN = """
from types import SimpleNamespace as N
vllm_config = N(
    parallel_config=N(world_size=4),
    model_config=N(max_model_len=32768, hf_config=N(model_type="granite", num_hidden_layers=40)),
    cache_config=N(num_gpu_blocks_override=None),
    scheduler_config=N(max_num_seqs=32, max_num_batched_tokens=2048, enable_chunked_prefill=True),
)
"""
REAL = f"""
from vllm.engine.arg_utils import EngineArgs
weights = {str(ROOT / "fixtures" / "hallmark_tiny")!r}
vllm_config = EngineArgs(model=weights, max_model_len=512, max_num_seqs=8).create_engine_config()
"""
TELL = """
import json, os
scheduler, cache = vllm_config.scheduler_config, vllm_config.cache_config
found = [name, list(applied.warnings), registry.list_models(), registry.get_model_config(name).name]
done = [cache.num_gpu_blocks_override, scheduler.max_num_batched_tokens, os.environ["FLEX_HDMA_P2PSIZE"]]
print(json.dumps(found + done))
"""


def the_example_of(folder: Path, python: str, config: str) -> list[Any]:
    """What the example of the documentation makes of a vLLM config, in a process of its own, with the specs of `folder`."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HALLMARK_", "PYTEST_"))}
    environ |= {"PYTHONPATH": str(ROOT), "HALLMARK_SPEC_DIR": str(folder / "specs")}
    program = [python, "-c", config + shown_in_the_documentation() + TELL]
    ended = subprocess.run(program, env=environ, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return list(json.loads(ended.stdout.splitlines()[-1]))


NAME = "ibm-granite/granite-8b"


def test_the_example_of_the_documentation_finds_and_configures(tmp_path: Path) -> None:
    cell(tmp_path)
    assert the_example_of(tmp_path, sys.executable, STAND_IN) == [NAME, [], [NAME], NAME, 8192, 1024, "268435456"]


@pytest.mark.server
def test_vllms_own_config_object_is_configured(tmp_path: Path) -> None:
    """Whatever vLLM is there: its blocks follow from its version."""
    config = json.loads((ROOT / "fixtures" / "hallmark_tiny" / "config.json").read_text(encoding="utf-8"))
    architecture = {name: config[name] for name in ("model_type", "num_hidden_layers", "vocab_size")}
    needs = {
        **DEVICE_CONFIG,
        "num_gpu_blocks_override": {"torch_lt_1": 1, "default": 77},
        "chunked_prefill": {"max_num_batched_tokens": 64},
    }
    runtime = {"continuous": [{"tp_size": 1, "max_model_len": 512, "max_num_seqs": 8}]}
    cell(tmp_path, architecture=architecture, engine_args={}, runtime_configs=runtime, device_configs={1: needs})
    found = the_example_of(tmp_path, os.environ["HALLMARK_SERVER_PYTHON"], REAL)
    assert found == [NAME, [], [NAME], NAME, 77, 64, "268435456"]


def test_a_configurator_is_a_value(tmp_path: Path) -> None:
    of = configurator(tmp_path)
    assert dataclasses.replace(of, environ={"A": "1"}).environ == {"A": "1"}


def test_what_a_parallel_size_needs_is_told(tmp_path: Path) -> None:
    of = configurator(tmp_path)
    four = of.get_device_config(4)
    assert four is not None
    assert four.env_vars == DEVICE_CONFIG["env_vars"]
    assert of.get_device_config(8) is None
