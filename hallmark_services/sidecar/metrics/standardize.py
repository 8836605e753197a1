"""An engine's exposition plus the standard metrics: every original sample stays, and what was taken from where is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from hallmark_services.sidecar.metrics.families import Found, find, has_series
from hallmark_services.sidecar.metrics.rules import STANDARDS, Engine, Kind, Standard
from hallmark_services.sidecar.metrics.scan import Dialect, Scanned
from hallmark_services.sidecar.metrics.series import OwnFamily, OwnSample, head, write

_SOURCE_INFO = "metric_source_info"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a standard metric was taken from; `family` is empty where the engine offers none."""

    series: str
    family: str


def standardized(scanned: Scanned, engine: Engine, *, prefix: str) -> Scanned:
    """`scanned` with the standard metrics and their sources after it, in the same format."""
    text, added, sources = scanned.text, [], []
    # Behind another sidecar with this prefix the metrics are there already, and a second copy would be no exposition.
    behind_another = prefix in text
    for standard in STANDARDS:
        name = prefix + standard.family
        if behind_another and find(text, name, standard.kind):
            sources.append(Source(prefix + standard.series, name))
            continue
        alias, found = _source(scanned, standard, engine)
        sources.append(Source(prefix + standard.series, alias))
        if found:
            added.append(_copy(found, standard, alias, name=name, dialect=scanned.dialect))
    signals = _signal_lines(tuple(sources), prefix, scanned.dialect)
    if behind_another and has_series(text, prefix + _SOURCE_INFO):
        signals = ""
    return Scanned(text=text + "".join(added) + signals, dialect=scanned.dialect, malformed=scanned.malformed)


@lru_cache(maxsize=64)
def _signal_lines(sources: tuple[Source, ...], prefix: str, dialect: Dialect) -> str:
    return write(source_signals(sources, prefix=prefix), dialect)


def source_signals(sources: Sequence[Source], *, prefix: str) -> list[OwnFamily]:
    """Which family each standard metric came from, and which metrics have no source."""
    used = tuple(OwnSample({"metric": s.series, "source": s.family}, 1) for s in sources if s.family)
    missing = tuple(OwnSample({"metric": s.series}, not s.family) for s in sources)
    families = [
        OwnFamily(
            prefix + _SOURCE_INFO, "gauge", "The engine's own metric from which a standard metric is taken; always 1.", used
        ),
        OwnFamily(
            prefix + "metric_source_missing",
            "gauge",
            "1 where the engine offers no source of the metric (some engines do only once they have served), else 0.",
            missing,
        ),
    ]
    return [family for family in families if family.samples]


def _source(scanned: Scanned, standard: Standard, engine: Engine) -> tuple[str, Found | None]:
    for alias in standard.aliases[engine]:
        if found := find(scanned.text, alias, standard.kind, created_apart=scanned.dialect is Dialect.TEXT):
            return alias, found
    return "", None


def _copy(found: Found, standard: Standard, alias: str, *, name: str, dialect: Dialect) -> str:
    """The family under its standard name; labels, values, times and exemplars as they are."""
    help_text = found.help or standard.help
    samples = found.samples
    if standard.kind is Kind.COUNTER:
        samples = samples.replace(f"\n{alias}{{", f"\n{alias}_total{{").replace(f"\n{alias} ", f"\n{alias}_total ")
    lines = head(name, kind=standard.kind, help_text=help_text, dialect=dialect, unit=found.unit)
    copied = "\n".join(lines) + samples.replace("\n" + alias, "\n" + name) + "\n"
    if not found.created:
        return copied
    created = found.created.replace("\n" + alias, "\n" + name)
    return copied + "\n".join(head(name + "_created", kind="gauge", help_text=help_text, dialect=dialect)) + created + "\n"
