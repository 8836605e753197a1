"""The registry that vllm-spyre's documentation shows, over the shipped catalogue: real configs find their models."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hallmark import get_model_registry
from hallmark.core.errors import UsageError
from hallmark.specs.catalogue import load_catalogue
from hallmark.specs.known_models import known_models
from hallmark.specs.model_registry import ModelConfigRegistry
from selftests.specs.sheets import family_file, spec_folder

SHIPPED = Path(__file__).resolve().parents[2] / "model_specs"


@pytest.fixture(scope="module")
def shipped() -> ModelConfigRegistry:
    return ModelConfigRegistry(load_catalogue([SHIPPED]))


def decoder(model_type: str, vocab: int, layers: int = 40, **more: Any) -> dict[str, Any]:
    """What the config.json of these models says about their shape, and some of what else stands there."""
    return {
        "model_type": model_type,
        "num_hidden_layers": layers,
        "max_position_embeddings": 131072,
        "hidden_size": 4096,
        "vocab_size": vocab,
        "num_key_value_heads": 8,
        "num_attention_heads": 32,
        "rope_scaling": None,
        "torch_dtype": "bfloat16",
        **more,
    }


FP8 = {"quantization_config": {"quant_method": "compressed-tensors", "format": "float-quantized"}}
ENCODER = {"model_type": "xlm-roberta", "num_hidden_layers": 24, "vocab_size": 250002, "max_position_embeddings": 514}
# Config -> the model that it is, as the vendor's own tests and tables say; None where it must not be taken for one.
KNOWN: dict[str, tuple[dict[str, Any], str | None]] = {
    "granite 3.3": (decoder("granite", 49159), "ibm-granite/granite-3.3-8b-instruct"),
    "granite 3.3 in FP8": (decoder("granite", 49159, **FP8), "ibm-granite/granite-3.3-8b-instruct-FP8"),
    "granite 3.3 in GPTQ": (decoder("granite", 49159, quantization_config={"quant_method": "gptq"}), None),
    "granite 3.3 pack-quantised": (decoder("granite", 49159, quantization_config={"format": "pack-quantized"}), None),
    "a micro granite": (decoder("granite", 49159, layers=4), None),
    "granite 4 dense": (decoder("granite", 100352), "ibm-granite/granite-4-8b-dense"),
    "granite 4 hybrid": (decoder("granitemoehybrid", 100352, num_experts_per_tok=0), "ibm-granite/granite-4-8b-dense-hybrid"),
    "granite 4 with experts": (decoder("granitemoehybrid", 100352, num_experts_per_tok=8), None),
    "llama 3.1 8B": (decoder("llama", 128256, layers=32), "meta-llama/Llama-3.1-8B"),
    "e5": ({**ENCODER, "architectures": ["XLMRobertaModel"]}, "intfloat/multilingual-e5-large"),
    "bge": ({**ENCODER, "architectures": ["XLMRobertaForSequenceClassification"]}, "BAAI/bge-reranker-large"),
    "bge v2": (
        {**ENCODER, "max_position_embeddings": 8194, "architectures": ["XLMRobertaForSequenceClassification"]},
        "BAAI/bge-reranker-v2-m3",
    ),
    "a GPT": ({"model_type": "gpt2"}, None),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_config_is_its_model_and_no_other(shipped: ModelConfigRegistry, name: str) -> None:
    config, expected = KNOWN[name]
    assert shipped.find_matching_model(config) == expected
    assert shipped.find_matching_model(SimpleNamespace(hf_config=SimpleNamespace(**config))) == expected


def test_every_well_known_model_is_itself_or_nothing(shipped: ModelConfigRegistry) -> None:
    """Of the shipped specs, each takes the published configs of its own weights and those of no other model."""
    owners = {w.repo: name for name in shipped.list_models() for w in shipped.get_model_config(name).family.weights}
    taken = 0
    for model in known_models():
        (owner,) = {owners[repo] for repo in model.repos if repo in owners} or {None}
        assert shipped.find_matching_model(model.config) == owner, model.repos
        taken += owner is not None
    assert taken >= 15


LLAMA = {"model_type": "llama", "num_hidden_layers": 80, "hidden_size": 8192, "vocab_size": 128256}
LLAMA |= {"num_key_value_heads": 8, "num_attention_heads": 64, "max_position_embeddings": 131072}
QWEN = {**LLAMA, "model_type": "qwen2", "vocab_size": 152064}
TEXT = {"num_hidden_layers": 40, "max_position_embeddings": 131072, "hidden_size": 5120, "vocab_size": 131072}
MISTRAL = {
    "text_config": {**TEXT, "num_key_value_heads": 8, "num_attention_heads": 32},
    "vision_config": {"num_hidden_layers": 24, "hidden_size": 1024, "num_attention_heads": 16},
}
LOOKALIKES: dict[str, tuple[dict[str, Any], str | None]] = {
    "Llama-3.3-70B": (LLAMA, "meta-llama/Llama-3.3-70B"),
    "Meta-Llama-3-70B": ({**LLAMA, "max_position_embeddings": 8192}, None),
    "Qwen2.5-72B": (QWEN, "Qwen/Qwen2.5-72B"),
    "Qwen2.5-72B-Instruct": ({**QWEN, "max_position_embeddings": 32768, "max_window_layers": 70}, "Qwen/Qwen2.5-72B"),
    "Qwen2-72B-Instruct": ({**QWEN, "max_position_embeddings": 32768, "max_window_layers": 80}, None),
    "Qwen2.5-Math-72B": ({**QWEN, "max_position_embeddings": 4096, "rope_theta": 10000.0}, None),
    "Mistral-Small-3.2 of Hugging Face": (
        {"model_type": "mistral3", **MISTRAL},
        "mistralai/Mistral-Small-3.2-24B-Instruct-2506",
    ),
    "Mistral-Small-3.2 as vLLM makes it": (
        {"model_type": "pixtral", **MISTRAL},
        "mistralai/Mistral-Small-3.2-24B-Instruct-2506",
    ),
    "a llava of these dimensions": ({"model_type": "llava", **MISTRAL}, None),
}


@pytest.mark.parametrize("name", LOOKALIKES)
def test_models_of_the_same_dimensions_are_told_apart(shipped: ModelConfigRegistry, name: str) -> None:
    config, expected = LOOKALIKES[name]
    assert shipped.find_matching_model(config) == expected


def test_a_model_that_is_served_in_another_way_is_the_one_that_it_extends(tmp_path: Path) -> None:
    """One config must not be two models; a family that changes the architecture is another one."""
    folder = spec_folder(tmp_path)
    heir = "schema_version: 2\nfamily: heir\nextends: small\nweights: [{ name: Heir, repo: a/Heir }]\n"
    family_file(folder, heir, "heir.yaml")
    config = {"model_type": "tiny", "hidden_size": 8}
    assert ModelConfigRegistry(load_catalogue([folder])).find_matching_model(config) == "someone/Small-1B"
    family_file(folder, heir + "architecture: { layers: 2 }\n", "heir.yaml")
    changed = ModelConfigRegistry(load_catalogue([folder]))
    assert changed.find_matching_model({**config, "layers": 2}) == "a/Heir"
    assert changed.find_matching_model(config) == "someone/Small-1B"


def test_the_shipped_tiny_model_is_matched_by_its_own_config(shipped: ModelConfigRegistry) -> None:
    path = SHIPPED.parent / "fixtures" / "hallmark_tiny" / "config.json"
    assert shipped.find_matching_model(json.loads(path.read_text())) == "hallmark-tiny"


def test_no_match_is_told_with_the_nearest(shipped: ModelConfigRegistry, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert shipped.find_matching_model(decoder("granite", 49159, layers=4)) is None
    assert "ibm-granite/granite-3.3-8b-instruct (num_hidden_layers is 4, not 40)" in caplog.text


@pytest.mark.parametrize(
    "name", ["meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B-Instruct", "Llama-3.1-8B-Instruct", "llama-3.1-8b"]
)
def test_a_model_has_all_its_names(shipped: ModelConfigRegistry, name: str) -> None:
    config = shipped.get_model_config(name)
    assert config.name == "meta-llama/Llama-3.1-8B"
    assert config.device_configs[4].num_gpu_blocks_override == 8192
    assert {c.tp_size for c in config.supported_configs.continuous} == {1, 4}


def test_an_unknown_model_brings_the_nearest(shipped: ModelConfigRegistry) -> None:
    with pytest.raises(UsageError, match=r"unknown model 'Lama-3.1-8B'.*did you mean llama-3.1-8b"):
        shipped.get_model_config("Lama-3.1-8B")


def test_all_models_are_listed(shipped: ModelConfigRegistry) -> None:
    listed = shipped.list_models()
    assert listed == sorted(listed)
    assert {"hallmark-tiny", "ibm-granite/granite-3.3-8b-instruct", "Qwen/Qwen3-32B"} <= set(listed)


def test_a_device_that_is_not_named_must_be_the_only_one(shipped: ModelConfigRegistry) -> None:
    with pytest.raises(UsageError, match=r"which device you want.*n150 \(tt-transformers\)"):
        shipped.get_model_config("llama-3.2-1b").entry()
    assert shipped.get_model_config("llama-3.2-1b").entry("t3k").max_context == 131072
    with pytest.raises(UsageError, match="not served on cpu"):
        shipped.get_model_config("llama-3.2-1b").entry("cpu")


def test_a_configurator_is_of_the_cell_that_is_meant(shipped: ModelConfigRegistry) -> None:
    assert shipped.get_configurator("hallmark-tiny").cell.id == "id_vllm-cpu_hallmark-tiny_cpu"
    # Of several devices the only one that needs configuring; and the weights that were named, not the first ones.
    assert shipped.get_configurator("Llama-3.1-8B-Instruct").cell.id == "id_vllm-spyre_Llama-3.1-8B-Instruct_spyre_x4"
    assert shipped.get_configurator("Llama-3.1-8B", device="t3k").cell.device == "t3k"


def test_the_default_registry_is_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert get_model_registry() is get_model_registry()
    assert "hallmark-tiny" in get_model_registry().list_models()
    monkeypatch.setenv("HALLMARK_SPEC_DIR", str(spec_folder(tmp_path)))
    assert get_model_registry().list_models() == ["someone/Small-1B"]
    assert get_model_registry([tmp_path]) is get_model_registry()
