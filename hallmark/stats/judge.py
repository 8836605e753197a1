"""From a number, its interval and a target to (Verdict, reason). Pure; the reason is one sentence with the numbers.

The rule of all of it: a verdict must follow from what was measured with the stated confidence. Where the interval lies
on both sides of the line, luck would decide, and the verdict says so instead.
"""

from __future__ import annotations

import math

from hallmark.core.records import Interval
from hallmark.core.verdict import Verdict

NOT_JUDGED = "not judged on so few samples"
"""How the reason of evidence begins that a smoke run leaves open."""
_ROUNDING = 1e-9
"""Decimal targets are not exact in binary: 0.9 - 0.05 must not be missed by 0.85."""


def judge_score(score: float, n: int, *, reference: float, tolerance: float, interval: Interval) -> tuple[Verdict, str]:
    """PASS when the whole interval reaches reference - tolerance, FAIL when none of it does.

    When it straddles that floor: INCONCLUSIVE if it is wider than the tolerance that it is held against (n is too
    small to tell), else FAIL, because a sample large enough to show the floor reached has not shown it.
    """
    floor = reference - tolerance
    measured = f"{score:.4g} on {n} samples ({_shown(interval)})"
    held = f"the floor {floor:.4g} (reference {reference:.4g} - tolerance {tolerance:.4g})"
    if interval.low >= floor - _ROUNDING:
        return Verdict.PASS, f"{measured} reaches {held}"
    if interval.high < floor - _ROUNDING:
        return Verdict.FAIL, f"{measured} is below {held}"
    half = (interval.high - interval.low) / 2
    if half > tolerance + _ROUNDING:
        needed = _samples_needed(n, half, line=max(tolerance, abs(score - floor)))
        return Verdict.INCONCLUSIVE, f"{measured} may lie on either side of {held}; {needed}"
    return Verdict.FAIL, f"{measured} has not shown that it reaches {held}, and the sample is large enough to show it"


def _samples_needed(n: int, half: float, *, line: float) -> str:
    """An interval narrows with the root of n, so it takes (half / line)^2 times as many."""
    if line <= 0:
        return "no number of samples can tell a score that lies on its floor with tolerance 0"
    wanted = n * (half / line) ** 2
    digits = 10 ** max(0, math.floor(math.log10(wanted)) - 1)
    return f"about {math.ceil(wanted / digits) * digits} samples are needed to tell"


def judge_limit(value: float, interval: Interval | None, *, limit: float, higher_is_better: bool) -> tuple[Verdict, str]:
    """PASS when the whole interval is on the good side of `limit`, FAIL when it is wholly on the bad one.

    In between it is INCONCLUSIVE. A total that has no interval, such as tokens per second over the window, decides
    by its value.
    """
    low, high = (interval.low, interval.high) if interval else (value, value)
    good, bad = ("at least", "below") if higher_is_better else ("at most", "above")
    measured = f"{value:.4g} ({_shown(interval)})" if interval else f"{value:.4g}"
    worst, best = (low, high) if higher_is_better else (high, low)
    if _reaches(worst, limit, higher_is_better=higher_is_better):
        return Verdict.PASS, f"{measured} is {good} {limit:.4g}"
    # `not (...)` so that NaN, which reaches nothing, fails.
    if not _reaches(best, limit, higher_is_better=higher_is_better):
        return Verdict.FAIL, f"{measured} is {bad} {limit:.4g}"
    return Verdict.INCONCLUSIVE, f"{measured} may lie on either side of {limit:.4g}: more requests are needed to tell"


def _reaches(value: float, limit: float, *, higher_is_better: bool) -> bool:
    slack = _ROUNDING * abs(limit)
    return value >= limit - slack if higher_is_better else value <= limit + slack


def _shown(interval: Interval) -> str:
    return f"{interval.confidence:.0%} interval {interval.low:.4g} to {interval.high:.4g}"
