"""Is this the numerics that the reference had? And if not, what kind of difference is it? Pure.

A fingerprint is the log-probability of each token of some fixed texts. The same weights in the same dtype give the same ones but
for rounding; what differs otherwise shows where it differs: everywhere, more with each position, or at certain tokens only.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict

WIDE = ("float32", "float64")
"""Dtypes of 32 bits or more, as engines call them."""
WIDE_NATS = 0.01
"""Root mean square of what another order of sums makes of a log-probability, where server and reference are wide."""
ELSEWHERE_NATS = 0.04
"""The same on another device or engine: a GPU multiplies float32 with fewer bits (0.018 between an H200 with TF32 and a CPU)."""
SIXTEEN_BITS_NATS = 0.1
"""The same where neither is."""
OTHER_DTYPE_NATS = 0.5
"""The same where one is: three times what bfloat16 makes of hallmark-tiny's (0.16 to 0.18)."""
_SPREAD = 5.0
"""So many times what two runs of the reference's own server differed by is rounding, too."""
_GROWS = 5.0
"""The last quarter of a long text differs so many times as much as the first. Rounded, noisy weights: 1 to 2; RoPE: 20 to 50."""
_APART = 50.0
"""One text differs so many times as much as another. Noise and rounding: 2; RoPE: 4; a head without effect: 9."""

LONG = "near the context's end"
"""The probe that tells whether the difference grows with the position."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One text as a server reads it."""

    tokens: tuple[str, ...]
    """Its token ids, or what the server calls them, all but the first."""
    logprobs: tuple[float, ...]
    """Of each of them, in nats."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What one server says of all probes."""

    way: str
    """`prompt`: of each token of the texts; `answer`: of the likeliest first tokens of an answer to them."""
    probes: Mapping[str, Probe]
    noise: float = 0.0
    """Root mean square of the difference to another run of the same server, in nats."""


def distance(one: Fingerprint, other: Fingerprint) -> float:
    """Root mean square over all tokens that both tell of, in nats; 0 where there are none."""
    found = [change for changes in _changes(one, other).values() for _, change in changes]
    return sqrt(sum(change * change for change in found) / len(found)) if found else 0.0


def tolerance(reference: Fingerprint, *, reference_dtype: str, dtype: str, elsewhere: bool = False) -> float:
    """By so much, in nats, rounding may move the log-probabilities of a server of `dtype`, as engines call it. `elsewhere`: on
    another device or engine than the reference.
    """
    wide = (reference_dtype in WIDE, dtype in WIDE)
    alike = ELSEWHERE_NATS if elsewhere else WIDE_NATS
    least = alike if all(wide) else OTHER_DTYPE_NATS if any(wide) else SIXTEEN_BITS_NATS
    return max(least, _SPREAD * reference.noise)


def judge_fingerprint(
    reference: Fingerprint, here: Fingerprint, *, limit: float, source: str, adapters: Mapping[str, Fingerprint] | None = None
) -> Evidence:
    """FAIL where the server reads other tokens, or tells log-probabilities that rounding cannot explain. INCONCLUSIVE where the
    two cannot be compared. `adapters`: what the reference's server says with an adapter on, by the adapter's name.
    """
    found = distance(reference, here)
    verdict, reason = Verdict.PASS, f"{found:.2g} nats, of {limit:.2g} that rounding may make"
    if why := _incomparable(reference, here):
        verdict, reason = Verdict.INCONCLUSIVE, why
    elif why := _no_numbers(here) or _other_tokens(reference, here):
        verdict, reason = Verdict.FAIL, why
    elif not found <= limit:
        kind = _adapter_left_on(adapters or {}, here, limit) or kind_of_difference(reference, here, limit)
        verdict, reason = Verdict.FAIL, f"log-probabilities differ by {found:.2g} nats, {kind}"
    return Evidence(
        name="difference of log-probabilities (root mean square)",
        value=round(found, 5) if isfinite(found) else str(found),
        unit="nats",
        n=sum(map(len, _changes(reference, here).values())),
        verdict=verdict,
        reason=reason,
        target=Target(relation="<=", limit=limit, source=source),
        detail={"way": here.way, "by_probe": _by_probe(reference, here), "not_seen": list(_unseen(here))},
    )


def _incomparable(reference: Fingerprint, here: Fingerprint) -> str:
    if reference.way != here.way:
        return f"the reference was read by its {reference.way}s, this server by its {here.way}s"
    if missing := [name for name in reference.probes if name not in here.probes]:
        return f"the server says nothing of {', '.join(missing)}, of which the reference does"
    return "" if any(_changes(reference, here).values()) else "the server and the reference tell of no token in common"


