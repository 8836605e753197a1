"""Expositions as an independent reader sees them: prometheus_client's parsers, as a multiset of samples."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from prometheus_client import Metric, parser
from prometheus_client.openmetrics import parser as openmetrics_parser

FOLDER = Path(__file__).parent / "expositions"
PREFIX = "matrixinfer:"
STANDARD_SERIES = (
    "generation_tokens_total",
    "num_requests_waiting",
    "time_to_first_token_seconds",
    "time_per_output_token_seconds",
    "e2e_request_latency_seconds",
)

Sample = tuple[str, tuple[tuple[str, str], ...], str, object, object]


def exposition(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def families(text: str) -> list[Metric]:
    """ValueError where prometheus_client would not read it."""
    read = openmetrics_parser if text.endswith("# EOF\n") else parser
    return list(read.text_string_to_metric_families(text))


def samples(text: str) -> Counter[Sample]:
    """Every sample with its labels, value, time and exemplar."""
    return Counter(
        (s.name, tuple(sorted(s.labels.items())), repr(s.value), s.timestamp, str(s.exemplar))
        for family in families(text)
        for s in family.samples
    )


def values(text: str) -> Counter[tuple[str, tuple[tuple[str, str], ...], str]]:
    """Every sample with its labels and value: what both formats can say."""
    found: Counter[tuple[str, tuple[tuple[str, str], ...], str]] = Counter()
    for (name, labels, value, _, _), count in samples(text).items():
        found[name, labels, value] += count
    return found


def without_types(text: bytes) -> bytes:
    """The exposition of an engine that sends no TYPE and no HELP."""
    return b"".join(line for line in text.splitlines(keepends=True) if not line.startswith(b"# "))


def series(text: str, name: str) -> dict[tuple[tuple[str, str], ...], str]:
    """Labels to value of the samples of exactly that name."""
    return {labels: value for sample, labels, value in values(text) if sample == name}
