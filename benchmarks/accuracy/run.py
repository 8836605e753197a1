"""How often the gates of accuracy are wrong, and how many items they take: by simulation.

    python benchmarks/accuracy/run.py [--runs 10000] > benchmarks/accuracy/TABLE.md

Standard library only; some five minutes on one core for 10,000 runs.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hallmark.core.verdict import Verdict
from hallmark.stats.intervals import wilson_interval
from hallmark.stats.judge import judge_score
from hallmark.stats.paired import Pairs, judge_pairs, proves, refutes
from hallmark.stats.power import detected_loss, provable_margin, unaccepted_loss
from hallmark.stats.sequential import SequentialPairs

ITEMS = 1319
MARGIN = 0.02
DISCORDANCE = 0.02
SHARE = 0.8
"""Of right answers of the reference."""
PEEK_EVERY = 100
SEED = 20261127

Found = tuple[Verdict, int]
"""The verdict, and after how many items."""
Truth = Callable[[random.Random], list[int]]
"""Draws a server: the difference to the reference of each item, in the order in which they are asked."""


def on_average(loss: float, discordance: float = DISCORDANCE) -> Truth:
    """A server that loses `loss` of all items that there could be; of those drawn, more or fewer."""

    def draw(rng: random.Random) -> list[int]:
        chances = (discordance / 2 + loss, 1 - discordance - loss, discordance / 2)
        return rng.choices((-1, 0, 1), weights=chances, k=ITEMS)

    return draw


def on_the_set(loss: float, discordance: float = DISCORDANCE) -> Truth:
    """A server that loses exactly `loss` of these items, rounded up."""

    def draw(rng: random.Random) -> list[int]:
        gained = round(discordance / 2 * ITEMS)
        lost = gained - int(-loss * ITEMS // 1)
        items = [-1] * lost + [1] * gained + [0] * (ITEMS - lost - gained)
        rng.shuffle(items)
        return items

    return draw


def dead(share: float) -> Truth:
    """A server without one right answer, where the reference has `share` of them."""
    return lambda rng: rng.choices((-1, 0), weights=(share, 1 - share), k=ITEMS)


def paired_gate(items: list[int]) -> Found:
    return judge_pairs(_counted(items), margin=MARGIN)[0], ITEMS


def sequential_gate(items: list[int]) -> Found:
    """All items, where nothing was decided before; then the paired gate decides."""
    gate = SequentialPairs(population=ITEMS, margin=MARGIN, discordance=DISCORDANCE)
    for place, difference in enumerate(items, 1):
        if verdict := gate.see(difference):
            return verdict, place
    return paired_gate(items)


def peeking_gate(items: list[int]) -> Found:
    """The paired gate looked at after every hundred items, and believed as soon as it says something."""
    for seen in range(PEEK_EVERY, ITEMS, PEEK_EVERY):
        pairs = _counted(items[:seen])
        if proves(pairs, MARGIN):
            return Verdict.PASS, seen
        if refutes(pairs, MARGIN):
            return Verdict.FAIL, seen
    return paired_gate(items)


def _counted(items: list[int]) -> Pairs:
    return Pairs(n=len(items), lost=items.count(-1), gained=items.count(1))


def unpaired_gate(rng: random.Random, *, loss: float, tolerance: float) -> Found:
    """Today's gate: a score against a published one."""
    share = rng.binomialvariate(ITEMS, SHARE - loss) / ITEMS if hasattr(rng, "binomialvariate") else _share(rng, SHARE - loss)
    interval = wilson_interval(share, ITEMS)
    return judge_score(share, ITEMS, reference=SHARE, tolerance=tolerance, interval=interval)[0], ITEMS


def _share(rng: random.Random, chance: float) -> float:
    return sum(rng.random() < chance for _ in range(ITEMS)) / ITEMS


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    gate: str
    truth: str
    found: list[Found]

    def __str__(self) -> str:
        counts = Counter(verdict for verdict, _ in self.found)
        shares = (100 * counts[verdict] / len(self.found) for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE))
        items = sorted(items for _, items in self.found)
        median, late = statistics.median_low(items), items[int(0.9 * (len(items) - 1))]
        return f"| {self.gate} | {self.truth} | " + " | ".join(f"{share:.2f} %" for share in shares) + f" | {median} ({late}) |"


def rows(runs: int) -> Iterator[Row]:
    rng = random.Random(SEED)  # noqa: S311
    for tolerance in (MARGIN, 0.035):
        for truth, loss in (("nothing lost", 0.0), ("exactly the margin lost", tolerance)):
            found = [unpaired_gate(rng, loss=loss, tolerance=tolerance) for _ in range(runs)]
            yield Row(gate=f"score against a published one, margin {100 * tolerance:g}", truth=truth, found=found)
    truths = {
        "nothing lost": on_average(0.0),
        "exactly the margin lost": on_average(MARGIN),
        "nothing lost on this very set": on_the_set(0.0),
        "exactly the margin lost on this very set": on_the_set(MARGIN),
    }
    worse = {f"{100 * loss:g} points lost": on_average(loss) for loss in (0.05, 0.10, 0.30)}
    worse |= {"dead, the reference has all right": dead(1.0), "dead, the reference has 80 % right": dead(SHARE)}
    others = {f"nothing lost, {100 * d:g} % discordance": on_average(0.0, d) for d in (0.01, 0.05, 0.10)}
    for gate, judge, asked in (
        ("paired", paired_gate, truths),
        ("sequential", sequential_gate, truths | others | worse),
        ("paired, looked at every 100 items", peeking_gate, truths),
    ):
        for truth, draw in asked.items():
            yield Row(gate=gate, truth=truth, found=[judge(draw(rng)) for _ in range(runs)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    runs = parser.parse_args().runs
    print(
        f"# Gates of accuracy: errors and items\n\nGenerated by `benchmarks/accuracy/run.py`, {runs:,} runs a row, seed {SEED}."
    )
    print(
        f"{ITEMS:,} items, margin {100 * MARGIN:g} points, discordance {100 * DISCORDANCE:g} % unless the row says otherwise.\n"
    )
    print("| gate | truth | PASS | FAIL | INCONCLUSIVE | items, median (9 in 10) |\n|---|---|---|---|---|---|")
    for row in rows(runs):
        print(row, flush=True)
    print("\n## What the paired gate resolves, exactly\n")
    print(
        "In points: the least margin proven with 90 % where nothing was lost; the least loss seen to be one with 90 %; the least"
    )
    print(f"loss that is not accepted with 90 % at a margin of {100 * MARGIN:g}.\n")
    print("| items | discordance | margin proven | loss seen | loss not accepted |\n|---|---|---|---|---|")
    for n in (200, 500, 1000, 1180, 1319, 2000):
        for share in (0.0, 0.01, 0.02, 0.05):
            cells = (
                provable_margin(n, discordance=share),
                detected_loss(n, discordance=share),
                unaccepted_loss(n, discordance=share, margin=MARGIN),
            )
            print(f"| {n:,} | {100 * share:g} % | " + " | ".join(f"{100 * cell:.2f}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
