"""The one importer of lm_eval: a program that imports it once and evaluates tasks on request.

One JSON request a line on standard input, one JSON answer a line on what was standard output when it started;
everything that lm-eval prints goes to standard error. It ends when its standard input closes, also in the
middle of a task, so it cannot outlive its parent. A request holds `task`, `task_dir`, `model_type`,
`model_args`, `gen_kwargs`, `limit`, `samples` and `samples_path`; an answer holds `metrics`, `lower_is_better`, `n`, `total`,
`subtasks`, `alike`, `refused`, `few_shot`, `answers`, `seconds`, `lm_eval` or, when lm-eval raised, `error` and `traceback`.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from hallmark.client.answer_watch import AnswerWatch
from hallmark.evals.few_shot import drawing_for_all_items
from hallmark.evals.watching import watching

SEED = 1234
_SAME = 1e-9
"""Two means are one."""


class Refusals(logging.Handler):
    """Counts the requests that a server answered with an error: lm-eval repeats them, and tells only its log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        self.count += said.startswith("API request failed") and said.endswith("Retrying...")


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    import lm_eval
    import lm_eval.api.task
    import lm_eval.models.openai_completions  # imported now: it is slow, and the first task should not wait for it
    import lm_eval.tasks

    drawing_for_all_items(lm_eval.api.task.Task)
    _tell(answers, {"ready": True, "lm_eval": lm_eval.__version__})
    while True:
        _tell(answers, _answer(json.loads(requests.get()), lm_eval))


def _read(requests: queue.Queue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)  # the parent is gone: whatever is being evaluated is of no use to anyone


def _tell(answers: TextIO, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def _answer(request: dict[str, Any], lm_eval: Any) -> dict[str, Any]:
    try:
        return _evaluate(request, lm_eval)
    except BaseException as exc:  # lm-eval may raise anything, SystemExit included
        return {"error": f"{type(exc).__name__}: {exc}", "traceback": traceback.format_exc()}


def _evaluate(request: dict[str, Any], lm_eval: Any) -> dict[str, Any]:
    task = request["task"]
    if request["task_dir"]:
        os.chdir(request["task_dir"])  # a task's YAML names its data relative to itself
    tasks = lm_eval.tasks.TaskManager(include_path=request["task_dir"] or None, include_defaults=not request["task_dir"])
    refusals, log = Refusals(), logging.getLogger("lm_eval")
    if not log.isEnabledFor(logging.WARNING):
        log.setLevel(logging.WARNING)  # whatever the environment says: what is not logged would not be counted
    log.addHandler(refusals)
    began, watch = time.monotonic(), AnswerWatch()
    watching(lm_eval.models.openai_completions.LocalCompletionsAPI, watch)
    watching(lm_eval.models.openai_completions.LocalChatCompletion, watch)
    results = lm_eval.simple_evaluate(
        model=request["model_type"],
        model_args=request["model_args"],
        tasks=[task],
        task_manager=tasks,
        gen_kwargs=request["gen_kwargs"] or None,
        limit=request["limit"],
        samples={task: request["samples"]} if request["samples"] else None,
        log_samples=True,
        bootstrap_iters=0,
        random_seed=SEED,
        numpy_random_seed=SEED,
        torch_random_seed=SEED,
        fewshot_random_seed=SEED,
        apply_chat_template=request["model_type"] == "local-chat-completions",
    )
    seconds = time.monotonic() - began
    log.removeHandler(refusals)
    parts = subtasks_of(results, task)
    counts = [results["n-samples"][part] for part in parts]
    alike = weighs_subtasks_alike(results, task, parts)
    _write_samples(Path(request["samples_path"]), numbered(results, parts, alike=alike))
    directions = [results["higher_is_better"].get(part, {}) for part in (task, *parts)]
    return {
        "metrics": {k: v for k, v in results["results"][task].items() if isinstance(v, int | float)},
        "lower_is_better": sorted({name for told in directions for name, higher in told.items() if higher is False}),
        "n": len(request["samples"]) if request["samples"] else sum(count["effective"] for count in counts),
        "total": sum(count["original"] for count in counts),
        "subtasks": {} if parts == [task] else {part: count["effective"] for part, count in zip(parts, counts, strict=True)},
        "alike": alike,
        "refused": refusals.count,
        "answers": watch.to_plain(),
        "few_shot": max(int(results.get("n-shot", {}).get(part) or 0) for part in parts),
        "seconds": round(seconds, 3),
        "lm_eval": lm_eval.__version__,
    }


def subtasks_of(results: dict[str, Any], task: str) -> list[str]:
    """The tasks that a group is made of, those of groups in it too; of a task itself."""
    parts = results.get("group_subtasks", {}).get(task, [])
    return [leaf for part in parts for leaf in subtasks_of(results, part)] or [task]


def weighs_subtasks_alike(results: dict[str, Any], group: str, parts: list[str]) -> bool:
    """Whether a group's score is the mean of its parts, whatever their sizes, not that of all items; lm-eval does not tell."""
    if parts == [group]:
        return False
    sizes = [results["n-samples"][part]["effective"] for part in parts]
    for name, score in results["results"][group].items():
        told = [results["results"][part].get(name) for part in parts]
        if "," not in name or "_stderr" in name or not all(isinstance(value, int | float) for value in (score, *told)):
            continue
        by_items = sum(value * size for value, size in zip(told, sizes, strict=True)) / sum(sizes)
        if abs(score - by_items) > _SAME:
            return True
    return False


def numbered(results: dict[str, Any], parts: list[str], *, alike: bool) -> Iterator[dict[str, Any]]:
    """The samples of all parts, whose items are counted on from one part to the next, each with its weight in the whole score."""
    first, items = 0, sum(results["n-samples"][part]["effective"] for part in parts)
    for part in parts:
        weight = items / (len(parts) * results["n-samples"][part]["effective"]) if alike else 1.0
        yield from ({**sample, "doc_id": sample["doc_id"] + first, "weight": weight} for sample in results["samples"][part])
        first += results["n-samples"][part]["original"]


def _write_samples(path: Path, samples: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for sample in samples:
            stream.write(json.dumps(sample, default=str) + "\n")


if __name__ == "__main__":
    main()
