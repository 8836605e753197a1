"""From one exposition format to the other, for a scraper that does not take what the engine speaks.

Every sample keeps its name, labels and value. What the other format cannot say is left out (exemplars and units in
Prometheus text) or said less exactly (a counter whose samples do not end in `_total` is `unknown` in OpenMetrics).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from hallmark_services.sidecar.metrics.scan import Dialect, Scanned

_SAMPLE = re.compile(
    r"(?P<name>[^\s{]*)(?P<labels>(?:\{(?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*\})?) "
    r"(?P<value>[^ ]+)(?: (?=[^#])(?P<time>[^ ]+))?(?: # .*)?"
)
_BOUND = re.compile(r'(?:^|(?<=[{,]))(?:le|quantile)="([^"]*)",?')
_SUFFIXES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "summary": ("_sum", "_count", "_created", ""),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "info": ("_info",),
}
_WITH_CREATED = frozenset({"counter", "histogram", "summary"})


class _Sample(NamedTuple):
    name: str
    labels: str
    """With its braces, or empty."""
    value: str
    time: str
    """In the format's own unit, or empty."""


@dataclass(slots=True)
class _Family:
    name: str
    kind: str = ""
    help: str = ""
    samples: list[_Sample] = field(default_factory=list)


def converted(scanned: Scanned, to: Dialect) -> Scanned:
    """`scanned` in the format `to`; itself where that is its own."""
    if scanned.dialect is to:
        return scanned
    families = _families(scanned.text)
    lines = _to_openmetrics(families) if to is Dialect.OPENMETRICS else _to_text(families)
    return Scanned(text="".join("\n" + line for line in lines) + "\n", dialect=to, malformed=scanned.malformed)


def _families(text: str) -> list[_Family]:
    """The families in the order of their first lines, each with all its samples, wherever those stand."""
    families: dict[str, _Family] = {}
    owners: dict[str, _Family] = {}
    for line in text.split("\n"):
        if line.startswith("# "):
            _take_note(line, families, owners)
        elif line and not line.startswith("#") and (match := _SAMPLE.fullmatch(line)):
            name = match["name"] or match["labels"]
            owner = owners.get(name)
            if owner is None:
                owner = owners[name] = families.setdefault(name, _Family(name))
            owner.samples.append(_Sample(match["name"], match["labels"], match["value"], match["time"] or ""))
    return [*families.values()]


def _take_note(line: str, families: dict[str, _Family], owners: dict[str, _Family]) -> None:
    """HELP and TYPE; a TYPE line says which sample names are the family's."""
    words = line.split(" ", 3)
    if len(words) < 3 or words[1] not in ("HELP", "TYPE"):
        return
    _, keyword, name, *rest = words
    family = families.setdefault(name, _Family(name))
    said = rest[0] if rest else ""
    if keyword == "HELP":
        family.help = said
        return
    family.kind = said
    for suffix in _SUFFIXES.get(said, ()):
        owners.setdefault(name + suffix, family)
    owners[name] = family


def _to_openmetrics(families: list[_Family]) -> list[str]:
    named = {family.name: _in_openmetrics(family) for family in families}
    taken = Counter(family.name for family in named.values())
    for name, family in named.items():
        if family.kind == "counter" and taken[family.name] > 1:
            named[name] = replace(family, name=name, kind="unknown")
    bases = {family.name: family for family in named.values()}
    merged = {}
    for name, family in named.items():
        base = bases.get(name.removesuffix("_created"))
        if name.endswith("_created") and family.kind == "gauge" and base and base.kind in _WITH_CREATED:
            merged[name] = base
    lines = []
    for name, base in merged.items():
        base.samples = _beside_their_groups(base.samples, named[name].samples)
    for name, family in named.items():
        if name not in merged and (family.kind != "unknown" or family.samples):
            lines += _head(family, family.help.replace('"', '\\"'))
            lines += _written(family, thousandth=True)
    return lines


