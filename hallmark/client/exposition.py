"""What a Prometheus exposition says, read independently of whoever wrote it: samples, and what a histogram gained."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

_SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?\s+(\S+)')
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class MetricSample:
    name: str
    labels: Mapping[str, str]
    value: float


def read_samples(text: str) -> list[MetricSample]:
    """Every sample of a text exposition, comments and what is no sample left out."""
    found = []
    for line in text.splitlines():
        if line.startswith("#") or not (match := _SAMPLE.match(line)):
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        found.append(MetricSample(match[1], dict(_LABEL.findall(match[2] or "")), value))
    return found


_TYPE = re.compile(r"^# TYPE (\S+) (\w+)")


def kinds(text: str) -> dict[str, str]:
    """Name of a family -> `counter`, `gauge`, `histogram`, as the exposition says it."""
    return {match[1]: match[2] for line in text.splitlines() if (match := _TYPE.match(line))}


def total(samples: list[MetricSample], name: str) -> float | None:
    """The sum over all label sets; None where there is no such sample."""
    values = [sample.value for sample in samples if sample.name == name]
    return math.fsum(values) if values else None


@dataclass(frozen=True, slots=True)
class Gain:
    """What a histogram gained between two expositions."""

    count: float
    sum: float
    bounds: tuple[float, ...]
    """Upper bounds of its buckets, ascending, infinity included."""

    @property
    def mean(self) -> float:
        return self.sum / self.count if self.count else math.nan

    def resolution(self, value: float) -> float:
        """The width of the bucket that `value` falls into: what two readings of it may differ by.

        Beyond the last bound it is that of the last bucket with one: infinitely wide, it would let any two values agree.
        """
        edges = [0.0, *(bound for bound in self.bounds if math.isfinite(bound))]
        widths = [(high, high - low) for low, high in pairwise(edges)]
        return next((width for high, width in widths if value <= high), widths[-1][1] if widths else 0.0)


def gained(before: list[MetricSample], after: list[MetricSample], histogram: str) -> Gain:
    """The gain of `histogram` (its family name) over all label sets."""

    def grown(suffix: str) -> float:
        name = histogram + suffix
        return (total(after, name) or 0.0) - (total(before, name) or 0.0)

    bounds = {float(s.labels["le"]) for s in after if s.name == histogram + "_bucket" and "le" in s.labels}
    return Gain(count=grown("_count"), sum=grown("_sum"), bounds=tuple(sorted(bounds)))
