"""The same eval of two runs: what its items, where both were asked the same, show of the difference. Reads a run's samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hallmark.core.records import Interval
from hallmark.evals.items import Item, read_items
from hallmark.stats.paired import ALPHA, paired, tango_interval
from hallmark.stats.resampling import differences

SAMPLES_ENDING = ".samples.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedScores:
    """How much of the score was gained, or below 0 lost, on the items of both runs."""

    difference: float
    interval: Interval
    n: int
    lost: int
    """Items whose score fell."""
    gained: int
    answered_otherwise: int
    """Items with another answer, right or wrong."""
    unpaired: int
    """Items that only one of the runs asked."""


@dataclass(frozen=True, slots=True)
class NotPaired:
    """Why the items of two runs cannot be compared one by one."""

    reason: str


def paired_scores(before: Path, after: Path, metric: str, *, cluster: str = "", alpha: float = ALPHA) -> PairedScores | NotPaired:
    """Two files of samples; `metric` and `cluster` as `read_items` takes them, `alpha` on each side of the interval.

    HarnessError where a file does not tell its items.
    """
    first, second = ({item.number: item for item in read_items(path, metric, cluster=cluster)} for path in (before, after))
    common = sorted(first.keys() & second.keys())
    if not common:
        return NotPaired("the runs asked no item in common")
    pairs = [(first[number], second[number]) for number in common]
    if others := sum(old.question != new.question for old, new in pairs):
        return NotPaired(f"{others} of {len(pairs)} items are others: the task's data differ")
    if others := sum(old.prompt != new.prompt for old, new in pairs):
        return NotPaired(f"{others} of {len(pairs)} prompts are others: few-shot examples, template or the task's text differ")
    difference, interval = _difference(pairs, alpha)
    return PairedScores(
        difference=difference,
        interval=interval,
        n=len(pairs),
        lost=sum(new.score < old.score for old, new in pairs),
        gained=sum(new.score > old.score for old, new in pairs),
        answered_otherwise=sum(new.answer != old.answer for old, new in pairs),
        unpaired=len(first.keys() ^ second.keys()),
    )


def _difference(pairs: Sequence[tuple[Item, Item]], alpha: float) -> tuple[float, Interval]:
    """By Tango's interval where each item is right or wrong and stands for itself, else by resampling."""
    every = [item for pair in pairs for item in pair]
    if all(item.score in (0.0, 1.0) and item.weight == 1 and not item.cluster for item in every):
        counted = paired({old.number: old.score == 1 for old, _ in pairs}, {new.number: new.score == 1 for _, new in pairs})
        return counted.difference, tango_interval(counted, alpha=alpha)
    found = differences(
        [new.weight * (new.score - old.score) for old, new in pairs], [old.cluster for old, _ in pairs], seed="runs", alpha=alpha
    )
    return found.mean, found.interval
