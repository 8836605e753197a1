"""What samples show of a seed, and with what chance of being wrong. Pure.

A model that is sure of its words says the same whatever the seed: equal texts then show nothing. How much they show is
measured with their own log-probabilities: a text of probability p is drawn again, by a server that draws afresh, with
chance p. With these the two verdicts are bounded, whatever the model:

- a server that draws the tokens after the first afresh is taken for one that obeys the seed with a chance of CHANCE at most;
- a server that obeys the seed is taken for one that does not vary with it with a chance of CHANCE at most.

Where the texts cannot carry that, the verdict is INCONCLUSIVE.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict

CHANCE = 1e-6
NEEDED_NATS = -math.log(CHANCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One sampled text, token by token."""

    text: str
    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]
    """Natural logarithm of each token's probability; empty where the server tells none."""

    @property
    def nats(self) -> float:
        """How surprising the whole text is: -log of its probability."""
        return self.nats_after(0)

    def nats_after(self, first: int) -> float:
        """The same of what follows the `first` tokens. A token whose text does not identify it counts as certain."""
        pairs = zip(self.tokens[first:], self.logprobs[first:], strict=False)
        return sum(max(0.0, -value) for token, value in pairs if token and "\N{REPLACEMENT CHARACTER}" not in token)


def judge_repeats(once: Sequence[Drawn], again: Sequence[Drawn]) -> Evidence:
    """Whether each seed gave its text a second time, and whether chance could have done the same.

    A server that obeys the seed for the first token alone is to be found, too: what is counted is what follows it.
    """
    same = sum((a.text, a.tokens) == (b.text, b.tokens) for a, b in zip(once, again, strict=True))
    nats = sum(sample.nats_after(1) for sample in once)
    verdict, reason = Verdict.PASS, f"a server that draws afresh would repeat all {len(once)} with a chance of {_shown(nats)}"
    if same < len(once):
        verdict, reason = Verdict.FAIL, f"samples repeated by their seed is {same}, not {len(once)}"
    elif nats < NEEDED_NATS:
        verdict, reason = Verdict.INCONCLUSIVE, f"{reason}, too: the model is too sure of its words to tell"
    return Evidence(
        name="samples repeated by their seed",
        value=same,
        n=len(once),
        target=Target(relation="==", limit=len(once)),
        verdict=verdict,
        reason=reason,
        detail={"chance_if_the_seed_were_ignored": math.exp(-nats), "nats": round(nats, 2)},
    )


def judge_variety(samples: Sequence[Drawn]) -> Evidence:
    """Whether different seeds give different texts, as often as the texts' own probabilities demand.

    Of n samples that a right server draws independently, those that repeat an earlier one are as surprising together as t
    nats with a chance of n! exp(-t) at most: given the earlier ones, sample i repeats one of at most i - 1 texts, each with its
    own probability, so that exp(surprise) is i at most on average; Markov's inequality does the rest.
    """
    n, seen, nats = len(samples), set[tuple[str, ...]](), 0.0
    for sample in samples:
        drawn = (sample.text, *sample.tokens)
        nats += sample.nats if drawn in seen else 0.0
        seen.add(drawn)
    spare = nats - math.lgamma(n + 1)
    verdict, reason = Verdict.PASS, f"{len(seen)} different texts among {n} seeds"
    if spare >= NEEDED_NATS:
        chance = f"a server that obeys them does so with a chance of {_shown(spare)} at most"
        verdict, reason = Verdict.FAIL, f"{n} seeds gave {len(seen)} different text(s), and {chance}"
    elif len(seen) == 1 and n > 1:
        reason = (
            f"{n} seeds gave one and the same text, but one that the model would often say: it is too sure of its words to tell"
        )
        verdict = Verdict.INCONCLUSIVE
    return Evidence(name=f"different texts among {n} seeds", value=len(seen), n=n, verdict=verdict, reason=reason)


def _shown(nats: float) -> str:
    return f"{math.exp(-nats):.2g}" if nats < 690 else "less than 1e-300"
