"""What the gate of an eval will be able to show, before anything runs. Pure: what is drawn is always drawn the same."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from hallmark.core.verdict import Verdict
from hallmark.evals.blocks import block_size, gate_of
from hallmark.evals.reference import EvalReference, margin_of
from hallmark.specs.model import EvalTarget
from hallmark.stats.intervals import CONFIDENCE, wilson_interval
from hallmark.stats.judge import judge_score
from hallmark.stats.paired import ALPHA
from hallmark.stats.power import POWER, chance_at_least, chance_of_pass, detected_loss, first, unaccepted_loss
from hallmark.stats.sequential import USUAL_DISCORDANCE

_STEP = 1e-4
_DRAWN = 51


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalPlan:
    """One eval's gate and its power. Shares, not points; a chance of 0.9 is meant wherever one is not stated."""

    name: str
    gate: str
    """`paired` or `resampled` with a reference, `score` against the stated one."""
    n: int
    """Items of the task."""
    expected: int
    """Of a healthy server so many are asked in the median, in whole blocks, where the eval may end early."""
    margin: float
    alpha: float
    """The chance to accept a server that lost just the margin."""
    discordance: float | None
    """What is expected of a healthy server beside its reference."""
    loss_seen: float
    """The least loss that is seen to be one."""
    loss_not_accepted: float
    """The least loss that keeps a server from being accepted."""
    accepted: Callable[[float], float]
    """True loss -> the chance that the eval passes."""

    @property
    def healthy_not_accepted(self) -> float:
        return 1 - self.accepted(0.0)


def plan_of(target: EvalTarget, reference: EvalReference | None) -> EvalPlan | None:
    """None where the spec does not say how many items the task has, and no reference does."""
    if reference:
        return _paired(target, reference) if reference.is_simple else _resampled(target, reference)
    return _score(target, target.n) if target.n else None


def _paired(target: EvalTarget, reference: EvalReference) -> EvalPlan:
    n, margin = reference.n, margin_of(target, reference)
    discordance = USUAL_DISCORDANCE if reference.discordance is None else reference.discordance
    return EvalPlan(
        name=target.name,
        gate="paired",
        n=n,
        expected=_expected(target, reference, discordance),
        margin=margin,
        alpha=ALPHA,
        discordance=discordance,
        loss_seen=detected_loss(n, discordance=discordance),
        loss_not_accepted=unaccepted_loss(n, discordance=discordance, margin=margin),
        accepted=lambda loss: chance_of_pass(n, margin=margin, discordance=discordance, loss=loss),
    )


def _resampled(target: EvalTarget, reference: EvalReference) -> EvalPlan:
    """As if each cluster were one item that is right or wrong: what its items have in common is not known before."""
    n, margin = len(set(reference.clusters)) or reference.n, margin_of(target, reference)
    return EvalPlan(
        name=target.name,
        gate="resampled",
        n=reference.n,
        expected=reference.n,
        margin=margin,
        alpha=ALPHA,
        discordance=USUAL_DISCORDANCE,
        loss_seen=detected_loss(n, discordance=USUAL_DISCORDANCE),
        loss_not_accepted=unaccepted_loss(n, discordance=USUAL_DISCORDANCE, margin=margin),
        accepted=lambda loss: chance_of_pass(n, margin=margin, discordance=USUAL_DISCORDANCE, loss=loss),
    )


def _expected(target: EvalTarget, reference: EvalReference, discordance: float) -> int:
    """Drawn: what the sequential gate sees of servers that gain as many items as they lose."""
    rng, size = random.Random(0), block_size(target, reference)  # noqa: S311
    lost = gained = round(discordance * reference.n / 2)
    seen = []
    for _ in range(_DRAWN):
        gate, items = gate_of(target, reference), [-1] * lost + [1] * gained + [0] * (reference.n - lost - gained)
        rng.shuffle(items)
        for difference in items:
            if gate.see(difference):
                break
        seen.append(min(reference.n, ceil(gate.seen / size) * size))
    return statistics.median_low(seen)


def _score(target: EvalTarget, n: int) -> EvalPlan:
    """Of the share of right answers of `n` independent items, as `judge_score` judges it."""

    def verdict(right: int) -> Verdict:
        interval = wilson_interval(right / n, n)
        return judge_score(right / n, n, reference=target.reference, tolerance=target.tolerance, interval=interval)[0]

    least_right = first(0, n + 1, lambda right: verdict(right) is Verdict.PASS)
    not_below = first(0, n + 1, lambda right: wilson_interval(right / n, n).high >= target.reference)

    def accepted(loss: float) -> float:
        return chance_at_least(n, target.reference - loss, least_right)

    def least_loss(is_seen: Callable[[float], bool]) -> float:
        last = int(target.reference / _STEP)
        return first(0, last, lambda step: is_seen(step * _STEP)) * _STEP

    return EvalPlan(
        name=target.name,
        gate="score",
        n=n,
        expected=n,
        margin=target.tolerance,
        alpha=(1 - CONFIDENCE) / 2,
        discordance=None,
        loss_seen=least_loss(lambda loss: 1 - chance_at_least(n, target.reference - loss, not_below) >= POWER),
        loss_not_accepted=least_loss(lambda loss: accepted(loss) <= 1 - POWER),
        accepted=accepted,
    )
