"""Which format a scraper takes (its Accept header), and how each is named on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from hallmark_services.sidecar.metrics.scan import END, Dialect, Scanned

CONTENT_TYPES = {
    Dialect.TEXT: "text/plain; version=0.0.4; charset=utf-8",
    Dialect.OPENMETRICS: "application/openmetrics-text; version=1.0.0; charset=utf-8",
}
ASKED_FOR = {
    Dialect.TEXT: "text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1",
    Dialect.OPENMETRICS: (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    ),
}
"""The Accept header with which the engine is asked for a format: the other one is better than none.

Without `escaping`, prometheus_client answers OpenMetrics with `vllm_x` for `vllm:x` in samples, but not in TYPE lines.
"""
_OPENMETRICS_VERSIONS = ("", "0.0.1", "1.0.0")


def preferred(accept: str) -> Dialect:
    """The format to ask the engine for: what the header prefers, Prometheus text where it does not care."""
    weights = _weights(accept)
    return Dialect.OPENMETRICS if weights[Dialect.OPENMETRICS] > weights[Dialect.TEXT] else Dialect.TEXT


def chosen(accept: str, spoken: Dialect) -> Dialect:
    """The format to answer in, where the engine spoke `spoken`: that one if the header takes it at all.

    A conversion can only lose something, so it is made for nobody who takes the original.
    """
    weights = _weights(accept)
    other = Dialect.TEXT if spoken is Dialect.OPENMETRICS else Dialect.OPENMETRICS
    return other if weights[other] > 0 and not weights[spoken] > 0 else spoken


def encoded(scanned: Scanned) -> bytes:
    """The exposition as it goes over the wire."""
    end = END + "\n" if scanned.dialect is Dialect.OPENMETRICS else ""
    return (scanned.text[1:] + end).encode("utf-8")


@lru_cache(maxsize=64)  # a scraper sends the same header each time
def _weights(accept: str) -> Mapping[Dialect, float]:
    weights = dict.fromkeys(Dialect, 0.0)
    for offer in (accept or "*/*").split(","):
        media, _, rest = offer.partition(";")
        parameters = {
            name.strip().lower(): value.strip().strip('"') for name, _, value in (part.partition("=") for part in rest.split(";"))
        }
        weight = _weight(parameters.get("q", "1"))
        for dialect in _meant(media.strip().lower(), parameters.get("version", "")):
            weights[dialect] = max(weights[dialect], weight)
    return weights


def _meant(media: str, version: str) -> tuple[Dialect, ...]:
    match media:
        case "application/openmetrics-text":
            return (Dialect.OPENMETRICS,) if version in _OPENMETRICS_VERSIONS else ()
        case "text/plain" | "text/*":
            return (Dialect.TEXT,)
        case "*/*":
            return (Dialect.TEXT, Dialect.OPENMETRICS)
        case _:
            return ()


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
