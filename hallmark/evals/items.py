"""The items of an eval one by one, as lm-eval's samples tell them: what was asked, what was answered, whether it was right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hallmark.core.errors import HarnessError

_DIGEST = 8
"""Hexadecimal digits: digests are compared place by place, so that chance makes two equal once in four thousand million."""
_DECIMALS = 4
"""Of a log-probability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a task."""

    number: int
    """Its place in the task, from 0."""
    question: str
    """Digest of the task's own data."""
    prompt: str
    """Digest of what was sent: the question with its examples, in the template."""
    answer: str
    """Digest of the answer; of a choice its place."""
    score: float
    """0 or 1 where it is wrong or right; something between for a task of partial credit."""
    logprobs: tuple[float, ...] = ()
    """Of each choice, where the task compares likelihoods."""
    weight: float = 1.0
    """In the score of the whole; more in a small subtask of a group whose subtasks count the same."""
    cluster: str = ""
    """Digest of what it has in common with those that it belongs to; "" where it is by itself."""


SEVERAL = " + "
"""Between the metrics of an eval that is the mean of several."""


def read_items(samples: Path, metric: str, *, cluster: str = "") -> tuple[Item, ...]:
    """The items in `samples`, by their numbers; `metric` is lm-eval's key, such as `exact_match,none`, or several, of which each
    item has the mean. `cluster` is a field of the task's data.

    HarnessError where they do not tell what was asked, or that metric, or that field.
    """
    several = [_read(samples, one, cluster) for one in metric.split(SEVERAL)]
    if len({tuple(item.number for item in items) for items in several}) != 1:
        raise HarnessError(f"the samples have not the same items of {metric}", where=str(samples))
    means = [sum(item.score for item in same) / len(same) for same in zip(*several, strict=True)]
    return tuple(replace(item, score=mean) for item, mean in zip(several[0], means, strict=True))


def _read(samples: Path, metric: str, cluster: str) -> tuple[Item, ...]:
    name, _, kept_by = metric.partition(",")
    try:
        with samples.open(encoding="utf-8") as stream:
            rows = map(json.loads, stream)
            found = [_item(row, name, cluster) for row in rows if row.get("filter", "none") == (kept_by or "none")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise HarnessError(f"the samples do not tell their items: {type(exc).__name__}: {exc}", where=str(samples)) from exc
    if not found or len({item.number for item in found}) != len(found):
        raise HarnessError(f"the samples have no items of {metric}, or one twice", where=str(samples))
    return tuple(sorted(found, key=lambda item: item.number))


def _item(row: Mapping[str, Any], metric: str, cluster: str) -> Item:
    likelihoods = tuple(_likelihoods(row["filtered_resps"]))
    answer = str(likelihoods.index(max(likelihoods))) if likelihoods else digest(json.dumps(row["filtered_resps"]))
    return Item(
        number=int(row["doc_id"]),
        question=digest(row["doc_hash"] + row["target_hash"]),
        prompt=digest(row["prompt_hash"]),
        answer=answer,
        score=float(row[metric]),
        logprobs=likelihoods,
        weight=float(row.get("weight", 1.0)),
        cluster=digest(json.dumps(row["doc"][cluster], sort_keys=True)) if cluster else "",
    )


def _likelihoods(answers: Sequence[Any]) -> Iterator[float]:
    """Of each choice, where every answer is a pair of a log-likelihood and whether it is the greedy one."""
    if all(isinstance(answer, list) and len(answer) == 2 for answer in answers):
        for logprob, _ in answers:
            yield round(float(logprob), _DECIMALS)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
