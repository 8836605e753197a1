"""An eval that stops as soon as its reference can tell: items in blocks, in an order that was drawn before."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path

from hallmark.evals.harness import EvalRequest, EvalScores
from hallmark.evals.items import read_items
from hallmark.evals.paired import Compared
from hallmark.evals.reference import EvalReference, margin_of
from hallmark.specs.model import EvalTarget
from hallmark.stats.sequential import USUAL_DISCORDANCE, SequentialPairs

_SPARE = 1.15
"""The first block is so many times what a server without any difference takes: few healthy ones need a second."""
Evaluate = Callable[[EvalRequest], EvalScores]


def order_of(target: EvalTarget, *, model: str, n: int) -> list[int]:
    """The places of a task's items in the order in which they are asked: always the same for one spec and task."""
    said = json.dumps([model, target.model_dump(mode="json", exclude={"task_dir", "source"}), n], sort_keys=True)
    order = list(range(n))
    random.Random(hashlib.sha256(said.encode()).digest()).shuffle(order)  # noqa: S311
    return order


def gate_of(target: EvalTarget, reference: EvalReference) -> SequentialPairs:
    """The gate before its first item."""
    discordance = USUAL_DISCORDANCE if reference.discordance is None else reference.discordance
    return SequentialPairs(population=reference.n, margin=margin_of(target, reference), discordance=discordance)


def block_size(target: EvalTarget, reference: EvalReference) -> int:
    """Items of a block: what a server without a difference takes, and a little more, in whole requests."""
    gate = gate_of(target, reference)
    while gate.seen < reference.n and gate.see(0) is None:
        pass
    whole = target.batch_size * target.num_concurrent
    return min(reference.n, ceil(_SPARE * gate.seen / whole) * whole)


def evaluate_in_blocks(
    evaluate: Evaluate, request: EvalRequest, target: EvalTarget, reference: EvalReference, *, model: str, title: str
) -> EvalScores:
    """Ask block after block until the gate says PASS or FAIL, or all are asked; the samples of all blocks are in one file.

    What `evaluate` raises goes through. The scores hold the items beside the reference's, and the gate that decided.
    """
    gate, whole = gate_of(target, reference), Path(request.samples_path)
    found: list[EvalScores] = []
    whole.write_text("", encoding="utf-8")
    for number, block in enumerate(_blocks(order_of(target, model=model, n=reference.n), block_size(target, reference)), 1):
        samples = whole.with_name(f"{whole.stem}.block{number}{whole.suffix}")
        # lm-eval numbers what it was asked in the order of the task, whatever the order of `samples`.
        scores = evaluate(replace(request, samples=sorted(block), samples_path=str(samples)))
        compared = Compared.read(reference, samples, few_shot=scores.few_shot, title=title)
        with whole.open("a", encoding="utf-8") as stream:
            stream.write(samples.read_text(encoding="utf-8"))
        samples.unlink()
        found.append(scores)
        _show(gate, block, compared)
        if gate.decided:
            break
    items = read_items(whole, reference.metric)
    return replace(_together(found), compared=Compared(reference=reference, title=title, items=items, gate=gate))


def gate_after(compared: Compared, target: EvalTarget, *, model: str) -> SequentialPairs:
    """The gate as it was when those items had been asked, block after block."""
    reference = compared.reference
    gate, asked = gate_of(target, reference), {item.number for item in compared.items}
    for block in _blocks(order_of(target, model=model, n=reference.n), block_size(target, reference)):
        if gate.decided or not asked.issuperset(block):
            break
        _show(gate, block, compared)
    return gate


def _blocks(order: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _show(gate: SequentialPairs, block: Sequence[int], compared: Compared) -> None:
    """The gate sees the items in the drawn order, up to the one that decides."""
    right = {item.number: item.score for item in compared.items}
    for number in block:
        if gate.see(int(right[number]) - int(compared.reference.right[number])):
            return


def _together(blocks: Sequence[EvalScores]) -> EvalScores:
    """The scores of all blocks as one: means by their items, the rest summed."""
    n = sum(scores.n for scores in blocks)
    shared = set.intersection(*(set(scores.metrics) for scores in blocks))
    return replace(
        blocks[0],
        metrics={name: sum(scores.metrics[name] * scores.n for scores in blocks) / n for name in shared},
        n=n,
        seconds=round(sum(scores.seconds for scores in blocks), 3),
        refused=sum(scores.refused for scores in blocks),
    )
