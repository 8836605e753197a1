"""A comparison in the lines of a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hallmark.core.records import Evidence
from hallmark.core.wording import columns, number, plural
from hallmark.perf.comparison import Comparison, Resolution

_TITLES = ("metric", "baseline", "candidate", "better by", "at least", "at most", "verdict")


def table(comparison: Comparison) -> Iterator[str]:
    """What was compared, a line for each metric, and what the machine resolves."""
    margin = f"{100 * comparison.bounds.margin:g} %"
    yield f"baseline:  {comparison.baseline}"
    yield f"candidate: {'the same' if comparison.same else comparison.candidate}"
    yield f"{comparison.point.name}, {plural(comparison.pairs, 'pair')} of runs in the order ABBA, {margin} may be lost"
    yield comparison.arrangement
    if comparison.planned:
        yield comparison.planned
    yield from columns([_TITLES, *(_row(comparison, evidence) for evidence in comparison.metrics)])
    yield from (f"  {one.name}: {one.reason}" for one in comparison.evidence if not one.verdict.accepted)
    if comparison.repeated:
        yield f"  {plural(len(comparison.repeated), 'run')} made again: {comparison.repeated[-1].disturbed}"
    if comparison.resolutions:
        yield "what runs of this machine can tell, with 90 %:"
        needed = [f"pairs for {100 * margin:g} %" for margin in comparison.resolutions[0].needed]
        yield from columns([("metric", "a run varies by", "resolved now", *needed), *map(_resolved, comparison.resolutions)])


def _row(comparison: Comparison, evidence: Evidence) -> Sequence[str]:
    means = (comparison.mean(letter, evidence.name) for letter in ("A", "B"))
    shown = ("-" if mean is None else number(mean) for mean in means)
    interval, value = evidence.interval, evidence.value
    change = f"{100 * value:+.2f} %" if isinstance(value, float) else str(value)
    ends = (f"{100 * interval.low:+.2f} %", f"{100 * interval.high:+.2f} %") if interval else ("-", "-")
    return (evidence.name, *shown, change, *ends, evidence.verdict.value)


def _resolved(one: Resolution) -> Sequence[str]:
    needed = (str(pairs) if pairs else "over 1000" for pairs in one.needed.values())
    return (one.metric.value, f"{100 * one.variation:.2f} %", f"{100 * one.margin:.2f} %", *needed)