def _in_openmetrics(family: _Family) -> _Family:
    """The family under its OpenMetrics name and type, its samples in groups."""
    kind = {"": "unknown", "untyped": "unknown"}.get(family.kind, family.kind)
    name = family.name
    if kind == "counter":
        totals = name.endswith("_total") and all(sample.name == name for sample in family.samples)
        name, kind = (name.removesuffix("_total"), kind) if totals else (name, "unknown")
    samples = [_canonical(sample) for sample in family.samples] if kind in ("histogram", "summary") else family.samples
    return replace(family, name=name, kind=kind, samples=_beside_their_groups(samples, []))


def _beside_their_groups(samples: list[_Sample], more: Iterable[_Sample]) -> list[_Sample]:
    """All samples with the same labels (bounds aside) together, as OpenMetrics wants them."""
    groups: dict[str, list[_Sample]] = {}
    for sample in [*samples, *more]:
        groups.setdefault(_group(sample.labels), []).append(sample)
    return [sample for group in groups.values() for sample in group]


def _group(labels: str) -> str:
    if 'le="' not in labels and 'quantile="' not in labels:
        return "" if labels == "{}" else labels
    rest = _BOUND.sub("", labels).replace(",}", "}")
    return "" if rest == "{}" else rest


def _canonical(sample: _Sample) -> _Sample:
    """OpenMetrics wants a bound written as a float, in the one way that its libraries have: 1.0 for 1, 1e+06 for a million."""
    bound = _BOUND.search(sample.labels)
    if not bound or bound[1] in ("+Inf", "NaN"):
        return sample
    try:
        written = _as_bound(float(bound[1]))
    except ValueError:
        return sample
    if written == bound[1] or written in ("inf", "nan", "-inf"):
        return sample
    return sample._replace(labels=sample.labels[: bound.start(1)] + written + sample.labels[bound.end(1) :])


def _as_bound(value: float) -> str:
    """Python's shortest form, but with an exponent from a million on, as Go's and so everyone's bounds have it."""
    whole, dot, rest = (text := repr(value)).partition(".")
    if not dot or len(whole) <= 6 or value < 0 or "e" in rest:
        return text
    digits = (whole + rest).rstrip("0")
    return f"{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e+{len(whole) - 1:02d}"


def _to_text(families: list[_Family]) -> list[str]:
    lines: list[str] = []
    for family in families:
        help_text = family.help.replace('\\"', '"')
        for part in _text_parts(family):
            lines += _head(part, help_text)
            lines += _written(part, thousandth=False)
    return lines


def _text_parts(family: _Family) -> list[_Family]:
    """The families that Prometheus text makes of one: `_created` and the sums of a gauge histogram stand apart."""
    kind = {"unknown": "untyped", "info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram", "": "untyped"}.get(
        family.kind, family.kind
    )
    own = family.name + {"counter": "_total", "info": "_info"}.get(family.kind, "")
    apart = {family.name + suffix for suffix in ("_created", "_gsum", "_gcount") if suffix in _SUFFIXES.get(family.kind, ())}
    parts = [_Family(own, kind, family.help, [sample for sample in family.samples if sample.name not in apart])]
    for name in sorted(apart):
        if samples := [sample for sample in family.samples if sample.name == name]:
            parts.append(_Family(name, "gauge", family.help, samples))
    return parts


def _head(family: _Family, help_text: str) -> list[str]:
    return [*([f"# HELP {family.name} {help_text}"] if help_text else []), f"# TYPE {family.name} {family.kind}"]


def _written(family: _Family, *, thousandth: bool) -> list[str]:
    """The sample lines; a time is in seconds in OpenMetrics (`thousandth`), in milliseconds in Prometheus text."""
    lines = []
    for sample in family.samples:
        line = f"{sample.name}{sample.labels} {sample.value}"
        if sample.time:
            moment = float(sample.time)
            line += f" {moment / 1000:.3f}" if thousandth else f" {round(moment * 1000)}"
        lines.append(line)
    return lines
