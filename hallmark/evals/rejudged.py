"""An eval's evidence derived again from what its run kept: the items, and the reference that they were compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hallmark.core.errors import HarnessError
from hallmark.core.gates import judged
from hallmark.core.records import Evidence
from hallmark.evals.blocks import gate_after
from hallmark.evals.harness import EvalScores
from hallmark.evals.items import SEVERAL, read_items
from hallmark.evals.paired import Compared
from hallmark.evals.reference import Reference
from hallmark.evals.task import ALIKE, on_few_samples
from hallmark.specs.cell import Cell
from hallmark.specs.model import EvalTarget

_SAME = 1e-9


def samples_file(folder: Path, target: EvalTarget) -> Path:
    """Where a run keeps the items of an eval; `folder` is the run's `evals/`."""
    return folder / f"{target.name}.samples.jsonl"


def means_of(target: EvalTarget, samples: Path) -> tuple[dict[str, float], int]:
    """Each metric of the target as the mean of its items, and their number. HarnessError where they do not tell it."""
    found, n = {}, 0
    for metric in target.metrics:
        items = read_items(samples, metric)
        n = len(items)
        found[metric] = math.fsum(item.weight * item.score for item in items) / n
    return found, n


def follow_from_items(scores: EvalScores, target: EvalTarget, samples: Path) -> bool:
    """Whether the scores are the means of their items, as those of most metrics are; a corpus-wide one is not."""
    try:
        means, n = means_of(target, samples)
    except HarnessError:
        return False
    return n == scores.n and all(
        math.isclose(means[metric], scores.metrics.get(metric, math.nan), rel_tol=_SAME, abs_tol=_SAME) for metric in means
    )


def rejudged(
    cell: Cell, target: EvalTarget, folder: Path, recorded: Sequence[Evidence], *, reference: Reference | None, smoke: bool
) -> list[Evidence]:
    """What the gates say of the items in `folder`, the run's `evals/`. From what was `recorded` is taken what items do not tell.

    HarnessError, with the reason, where they do not tell the score.
    """
    detail = next((item.detail for item in recorded if item.name == SEVERAL.join(target.metrics)), {})
    if not detail.get("from_items"):
        raise HarnessError("its score is not the mean of its items")
    samples = samples_file(folder, target)
    means, n = means_of(target, samples)
    scores = _scores(means, n, detail)
    one = reference.evals.get(target.name) if reference else None
    if reference and one:
        compared = Compared.read(one, samples, few_shot=scores.few_shot, title=reference.title)
        if one.may_end_early:
            compared = replace(compared, gate=gate_after(compared, target, model=cell.model))
        scores = replace(scores, compared=compared)
    found = list(judged("evals", cell, target, scores))
    return [on_few_samples(evidence) for evidence in found] if smoke else found


def _scores(means: Mapping[str, float], n: int, detail: Mapping[str, Any]) -> EvalScores:
    try:
        return EvalScores(
            metrics=means,
            n=n,
            total=int(detail["items_of_task"]),
            seconds=float(detail["seconds"]),
            lm_eval=str(detail["lm_eval"]),
            refused=int(detail["refused"]),
            few_shot=int(detail["few_shot"]),
            subtasks=detail.get("subtasks", {}),
            alike=detail.get("weights") == ALIKE,
            from_items=True,
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise HarnessError(f"its record does not tell how it was asked: {type(exc).__name__}: {exc}") from exc
