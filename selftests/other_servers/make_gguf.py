"""Writes hallmark-tiny as GGUF, for llama.cpp's servers: `python selftests/other_servers/make_gguf.py OUT.gguf`.

Needs `gguf` and `numpy`, nothing of torch. Weights as float32, so that the answers are those of the model and not of a rounding.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

WEIGHTS = Path(__file__).resolve().parents[2] / "fixtures" / "hallmark_tiny"
_LAYER_PARTS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Names of a layer's parts: as transformers has them, and as GGUF has them."""
_NO_MERGE = "<|pad|> <|pad|>"
"""A GGUF must have merges, this tokenizer has none: two that never stand beside each other within a text."""


def tensors_of(folder: Path) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Name and float32 values of each tensor of the folder's safetensors file, which holds bfloat16."""
    content = (folder / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    for name, about in json.loads(content[8:start]).items():
        if name == "__metadata__":
            continue
        if about["dtype"] != "BF16":
            raise ValueError(f"{name} is {about['dtype']}, not BF16")
        begin, end = (start + offset for offset in about["data_offsets"])
        halves = np.frombuffer(content[begin:end], dtype="<u2")
        # A bfloat16 is the upper half of a float32.
        yield name, (halves.astype("<u4") << 16).view("<f4").reshape(about["shape"])


def name_in_gguf(name: str) -> str:
    whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
    part = name.removesuffix(".weight")
    if part in whole:
        return f"{whole[part]}.weight"
    _, _, layer, inner = part.split(".", 3)
    return f"blk.{layer}.{_LAYER_PARTS[inner]}.weight"


def pairs_beside_each_other(weight: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of a query or key projection, reordered: transformers rotates the two halves of a head, GGUF's llama neighbours."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def add_tokenizer(writer: gguf.GGUFWriter, folder: Path) -> None:
    told = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    special = {token["id"] for token in told["added_tokens"] if token["special"]}
    tokens = sorted(told["model"]["vocab"], key=told["model"]["vocab"].__getitem__)
    kinds = [gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL for i in range(len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([_NO_MERGE])
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    # The model has no token of beginning; left unsaid, llama.cpp takes the one with GPT-2's number.
    writer.add_bos_token_id(config["eos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text(encoding="utf-8"))


def write(folder: Path, out: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name("hallmark-tiny")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    add_tokenizer(writer, folder)
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for name, values in tensors_of(folder):
        known = name_in_gguf(name)
        turned = next((pairs_beside_each_other(values, count) for part, count in heads.items() if f".{part}." in known), values)
        writer.add_tensor(known, np.ascontiguousarray(turned))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the file to write")
    write(WEIGHTS, parser.parse_args().out)
