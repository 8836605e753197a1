"""The gate of an eval that has a reference: did this server lose anything on the same items?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hallmark.core.errors import HarnessError
from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.evals.items import Item, read_items
from hallmark.evals.reference import EvalReference, margin_of
from hallmark.specs.model import EvalTarget
from hallmark.stats.paired import ALPHA, Pairs, judge_pairs, paired, tango_interval
from hallmark.stats.power import POWER, detected_loss, provable_margin
from hallmark.stats.resampling import differences, judge_differences
from hallmark.stats.sequential import SequentialPairs

DIFFERENCE = "difference to the reference"
"""The name of the evidence that decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """An eval's items beside those of its reference."""

    reference: EvalReference
    title: str
    """What the reference is of, such as `vllm 0.32.0, float32, 2026-11-27`."""
    items: tuple[Item, ...]
    gate: SequentialPairs | None = None
    """Of an eval that was asked block by block."""

    @property
    def stopped_by(self) -> SequentialPairs | None:
        """The gate that decided before all items were asked."""
        return self.gate if self.gate and self.gate.decided and len(self.items) < self.reference.n else None

    @classmethod
    def read(cls, reference: EvalReference, samples: Path, *, few_shot: int, title: str) -> Compared:
        """HarnessError where what was asked is not what the reference was asked."""
        if few_shot != reference.few_shot:
            _refuse(f"{few_shot} examples before each question, and {reference.few_shot} then", "few-shot differs")
        items = read_items(samples, reference.metric)
        _require_same_items(reference, items)
        return cls(reference=reference, title=title, items=items)

    @property
    def pairs(self) -> Pairs:
        right = {item.number: item.score == 1 for item in self.items}
        return paired({number: self.reference.right[number] == "1" for number in right}, right)

    @property
    def changes(self) -> list[float]:
        """Of each item its score here, less that of the reference, as it counts in the whole."""
        return [item.weight * (item.score - self.reference.score_of(item.number)) for item in self.items]

    @property
    def clusters(self) -> list[str]:
        """What each item belongs to, as the reference says."""
        return [self.reference.clusters[item.number] if self.reference.clusters else "" for item in self.items]

    @property
    def other_answers(self) -> int:
        """How many items were answered otherwise, right or wrong."""
        return sum(item.answer != self.reference.answers[item.number] for item in self.items)


def _require_same_items(reference: EvalReference, items: tuple[Item, ...]) -> None:
    beyond = sum(item.number >= reference.n for item in items)
    if beyond:
        _refuse(f"{beyond} items that the reference does not have", "the task has grown")
    if others := sum(item.question != reference.questions[item.number] for item in items):
        _refuse(f"{others} of {len(items)} items are others", "the task's data differ")
    if others := sum(item.prompt != reference.prompts[item.number] for item in items):
        _refuse(f"{others} of {len(items)} prompts are others", "few-shot examples, template or the task's text differ")
    if not reference.scores and any(item.score not in (0.0, 1.0) for item in items):
        _refuse("items that are not simply right or wrong", "partial credit cannot be paired with it")


def _refuse(what: str, why: str) -> None:
    raise HarnessError(f"not what the reference was asked: {what} ({why})", hint="record the reference again")


def judge_difference(target: EvalTarget, compared: Compared) -> Evidence:
    """The difference on the same items, held against the margin: with Tango's interval, or by resampling where items are not
    simply right or wrong, or belong together.
    """
    if not compared.reference.is_simple:
        return _judge_by_resampling(target, compared)
    pairs, margin = compared.pairs, margin_of(target, compared.reference)
    stopped = compared.stopped_by
    verdict, reason = _judge_stopped(stopped) if stopped else judge_pairs(pairs, margin=margin)
    # Chance gains as many as it loses; what is lost beyond that is no noise.
    n, chance = len(compared.items), 2 * min(pairs.lost, pairs.gained) / len(compared.items)
    return Evidence(
        name=DIFFERENCE,
        value=pairs.difference,
        n=n,
        # An interval claims its confidence for a number of items that was fixed before.
        interval=None if stopped else tango_interval(pairs),
        target=Target(relation=">=", limit=-margin, reference=0.0, source=f"the reference: {compared.title}"),
        verdict=verdict,
        reason=reason,
        detail={
            "gate": "sequential" if stopped else "paired",
            "items_of_task": compared.reference.n,
            "decided_after": stopped.seen if stopped else n,
            "alpha": ALPHA,
            "lost": pairs.lost,
            "gained": pairs.gained,
            "discordance": round(pairs.discordance, 5),
            "answered_otherwise": compared.other_answers,
            "reference_score": round(sum(compared.reference.right[item.number] == "1" for item in compared.items) / n, 5),
            "margin_proven": round(provable_margin(n, discordance=chance), 4),
            "loss_seen": round(detected_loss(n, discordance=chance), 4),
            "power": POWER,
        },
    )


def _judge_by_resampling(target: EvalTarget, compared: Compared) -> Evidence:
    margin = margin_of(target, compared.reference)
    found = differences(compared.changes, compared.clusters, seed=f"{target.task} {compared.title}")
    verdict, reason = judge_differences(found, margin=margin)
    return Evidence(
        name=DIFFERENCE,
        value=round(found.mean, 6),
        n=found.items,
        interval=found.interval,
        target=Target(relation=">=", limit=-margin, reference=0.0, source=f"the reference: {compared.title}"),
        verdict=verdict,
        reason=reason,
        detail={
            "gate": "resampled",
            "items_of_task": compared.reference.n,
            "clusters": found.clusters,
            "alpha": ALPHA,
            "answered_otherwise": compared.other_answers,
            "reference_score": round(compared.reference.share, 5),
            "margin_proven": round(-found.low, 4),
            "loss_seen": round(found.loss_seen, 4),
            "power": POWER,
        },
    )


def _judge_stopped(gate: SequentialPairs) -> tuple[Verdict, str]:
    assert gate.decided is not None
    shown = f"{gate.lost} lost and {gate.gained} gained of the first {gate.seen} of {gate.population:,} items in a drawn order"
    allowed = f"the {100 * gate.margin:.3g} points that may be lost"
    compared = "less" if gate.decided is Verdict.PASS else "more"
    return gate.decided, f"{shown} show, with 95 %, that {compared} than {allowed} were lost of all of them"
