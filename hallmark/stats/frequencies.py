"""Are tokens drawn as often as their probabilities say? A G-test of counts against what the server itself told. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict

ALPHA = 1e-4
"""So often is a right server taken for a wrong one."""
_LEAST_EXPECTED = 5.0
_LEAST_REST = 1.0
_ROUNDING = 0.02
"""By so much of itself may a probability be off that was told: it is rounded, and computed in another batch."""


def judge_frequencies(logprobs: Mapping[str, float], counts: Mapping[str, int]) -> Evidence:
    """`logprobs`: token -> natural logarithm of its probability, of some tokens; `counts`: token -> how often it was drawn.

    What was not told, and tokens that are hardly expected, are one class, the rest. Counts that rounding explains are none.
    """
    n = sum(counts.values())
    expected = {token: n * math.exp(value) for token, value in logprobs.items()}
    classes = {token: mean for token, mean in expected.items() if mean >= _LEAST_EXPECTED}
    rest = n - sum(classes.values())
    observed = {token: counts.get(token, 0) for token in classes}
    other = n - sum(observed.values())
    # The rest is a class however little is expected of it: a server that draws what it says it never would shows there.
    rows = [*((observed[token], classes[token]) for token in classes), (other, max(rest, _LEAST_REST))]
    g = sum(_surprise(seen, mean) for seen, mean in rows)
    limit = _limit(max(1, len(rows) - 1))
    wrong = g > limit
    worst = max(rows, key=lambda row: _surprise(*row))
    reason = f"G {g:.1f} > {limit:.1f}: one token was drawn {worst[0]} times, {worst[1]:.0f} were told" if wrong else ""
    return Evidence(
        name="drawn as often as told (G)",
        value=g,
        n=n,
        target=Target(relation="<=", limit=limit),
        verdict=Verdict.FAIL if wrong else Verdict.PASS,
        reason=reason,
        detail={"classes": len(rows), "told": dict(expected)},
    )


def _limit(degrees: int) -> float:
    """What chi-square exceeds with a chance of ALPHA."""
    from scipy.special import chdtri

    return float(chdtri(degrees, ALPHA))


def _surprise(seen: int, mean: float) -> float:
    """What a class adds to G, after rounding has explained what it can."""
    slack = _ROUNDING * mean
    nearest = min(max(seen, mean - slack), mean + slack)
    return 2 * (seen * math.log(seen / nearest) - (seen - nearest)) if seen else 2 * nearest