def _no_numbers(here: Fingerprint) -> str:
    """Of a log-probability that is none; some engines answer NaN, or -inf for a token that stands there."""
    for name, probe in here.probes.items():
        for token, value in zip(probe.tokens, probe.logprobs, strict=True):
            if not (isfinite(value) and value <= 0):
                return f"the log-probability of the token {token} in {name} is {value}"
    return ""


def _adapter_left_on(adapters: Mapping[str, Fingerprint], here: Fingerprint, limit: float) -> str:
    """Which adapter explains all of the difference; the nearest, where several would."""
    far = {name: distance(sign, here) for name, sign in adapters.items() if not _incomparable(sign, here)}
    nearest = min(far, key=lambda name: far[name], default="")
    return (
        f"and by {far[nearest]:.2g} from those with the adapter {nearest}: it is left on" if far and far[nearest] <= limit else ""
    )


def kind_of_difference(reference: Fingerprint, here: Fingerprint, limit: float) -> str:
    """Where it differs, and what does that."""
    changes = _changes(reference, here)
    usual = {name: _median(found) for name, found in changes.items() if name not in (LONG, CHAT) and found}
    alike = [name for name, median in usual.items() if median <= limit]
    if alike and max(usual.values()) >= _APART * max(min(usual.values()), limit / 10):
        others = ", ".join(name for name in usual if name not in alike)
        return f"much in {others} and hardly in {', '.join(alike)}: some tokens' embeddings, or what only such texts have"
    if (growth := _growth(changes.get(LONG, ()))) >= _GROWS:
        return f"{growth:.0f} times as much at the end of a long text as at its beginning: RoPE, the cache or attention"
    if not any(median > limit for median in usual.values()) and _median(changes.get(CHAT, ())) > limit:
        return "only in a chat: the chat template"
    return "at all positions: other weights, their quantisation, or an adapter that is left on"


def _median(changes: Sequence[tuple[str, float]]) -> float:
    return statistics.median(abs(change) for _, change in changes) if changes else 0.0


def _growth(changes: Sequence[tuple[str, float]]) -> float:
    """How many times as much the last quarter differs as the first (medians); 0 where the text is too short to tell."""
    quarter = len(changes) // 4
    if quarter < 2:
        return 0.0
    first, last = _median(changes[:quarter]), _median(changes[-quarter:])
    return last / max(first, 1e-4)


def _changes(one: Fingerprint, other: Fingerprint) -> dict[str, list[tuple[str, float]]]:
    """Probe -> (token, by how much its log-probability changed) for each that both tell of, in order."""
    return {name: list(_of_probe(probe, other.probes[name])) for name, probe in one.probes.items() if name in other.probes}


def _of_probe(one: Probe, other: Probe) -> Iterator[tuple[str, float]]:
    if one.tokens == other.tokens:
        yield from zip(one.tokens, (b - a for a, b in zip(one.logprobs, other.logprobs, strict=True)), strict=True)
        return
    # Of first tokens each tells its own likeliest ones: one that is left out is at most as likely as the last that is told.
    here, there = (dict(zip(probe.tokens, probe.logprobs, strict=True)) for probe in (one, other))
    if not here or not there:
        return
    least_here, least_there = min(here.values()), min(there.values())
    for token, value in here.items():
        if token in there or value > least_there:
            yield token, there.get(token, least_there) - value
    for token, value in there.items():
        if token not in here and value > least_here:
            yield token, value - least_here


def _other_tokens(one: Fingerprint, other: Fingerprint) -> str:
    names = [name for name in one.probes if name in other.probes and one.probes[name].tokens != other.probes[name].tokens]
    if not names or one.way != "prompt":
        return ""
    kind = "the chat template" if names == [CHAT] else "the tokenizer"
    return f"{', '.join(names)}: the server reads other tokens than the reference: {kind}"


CHAT = "a chat"
"""The probe that goes through the server's chat template."""


def _by_probe(one: Fingerprint, other: Fingerprint) -> dict[str, float]:
    changes = _changes(one, other)
    return {name: round(_median(found), 5) for name, found in changes.items() if found}


def _unseen(here: Fingerprint) -> Iterator[str]:
    if here.way != "prompt":
        yield "what does not move the first token of an answer: the server tells no log-probabilities of prompts"
    if CHAT not in here.probes:
        yield "the chat template: the server tells no log-probabilities of a chat"
