"""Specs made for a test: the stand-in server as engine, a small eval of its own, limits that a busy machine keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "fixtures" / "hallmark_tiny"
EVALS = ROOT / "selftests" / "stand_in_evals"
"""A folder of modules, with what stands in for lm-eval."""
DEVICE = "cpu"
IMPL = "stand-in-server"
TASK = "stand_in_addition"
POINT = "isl16-osl8-c2"
MODEL = "stand-in"
FEW = ("completions", "logprobs")
"""Features of a spec that is not about them: fewer checks end sooner. Without log-probabilities a seed is left undecided."""
EVERY = ("completions", "chat", "logprobs", "structured_output", "lora")
"""What a spec demands that says nothing of features."""
ARCHITECTURE = {"model_type": "llama", "num_hidden_layers": 4, "hidden_size": 128, "vocab_size": 261}
"""As the config.json of WEIGHTS has it."""


def write_task(folder: Path, *, items: int, name: str = TASK, **changes: Any) -> None:
    """An lm-eval task of the first `items` additions of the fixtures."""
    folder.mkdir(exist_ok=True)
    with (WEIGHTS / "data" / "addition.jsonl").open(encoding="utf-8") as stream:
        (folder / "items.jsonl").write_text("".join(islice(stream, items)), encoding="utf-8")
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "items.jsonl"}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "{{answer}}",
        "target_delimiter": "",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 16, "do_sample": False},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        "num_fewshot": 0,
    }
    (folder / "task.yaml").write_text(yaml.safe_dump(task | changes), encoding="utf-8")


def eval_target(**changes: Any) -> dict[str, Any]:
    target = {"name": "addition", "task": TASK, "task_dir": "../tasks", "metrics": ["exact_match,none"], "source": "the stand-in"}
    return {**target, "reference": 1.0, "tolerance": 0.2, "batch_size": 10, **changes}


def perf_point(**changes: Any) -> dict[str, Any]:
    targets = {"ttft_mean_ms": 5000, "tokens_per_s": 0.5}
    return {"isl": 16, "osl": 8, "concurrency": 2, "requests": 8, "targets": targets, "source": "the stand-in", **changes}


def family(
    *,
    environment: Mapping[str, str],
    models: Sequence[str] = (MODEL,),
    name: str = "stand-in",
    faults: str = "",
    evals: Sequence[Mapping[str, Any]] = (),
    perf: Sequence[Mapping[str, Any]] = (),
    status: str = "complete",
    features: Sequence[str] = FEW,
    impl: Mapping[str, Any] | None = None,
    weights: Mapping[str, Any] | None = None,
    architecture: Mapping[str, Any] | None = None,
    engine_args: Mapping[str, Any] | None = None,
    device: str = DEVICE,
    **entry: Any,
) -> dict[str, Any]:
    """The data of one spec file.

    `faults` go to the stand-in; `architecture` takes the place of the weights' own, `impl` and `weights` change those, and
    whatever else is given the device's entry.
    """
    arguments = {"ttft_ms": 2, "max_num_seqs": 8, **(engine_args or {}), **({"fault": faults} if faults else {})}
    return {
        "schema_version": 1,
        "family": name,
        "architecture": dict(ARCHITECTURE if architecture is None else architecture),
        "weights": [{"name": model, "path": str(WEIGHTS), "outside_folder": True, **(weights or {})} for model in models],
        "evals": {model: [dict(target) for target in evals] for model in models} if evals else {},
        "impls": [
            {
                "name": IMPL,
                "status": status,
                "engine": {"name": "vllm", "version": "==0.32.0", "module": "selftests.faulty.server"},
                "python_deps": {"pytest": ">=8"},
                "env_vars": dict(environment),
                "features": list(features),
                **(impl or {}),
                "devices": {
                    device: {
                        "default": True,
                        "engine_args": arguments,
                        "max_context": 512,
                        "startup_timeout_s": 60,
                        "perf": [dict(point) for point in perf],
                        **entry,
                    }
                },
            }
        ],
    }


def write_spec(folder: Path, data: Mapping[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{data['family']}.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(data)), sort_keys=False), encoding="utf-8")
    return path
