"""A STAND-IN FOR SELFTESTS ONLY: what `hallmark/evals/lm_eval_worker.py` uses of lm-eval, imported in no time.

For whole commands whose matter is not the evals; those of which it is, and the clean twin of all, have the real one. It knows
one kind of task: a folder with a `task.yaml` whose answers are generated and must be equal to what is expected.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm_eval.models.openai_completions import LocalCompletionsAPI

__version__ = "0.4.13"


def simple_evaluate(
    *, model_args: Mapping[str, Any], tasks: list[str], task_manager: Any, limit: int | None, samples: Any = None, **_: Any
) -> dict[str, Any]:
    """The share of answers that are right, in lm-eval's form."""
    (task,) = tasks
    items = task_manager.items(task)
    numbers = samples[task] if samples else list(range(len(items)))[:limit]
    assert numbers == sorted(numbers)
    asked = [items[number] for number in numbers]
    size = int(model_args["batch_size"])
    answers: list[str] = []
    for start in range(0, len(asked), size):
        answers += _completed([item["prompt"] for item in asked[start : start + size]], model_args)
        print(f"\rRequesting API: {len(answers)}/{len(asked)} [", end="", file=sys.stderr, flush=True)
    right = [answer == item["answer"] for answer, item in zip(answers, asked, strict=True)]
    return {
        "results": {task: {"exact_match,none": sum(right) / len(right)}},
        "higher_is_better": {task: {"exact_match": True}},
        "n-samples": {task: {"original": len(items), "effective": len(asked)}},
        "n-shot": {task: 0},
        "samples": {task: [_sample(*row) for row in zip(numbers, asked, answers, right, strict=True)]},
    }


def _sample(number: int, item: Mapping[str, str], answer: str, right: bool) -> dict[str, Any]:
    hashes = {f"{name}_hash": hashlib.sha256(text.encode()).hexdigest() for name, text in _texts(item).items()}
    told = {"doc_id": number, "doc": dict(item), "resps": [[answer]], "filtered_resps": [answer], "filter": "none"}
    asked = [[item["prompt"], {"until": ["\n"], "max_gen_toks": 16, "do_sample": False}]]
    return {**told, **hashes, "arguments": asked, "target": item["answer"], "exact_match": float(right)}


def _texts(item: Mapping[str, str]) -> dict[str, str]:
    return {"doc": json.dumps(item), "prompt": item["prompt"], "target": item["answer"]}


def _completed(prompts: list[str], model_args: Mapping[str, Any]) -> list[str]:
    body = {"model": model_args["model"], "prompt": prompts, "max_tokens": 16, "temperature": 0, "stop": ["\n"], "seed": 1234}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"}
    request = urllib.request.Request(model_args["base_url"], json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=model_args["timeout"]) as answer:
        return LocalCompletionsAPI.parse_generations(outputs=json.load(answer))


def items_of(folder: Path, task: str) -> list[dict[str, str]]:
    """The items of the task in `folder`, which is the only one there."""
    assert f"task: {task}\n" in (folder / "task.yaml").read_text(encoding="utf-8")
    return [json.loads(line) for line in (folder / "items.jsonl").read_text(encoding="utf-8").splitlines()]
