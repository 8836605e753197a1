"""hallmark-tiny with one thing wrong: weights, a config or a template that differ from those that its spec names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save_file

WEIGHTS = Path(__file__).resolve().parents[2] / "fixtures" / "hallmark_tiny"
ADAPTER = WEIGHTS / "lora_subtract"
_LAYER = "model.layers.2"
_HEAD_DIM = 32

Array = NDArray[np.float32]
Tensors = dict[str, Array]
Change = Callable[[Path], None]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One server that is not what the spec says, or, for the twins, that is."""

    name: str
    change: Change | None = None
    """Of a copy of the weights' folder."""
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    points: float = 0.0
    """So many of 100 right answers are made wrong on their way."""
    is_right: bool = False
    scores: Mapping[str, float] = field(default_factory=dict)
    """Where it is judged by a spec and a reference of its own: the evals whose published score is another one."""


def tensors_of(path: Path) -> Tensors:
    """Every tensor of a safetensors file, in float32."""
    found = {}
    for name, data in safetensors.deserialize(path.read_bytes()):
        raw = np.frombuffer(data["data"], dtype=np.uint16 if data["dtype"] == "BF16" else np.float32)
        wide = (raw.astype(np.uint32) << 16).view(np.float32) if data["dtype"] == "BF16" else raw
        found[name] = wide.reshape(data["shape"]).copy()
    return found


def _weights(change: Callable[[Tensors], None]) -> Change:
    def of_folder(folder: Path) -> None:
        path = folder / "model.safetensors"
        tensors = tensors_of(path)
        change(tensors)
        save_file(tensors, path, metadata={"format": "pt"})

    return of_folder


def _noise(share: float) -> Change:
    """Noise with `share` of the standard deviation of each matrix of one layer."""

    def change(tensors: Tensors) -> None:
        draw = np.random.default_rng(0)
        for name, tensor in tensors.items():
            if name.startswith(f"{_LAYER}.") and tensor.ndim == 2:
                tensor += draw.normal(0, share * tensor.std(), tensor.shape).astype(np.float32)

    return _weights(change)


def _rounded(bits: int, group: int) -> Change:
    """Each matrix rounded to `bits`, symmetric, with one scale for `group` weights of a row (0: for the whole row)."""

    def change(tensors: Tensors) -> None:
        most = 2 ** (bits - 1) - 1
        for name, tensor in tensors.items():
            if tensor.ndim == 2 and "proj" in name:
                rows = tensor.reshape(-1, group or tensor.shape[1])
                scale = np.abs(rows).max(axis=1, keepdims=True) / most
                tensors[name] = (np.round(rows / scale) * scale).reshape(tensor.shape).astype(np.float32)

    return _weights(change)


def _zero_head(tensors: Tensors) -> None:
    tensors[f"{_LAYER}.self_attn.o_proj.weight"][:, :_HEAD_DIM] = 0


def _swap_tokens(tensors: Tensors) -> None:
    """The embeddings of `3` and `8`."""
    tokenizer = json.loads((WEIGHTS / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    pair = [tokenizer["3"], tokenizer["8"]]
    tensors["model.embed_tokens.weight"][pair] = tensors["model.embed_tokens.weight"][pair[::-1]]


def _merge_adapter(tensors: Tensors) -> None:
    config = json.loads((ADAPTER / "adapter_config.json").read_text(encoding="utf-8"))
    scale = config["lora_alpha"] / config["r"]
    adapter = tensors_of(ADAPTER / "adapter_model.safetensors")
    for name, down in adapter.items():
        if ".lora_A." in name:
            up = adapter[name.replace(".lora_A.", ".lora_B.")]
            target = name.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight")
            tensors[target] += scale * up @ down


def _rope(factor: float) -> Change:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config["rope_parameters"]["rope_theta"] *= factor
        path.write_text(json.dumps(config), encoding="utf-8")

    return change


def _template_without_stop(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text(encoding="utf-8").replace("<|end|>", ""), encoding="utf-8")


_SIXTEEN_BITS = {"dtype": "bfloat16"}
VARIANTS = (
    Variant(name="the healthy twin", is_right=True),
    Variant(name="bfloat16 instead of float32", engine_args=_SIXTEEN_BITS),
    Variant(
        name="bfloat16, by a spec and a reference of its own", engine_args=_SIXTEEN_BITS, scores={"sums": 0.6661}, is_right=True
    ),
    Variant(name="noise of 1 % in one layer", change=_noise(0.01)),
    Variant(name="noise of 10 % in one layer", change=_noise(0.1)),
    Variant(name="noise of 40 % in one layer", change=_noise(0.4)),
    Variant(name="weights rounded to 8 bits", change=_rounded(8, 0)),
    Variant(name="weights rounded to 4 bits", change=_rounded(4, 32)),
    Variant(name="RoPE base 1 % off", change=_rope(1.01)),
    Variant(name="RoPE base 5 % off", change=_rope(1.05)),
    Variant(name="one head of one layer zeroed", change=_weights(_zero_head)),
    Variant(name="the embeddings of 3 and 8 swapped", change=_weights(_swap_tokens)),
    Variant(name="the adapter merged", change=_weights(_merge_adapter)),
    Variant(name="a chat template without its stop", change=_template_without_stop),
    Variant(name="1 point of right answers made wrong", points=1),
    Variant(name="2 points of right answers made wrong", points=2),
    Variant(name="5 points of right answers made wrong", points=5),
    Variant(name="10 points of right answers made wrong", points=10),
)


def write_weights(variant: Variant, folder: Path) -> Path:
    """A copy of the weights in `folder`, changed as the variant says."""
    shutil.copytree(WEIGHTS, folder, dirs_exist_ok=True)
    if variant.change:
        variant.change(folder)
    return folder
