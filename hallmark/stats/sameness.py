"""Are two answers to the same greedy request the same? The one judge of it, for whatever was different in the asking. Pure.

A right server may still answer differently alone and in a batch, or cold and from a cache: sums in another order round otherwise,
and where two tokens are nearly equally likely, that decides. So a token that differs is a fault only where the lone answer
preferred its own by more than rounding can move it. How far that is, is measured on the very server, as the change of
log-probabilities from one asking to another, and held within two bounds:

- FLOOR_NATS: logits in bfloat16 between 16 and 32 lie 0.125 apart; two of them, each moved by two steps.
- CEILING_NATS: more than this is no rounding. A server that is wrong may not excuse itself by being wrong often.

Where an answer says nothing of log-probabilities, repeats have to tell: near-ties are rare, and so are answers that differ among
repeats of one request; more than that is a fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict

FLOOR_NATS, CEILING_NATS = 0.5, 2.0
_SPREAD = 2.0
"""So many times the largest change that was seen: few were looked at."""
RARE = 0.25
"""Without log-probabilities: a larger share of answers than this cannot all hang on near-ties."""
_FEWEST = 3
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One greedy answer, token by token where the server tells."""

    text: str
    finish_reason: str = ""
    tokens: tuple[str, ...] = ()
    logprobs: tuple[float, ...] = ()
    """Of each token, in nats; empty where the server tells none."""
    tops: tuple[Mapping[str, float], ...] = ()
    """The likeliest tokens at each place, its own among them."""

    def lead(self, place: int, other: str) -> float | None:
        """By how many nats it preferred its own token to `other`, at least; None where that is not told."""
        if place >= len(self.tops) or len(self.tops[place]) < 2:
            return None
        return self.logprobs[place] - self.tops[place].get(other, min(self.tops[place].values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How much log-probabilities of one server change from one asking to another."""

    largest: float = 0.0
    """The largest change of a token's log-probability that was seen, in nats."""
    tokens: int = 0
    """How many tokens were compared; 0 where the server tells no log-probabilities."""
    repeats: int = 0
    """How many answers were asked for again."""
    unequal: int = 0
    """How many of those had another text."""
    exact: bool = False
    """The spec declares that nothing changes: any difference is a fault."""

    @property
    def limit(self) -> float:
        """By so much rounding may decide otherwise."""
        return 0.0 if self.exact else min(CEILING_NATS, max(FLOOR_NATS, _SPREAD * self.largest))

    @property
    def usual(self) -> float:
        """The share of answers that may differ where nothing tells of near-ties."""
        return max(RARE, _SPREAD * self.unequal / self.repeats if self.repeats else 0.0)

    def __str__(self) -> str:
        if self.exact:
            return "the spec declares batch invariance: nothing may differ"
        if not self.tokens:
            return f"no log-probabilities are told: judged by repeats, of which {self.unequal} of {self.repeats} differed"
        return f"noise {self.largest:.2g} nats over {self.tokens} tokens: a lead above {self.limit:.2g} is none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where two answers part, and what it means."""

    verdict: Verdict
    """PASS for a near-tie, FAIL for a fault, INCONCLUSIVE where that is not told."""
    reason: str


def noise_of(pairs: Sequence[tuple[Said, Said]], *, exact: bool = False) -> Noise:
    """From answers to the same request, as far as their tokens agree."""
    changes = [change for one, other in pairs for change in _changes(one, other)]
    unequal = sum(one.text != other.text for one, other in pairs)
    return Noise(largest=max(changes, default=0.0), tokens=len(changes), repeats=len(pairs), unequal=unequal, exact=exact)


def _changes(one: Said, other: Said) -> Iterator[float]:
    """How much the log-probability of each token changed that both chose on the same way."""
    for place in range(min(len(one.logprobs), len(other.logprobs))):
        if one.tokens[place] != other.tokens[place]:
            return
        yield abs(one.logprobs[place] - other.logprobs[place])


def difference(lone: Said, other: Said, noise: Noise) -> Difference | None:
    """In what `other` differs from the answer that was asked for alone; None where in nothing."""
    if (lone.text, lone.tokens, lone.finish_reason) == (other.text, other.tokens, other.finish_reason):
        return None
    place = _parting(lone.tokens, other.tokens)
    if place is None:
        if (lone.text, lone.finish_reason) == (other.text, other.finish_reason):
            return None  # one of them tells no tokens
        told = f"{lone.text!r} ({lone.finish_reason}) became {other.text!r} ({other.finish_reason})"
        same_tokens = bool(lone.tokens) and lone.tokens == other.tokens
        verdict = Verdict.FAIL if same_tokens or noise.exact else Verdict.INCONCLUSIVE
        return Difference(verdict=verdict, reason=told + (", of the same tokens" if same_tokens else ""))
    own, instead = _token(lone, place), _token(other, place)
    told = f"token {place + 1} is {instead!r}, alone it is {own!r}"
    lead = lone.lead(place, instead)
    # Who ended first tells of no token there: then the other one's doubt has to tell.
    lead = other.lead(place, own) if lead is None else lead
    if noise.exact:
        return Difference(verdict=Verdict.FAIL, reason=told)
    if lead is None:
        return Difference(verdict=Verdict.INCONCLUSIVE, reason=f"{told}; by how much it was preferred is not told")
    if lead > noise.limit:
        return Difference(verdict=Verdict.FAIL, reason=f"{told}, which led by {lead:.2g} nats ({noise})")
    return Difference(verdict=Verdict.PASS, reason=f"{told}: a near-tie of {lead:.2g} nats")


def _parting(one: Sequence[str], other: Sequence[str]) -> int | None:
    """The first place at which the tokens differ; None where they do not, or where one answer tells none."""
    if not one or not other:
        return None
    shared = min(len(one), len(other))
    place = next((place for place in range(shared) if one[place] != other[place]), shared)
    return None if place == len(one) == len(other) else place


def _token(said: Said, place: int) -> str:
    return said.tokens[place] if place < len(said.tokens) else ""


def judge_same(name: str, pairs: Mapping[str, tuple[Said, Said]], noise: Noise) -> Evidence:
    """Whether each answer is the one that was given alone. `pairs`: what was asked -> (alone, the other way)."""
    found = {label: difference(*pair, noise) for label, pair in pairs.items()}
    differ = {label: one for label, one in found.items() if one}
    faults = [f"{label}: {one.reason}" for label, one in differ.items() if one.verdict is Verdict.FAIL]
    unknown = [f"{label}: {one.reason}" for label, one in differ.items() if one.verdict is Verdict.INCONCLUSIVE]
    verdict, reason = Verdict.PASS, ""
    if faults:
        verdict, reason = Verdict.FAIL, f"{len(faults)} of {len(pairs)} answers differ: {_told(faults)}"
    elif unknown and len(unknown) >= _FEWEST and len(unknown) > noise.usual * len(pairs):
        verdict, reason = (
            Verdict.FAIL,
            f"{len(unknown)} of {len(pairs)} answers differ, too many for near-ties ({noise}): {_told(unknown)}",
        )
    elif unknown:
        verdict = Verdict.INCONCLUSIVE
        reason = f"{len(unknown)} of {len(pairs)} answers differ, and nothing tells whether by a near-tie: {_told(unknown)}"
    ties = [one.reason for one in differ.values() if one.verdict is Verdict.PASS]
    return Evidence(
        name=name,
        value=len(faults) + len(unknown),
        n=len(pairs),
        target=Target(relation="==", limit=0),
        verdict=verdict,
        reason=reason,
        detail={"noise": str(noise), "near_ties": ties[:_SHOWN]},
    )


def _told(reasons: Sequence[str]) -> str:
    more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    return "; ".join(reasons[:_SHOWN]) + more
