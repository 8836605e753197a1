"""Other projects' files: every example that their documentation prints loads as it stands and yields what the text says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.errors import SpecError
from hallmark.specs.catalogue import load_catalogue
from hallmark.specs.dump import to_yaml
from hallmark.specs.foreign.convert import Completion, convert
from hallmark.specs.foreign.model_configs import ForeignModel, parse_model_configs, read_model_configs, to_family
from hallmark.specs.model import RuntimeConfigs
from hallmark.specs.model_registry import ModelConfigRegistry

PRINTED = Path(__file__).parent / "printed"
SHIPPED = Path(__file__).resolve().parents[2] / "model_specs"
GRANITE = {
    "model_type": "granite",
    "num_hidden_layers": 40,
    "max_position_embeddings": 131072,
    "hidden_size": 4096,
    "vocab_size": 49159,
    "num_key_value_heads": 8,
    "num_attention_heads": 32,
}
AT_FOUR = {
    "env_vars": {"VLLM_DT_MAX_BATCH_TKV_LIMIT": "131072", "FLEX_HDMA_P2PSIZE": "268435456"},
    "num_gpu_blocks_override": {"torch_sendnn_lt_1_0_3": 2080, "default": 8192},
    "chunked_prefill": {"max_num_batched_tokens": 1024},
}
# Example -> what each model in it comes to: (name, architecture, continuous, static, device configurations).
Shape = tuple[str, dict[str, Any], list[tuple[int, ...]], list[tuple[int, list[tuple[int, ...]]]], dict[int, Any]]
EXPECTED: dict[str, list[Shape]] = {
    "new_model": [
        (
            "your-org/your-model",
            {"model_type": "llama", "num_hidden_layers": 32, "vocab_size": 128256},
            [(1, 8192, 16)],
            [(1, [(2048, 1024, 16)])],
            {4: AT_FOUR},
        )
    ],
    "architecture": [("", {**GRANITE, "num_experts_per_tok": 0}, [], [], {})],
    "runtime_configurations": [("", {}, [(4, 32768, 32)], [(1, [(2048, 1024, 16), (4096, 512, 8)])], {})],
    "device_configurations": [
        ("", {}, [], [], {4: {**AT_FOUR, "num_gpu_blocks_override": 8192}}),
        ("", {}, [], [], {4: AT_FOUR}),
    ],
    "migrated": [
        ("ibm-granite/granite-3.3-8b-instruct", {}, [], [], {4: {"env_vars": {"VLLM_DT_MAX_BATCH_TKV_LIMIT": "131072"}}})
    ],
    "embedding": [
        (
            "sentence-transformers/all-roberta-large-v1",
            {"model_type": "roberta", "num_hidden_layers": 24, "vocab_size": 50265},
            [],
            [(1, [(128, 0, 8)])],
            {},
        )
    ],
    "generation": [("ibm-granite/granite-3.3-8b-instruct", GRANITE, [(4, 32768, 32)], [], {4: AT_FOUR})],
}


def shape(model: ForeignModel) -> Shape:
    entry = model.entry
    return (
        model.name,
        dict(entry.architecture),
        [(c.tp_size, c.max_model_len, c.max_num_seqs) for c in entry.runtime_configs.continuous],
        [
            (c.tp_size, [(s.prompt_len, s.new_tokens, s.batch_size) for s in c.warmup_shapes])
            for c in entry.runtime_configs.static
        ],
        {size: config.model_dump(exclude_defaults=True) for size, config in entry.device_configs.items()},
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_every_printed_model_config_yields_what_the_text_says(name: str) -> None:
    assert [shape(model) for model in read_model_configs(PRINTED / f"{name}.yaml")] == EXPECTED[name]


def test_no_printed_example_is_left_out() -> None:
    assert {path.stem for path in PRINTED.glob("*.yaml")} == set(EXPECTED)


@pytest.mark.parametrize("name", ["new_model", "embedding", "generation"])
def test_a_converted_model_is_a_native_spec(tmp_path: Path, name: str) -> None:
    """Written, loaded with the shipped devices, and found by the registry with the configuration that the text states."""
    (model,) = read_model_configs(PRINTED / f"{name}.yaml")
    (tmp_path / "converted.yaml").write_text(to_yaml(to_family(model)))
    (tmp_path / "devices.yaml").write_text((SHIPPED / "devices.yaml").read_text())
    registry = ModelConfigRegistry(load_catalogue([tmp_path]))
    assert registry.list_models() == [model.name]
    assert registry.find_matching_model(dict(model.entry.architecture)) == model.name
    config = registry.get_model_config(model.name)
    assert config.supported_configs == model.entry.runtime_configs
    assert config.device_configs == model.entry.device_configs


def test_a_converted_specification_takes_from_the_catalogue_what_it_does_not_state(tmp_path: Path) -> None:
    shipped = load_catalogue([SHIPPED])
    (converted,) = convert(PRINTED / "model_specification.json", shipped, Completion())
    (tmp_path / "converted.yaml").write_text(to_yaml(converted.family, comment=converted.note))
    (tmp_path / "devices.yaml").write_text((SHIPPED / "devices.yaml").read_text())
    (cell,) = load_catalogue([tmp_path]).cells
    assert cell.id == "id_tt-transformers_Llama-3.1-70B-Instruct_t3k"
    assert cell.impl.system_deps["cuda"] == ">=12.1"
    assert (cell.weights.repo, cell.entry.max_context) == ("meta-llama/Llama-3.1-70B-Instruct", 131072)
    assert "of the catalogue's" in converted.note


def test_what_is_known_nowhere_is_asked_for(tmp_path: Path) -> None:
    """A context length is never made up."""
    path = tmp_path / "model_specification.json"
    path.write_text('{"model_id": "id_mine_Some-7B_t3k", "env_vars": {"A": 1}}')
    empty = load_catalogue([])
    with pytest.raises(SpecError, match=r"states no hf_model_repo and device_model_spec\.max_context") as caught:
        convert(path, empty, Completion())
    assert "--repo and --max-context" in caught.value.hint
    (converted,) = convert(path, empty, Completion(repo="some/Some-7B", max_context=4096))
    assert converted.family.impls[0].env_vars == {"A": "1"}
    assert converted.family.impls[0].devices["t3k"].max_context == 4096


def test_a_whole_specification_of_the_original_needs_nothing_else(tmp_path: Path) -> None:
    """With the keys that tt-inference-server exports for a run; what nothing stands for is named, not dropped in silence."""
    path = tmp_path / "run.json"
    spec = {
        "model_id": "id_tt-transformers_Qwen3-8B_galaxy_t3k",
        "hf_model_repo": "Qwen/Qwen3-8B",
        "status": "ModelStatusTypes.COMPLETE",
        "tt_metal_commit": "e0e0500",
        "docker_image": "ghcr.io/some/image:1",
        "device_model_spec": {
            "max_context": 40960,
            "vllm_args": {"max-log-len": "32", "seed": 9472, "override_tt_config": {"a": [1]}, "stop_token_ids": [1]},
            "env_vars": {"MESH_DEVICE": "T3K"},
            "max_users": 32,
        },
        "impl": {"impl_id": "tt-transformers", "repo_url": "https://x.org"},
        "model_name": "Qwen3-8B",
        "device_type": "DeviceTypes.GALAXY_T3K",
        "code_link": "https://x.org/code",
        "min_disk_gb": None,
        "cli_args": {},
    }
    path.write_text(json.dumps({"runtime_model_spec": spec, "runtime_config": {}}))
    (converted,) = convert(path, load_catalogue([SHIPPED]), Completion())
    impl = converted.family.impls[0]
    assert list(impl.devices) == ["galaxy_t3k"], "the longest device name that the catalogue knows"
    assert (impl.status, impl.image, impl.commits) == ("complete", "ghcr.io/some/image:1", {"tt_metal": "e0e0500"})
    assert impl.devices["galaxy_t3k"].engine_args == {
        "max_log_len": "32",
        "seed": 9472,
        "override_tt_config": '{"a": [1]}',
    }
    assert impl.devices["galaxy_t3k"].env_vars == {"MESH_DEVICE": "T3K"}
    assert converted.left == (
        "device_model_spec.vllm_args.stop_token_ids",
        "impl.repo_url",
        "code_link",
        "device_model_spec.max_users",
    )
    assert "Not carried over: device_model_spec.vllm_args.stop_token_ids, impl.repo_url" in converted.note


LATER = """\
_templates:
  four: &four { env_vars: { A: true, B: 12 }, num_gpu_blocks_override: 8192 }
  base: &base { model_type: llama, num_hidden_layers: 32 }
