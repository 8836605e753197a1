"""Static batching: warm-up shapes as Spyre's variables, whole or chosen, also where continuous batching is supported too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hallmark.core.errors import UsageError
from hallmark.specs.cell import Cell
from selftests.serving.granite import cell, configured, said


def static(*shapes: dict[str, int], configs: int = 1) -> dict[str, Any]:
    return {
        "static": [
            {"tp_size": 1, "warmup_shapes": [dict(s, batch_size=s["batch_size"] + n) for s in shapes]} for n in range(configs)
        ]
    }


SHAPE = {"prompt_len": 2048, "new_tokens": 1024, "batch_size": 16}
EMBEDDING = {"prompt_len": 128, "batch_size": 8}


def of_static(folder: Path, runtime: dict[str, Any], **more: Any) -> Cell:
    return cell(folder, engine_args={}, runtime_configs=runtime, device_configs={}, **more)


def test_warm_up_shapes_are_three_lists_of_one_length(tmp_path: Path) -> None:
    plan = configured(of_static(tmp_path, static(SHAPE, dict(SHAPE, prompt_len=4096, new_tokens=512, batch_size=8))))
    assert said(plan, "VLLM_SPYRE_WARMUP_PROMPT_LENS") == ("2048,4096", "spec")
    assert plan.env["VLLM_SPYRE_WARMUP_NEW_TOKENS"] == "1024,512"
    assert plan.env["VLLM_SPYRE_WARMUP_BATCH_SIZES"] == "16,8"
    assert plan.warnings == ()


def test_an_embedding_states_no_new_tokens(tmp_path: Path) -> None:
    plan = configured(of_static(tmp_path, static(EMBEDDING)))
    assert plan.env["VLLM_SPYRE_WARMUP_PROMPT_LENS"] == "128"
    assert "VLLM_SPYRE_WARMUP_NEW_TOKENS" not in plan.env


def test_a_stale_variable_is_kept_and_warned_of(tmp_path: Path) -> None:
    of = of_static(tmp_path, static(EMBEDDING))
    plan = configured(of, environ={"VLLM_SPYRE_WARMUP_PROMPT_LENS": "64"})
    assert said(plan, "VLLM_SPYRE_WARMUP_PROMPT_LENS") == ("64", "environment")
    assert "the spec says 128" in plan.warnings[0]


@pytest.mark.parametrize(("device", "configs", "why"), [("cpu", 1, "an engine on cpu"), ("spyre", 2, "2 static configurations")])
def test_shapes_that_cannot_be_stated_are_told_of(tmp_path: Path, device: str, configs: int, why: str) -> None:
    (warning,) = configured(of_static(tmp_path, static(SHAPE, configs=configs), device=device)).warnings
    assert why in warning


# The first example of vllm-spyre's documentation has both ways of batching at one size.
CONTINUOUS = [{"tp_size": 1, "max_model_len": 8192, "max_num_seqs": 16}]
SHAPES = [[2048, 1024, 16], [4096, 512, 8], [4096, 1024, 4]]
PROMPTS, TOKENS, BATCHES = (f"VLLM_SPYRE_WARMUP_{name}" for name in ("PROMPT_LENS", "NEW_TOKENS", "BATCH_SIZES"))


def of_both(folder: Path, *, continuous: list[dict[str, int]] = CONTINUOUS, **more: Any) -> Cell:
    shapes = [dict(zip(("prompt_len", "new_tokens", "batch_size"), shape, strict=True)) for shape in SHAPES]
    runtime = {"continuous": continuous, "static": [{"tp_size": 1, "warmup_shapes": shapes}]}
    return of_static(folder, runtime, **{"max_context": 8192, **more})


def test_without_a_word_it_batches_continuously(tmp_path: Path) -> None:
    plan = configured(of_both(tmp_path))
    assert (said(plan, "max_model_len")[0], said(plan, "max_num_seqs")[0]) == ("8192", "16")
    assert PROMPTS not in plan.env
    assert plan.warnings == ()


@pytest.mark.parametrize(
    ("stated", "completed"),
    [
        ({PROMPTS: "2048,4096,4096", TOKENS: "1024,512,1024", BATCHES: "16,8,4"}, {}),
        ({PROMPTS: "4096, 4096, 2048", TOKENS: "1024, 512, 1024", BATCHES: "4, 8, 16"}, {}),
        ({PROMPTS: "4096,2048", TOKENS: "512,1024", BATCHES: "8,16"}, {}),
        ({PROMPTS: "4096", TOKENS: "512", BATCHES: "8"}, {}),
        ({PROMPTS: "2048"}, {TOKENS: "1024", BATCHES: "16"}),
        ({BATCHES: "4,8"}, {PROMPTS: "4096,4096", TOKENS: "1024,512"}),
    ],
    ids=["all", "another order", "two", "one", "one by its prompt", "two by their batches"],
)
@pytest.mark.parametrize("where", ["environ", "env_vars", "spec"])
def test_supported_shapes_are_chosen_and_no_conflict(
    tmp_path: Path, stated: dict[str, str], completed: dict[str, str], where: str
) -> None:
    of = of_both(tmp_path, **({"env_vars": stated} if where == "spec" else {}))
    plan = configured(of, strict_config=True, **({} if where == "spec" else {where: stated}))
    assert {name: plan.env[name] for name in (PROMPTS, TOKENS, BATCHES)} == stated | completed
    assert plan.warnings == ()
    assert "max_num_seqs" not in {value.name for value in plan.values}, "that is a word of continuous batching"


@pytest.mark.parametrize(
    "stated",
    [
        {PROMPTS: "1024", TOKENS: "1024", BATCHES: "16"},
        {PROMPTS: "2048", TOKENS: "512", BATCHES: "8"},
        {PROMPTS: "2048,4096", TOKENS: "1024", BATCHES: "16,8"},
        {PROMPTS: "2048,2048", TOKENS: "1024,1024", BATCHES: "16,16"},
        {PROMPTS: "4096"},
        {PROMPTS: "many"},
        {PROMPTS: ""},
    ],
    ids=["of another length", "of two", "lists of two lengths", "one twice", "one of two", "no number", "nothing"],
)
def test_shapes_that_are_not_supported_are_told(tmp_path: Path, stated: dict[str, str]) -> None:
    of = of_both(tmp_path)
    assert any(
        "no static configuration for tensor_parallel_size 1 has these" in w for w in configured(of, environ=stated).warnings
    )
    with pytest.raises(UsageError, match="--strict-config: "):
        configured(of, environ=stated, strict_config=True)


def test_shapes_where_only_continuous_batching_is_supported_are_told(tmp_path: Path) -> None:
    plan = configured(of_static(tmp_path, {"continuous": CONTINUOUS}, max_context=8192), environ={PROMPTS: "2048"})
    assert plan.warnings == (f"{PROMPTS} is set, but no static configuration is supported at tensor_parallel_size 1",)
    assert said(plan, "max_num_seqs")[0] == "16"


def test_of_several_static_configurations_the_one_that_is_stated(tmp_path: Path) -> None:
    of = of_static(tmp_path, static(SHAPE, EMBEDDING, configs=2))
    plan = configured(of, environ={PROMPTS: "2048", BATCHES: "17"})
    assert plan.env[TOKENS] == "1024"
    assert plan.warnings == ()
    assert "has these warm-up shapes" in configured(of, environ={PROMPTS: "2048"}).warnings[0], "it may be either"
