"""Writing families in either format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hallmark_services.sidecar.metrics.scan import Dialect


@dataclass(frozen=True, slots=True)
class OwnSample:
    """One sample that the sidecar itself vouches for."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class OwnFamily:
    """One family that the sidecar itself vouches for; a counter's name ends in `_total`."""

    name: str
    kind: str
    help: str
    samples: tuple[OwnSample, ...]


def head(name: str, *, kind: str, help_text: str, dialect: Dialect, unit: str = "") -> list[str]:
    """HELP, TYPE (and UNIT) lines. `name` is the family's; Prometheus text calls a counter's family by its samples' name."""
    if dialect is Dialect.TEXT and kind == "counter":
        name += "_total"
    lines = [f"# HELP {name} {help_text}"] if help_text else []
    lines.append(f"# TYPE {name} {kind}")
    if unit and dialect is Dialect.OPENMETRICS and name.endswith("_" + unit):
        lines.append(f"# UNIT {name} {unit}")
    return lines


def write(families: Iterable[OwnFamily], dialect: Dialect) -> str:
    """Lines of the families, each ended by a line break."""
    lines = []
    for family in families:
        lines += head(family.name.removesuffix("_total"), kind=family.kind, help_text=family.help, dialect=dialect)
        lines += [f"{family.name}{_labels(sample.labels)} {_number(sample.value)}" for sample in family.samples]
    return "".join(line + "\n" for line in lines)


def _labels(labels: Mapping[str, str]) -> str:
    written = ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())
    return f"{{{written}}}" if written else ""


def escaped(value: str) -> str:
    """A label's value as both formats want it between quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