models:
  some/model:
    platforms: [x86_64, s390x]
    architecture: { <<: *base, vocab_size: 7, text_config: { hidden_size: 3 } }
    continuous_batching_configs:
      - { tp_size: 1, max_model_len: 3072, max_num_seqs: 16 }
      - { tp_size: 4, max_model_len: 32768, max_num_seqs: 32, device_config: *four }
    static_batching_configs:
      - { tp_size: 1, warmup_shapes: [{ prompt_len: 512, batch_size: 64 }] }
"""


def test_the_shape_that_was_released_later() -> None:
    (model,) = parse_model_configs(LATER, Path("later.yaml"))
    assert shape(model) == (
        "some/model",
        {"model_type": "llama", "num_hidden_layers": 32, "vocab_size": 7, "text_config": {"hidden_size": 3}},
        [(1, 3072, 16), (4, 32768, 32)],
        [(1, [(512, 0, 64)])],
        {4: {"env_vars": {"A": "True", "B": "12"}, "num_gpu_blocks_override": 8192}},
    )
    family = to_family(model)
    assert family.metadata == {"platforms": "x86_64, s390x"}
    devices = family.impls[0].devices
    assert {name: (entry.tp_size, entry.max_context) for name, entry in devices.items()} == {
        "spyre": (1, 3072),
        "spyre_x4": (4, 32768),
    }, "a device for each tensor-parallel size"
    assert devices["spyre"].runtime_configs == RuntimeConfigs(
        continuous=tuple(c for c in model.entry.runtime_configs.continuous if c.tp_size == 1),
        static=model.entry.runtime_configs.static,
    )
    assert (devices["spyre"].device_configs, set(devices["spyre_x4"].device_configs)) == ({}, {4})


def test_of_alternatives_one_is_converted_and_the_others_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model_configs.yaml"
    path.write_text(LATER.replace("    platforms: [x86_64, s390x]", "    platforms: [x86_64]\n    # OR\n    platforms: [s390x]"))
    (converted,) = convert(path, load_catalogue([]), Completion())
    assert converted.family.metadata == {"platforms": "x86_64"}
    assert converted.left == ("1 more of the alternatives that the file prints (`# OR`)",)


def test_alternatives_that_cannot_be_read_are_counted_and_not_tried(tmp_path: Path) -> None:
    """Each of them doubles the texts."""
    with pytest.raises(SpecError, match="more than 6 alternatives") as caught:
        parse_model_configs("a/b: {}\n" + "x: 1\n# OR\ny: 1\n" * 40, Path("many.yaml"))
    assert caught.value.where == "many.yaml:21"


def test_a_secret_is_not_carried_over(tmp_path: Path) -> None:
    path = tmp_path / "model_configs.yaml"
    path.write_text(
        LATER.replace("{ A: true, B: 12 }", "{ A: true, B: 12, HF_TOKEN: canary-5512, URL: http://me:canary-5512@x.org }")
    )
    (converted,) = convert(path, load_catalogue([]), Completion())
    assert "canary-5512" not in to_yaml(converted.family, comment=converted.note)
    at = "impls.0.devices.spyre_x4.device_configs.4.env_vars"
    assert converted.left == tuple(f"{at}.{name} (a secret: set it in the environment)" for name in ("HF_TOKEN", "URL"))


# What is spoilt -> (the text, what the error says). `# HERE` marks the guilty line.
BAD = {
    "unknown section": (LATER.replace("static_batching_configs:", "static_batching_cfgs: # HERE"), "static_batching_cfgs"),
    "unknown key of the document": (LATER + "modells: {} # HERE\n", "unknown key 'modells'"),
    "null models": ("models: # HERE\n", "must map names to models"),
    "a list of models": ("models: [a] # HERE\n", "must map names to models"),
    "a null model": ("models:\n  a/b: # HERE\n", "must be a mapping"),
    "misspelt argument": (LATER.replace("max_num_seqs: 16 }", "max_num_sequences: 16 } # HERE"), "max_num_sequences"),
    "negative size": (
        LATER.replace("max_num_seqs: 16", "max_num_seqs: -16").replace(
            "3072, max_num_seqs: -16 }", "3072, max_num_seqs: -16 } # HERE"
        ),
        "greater than 0",
    ),
    "no batching kind": ("a/b:\n  architecture: {model_type: x}\n  supported_configs:\n    - tp_size: 1 # HERE\n", "cb must be"),
    "bad version key": (
        "device_configs:\n  4:\n    num_gpu_blocks_override:\n      torch_below_1: 3 # HERE\n",
        "torch_below_1",
    ),
    "two configurations of one size": (
        LATER.replace(
            "device_config: *four }",
            "device_config: *four }\n"
            "      - { tp_size: 4, max_model_len: 1, max_num_seqs: 1, device_config: { env_vars: { A: x } } } # HERE",
        ),
        "two device configurations",
    ),
    "duplicate key": ("models:\n  a/b: {}\n  a/b: {} # HERE\n", "duplicate key"),
    "not a mapping": ("- a # HERE\n", "must be a mapping"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_foreign_file_is_one_line(name: str) -> None:
    text, message = BAD[name]
    with pytest.raises(SpecError) as caught:
        for model in parse_model_configs(text, Path("bad.yaml")):
            to_family(model)
    assert message in caught.value.message
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 1
    line = next(number for number, line in enumerate(text.splitlines(), start=1) if "# HERE" in line)
    assert caught.value.where in (f"bad.yaml:{line}", f"bad.yaml:{line + 1}"), caught.value


@pytest.mark.parametrize("name", ["architecture", "runtime_configurations", "device_configurations", "migrated"])
def test_a_fragment_is_read_but_not_converted(name: str) -> None:
    for model in read_model_configs(PRINTED / f"{name}.yaml"):
        with pytest.raises(SpecError, match="is a fragment without"):
            to_family(model)
