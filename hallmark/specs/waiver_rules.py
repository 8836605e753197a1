"""What of a cell's waivers breaks the policy of its catalogue. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from hallmark.core.errors import SpecError
from hallmark.core.wording import plural
from hallmark.specs.catalogue import Catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.checks import demanded
from hallmark.specs.device_entry import WaivedCheck
from hallmark.specs.yaml_source import KeyPath


@dataclass(frozen=True, slots=True)
class Breach:
    """One thing that the policy does not allow."""

    message: str
    hint: str
    at: KeyPath
    """Where it stands, as `Family.where` takes it."""


def breaches(cell: Cell) -> Iterator[Breach]:
    """Each waiver that must not be, and then that there are too many."""
    limits, waivers = cell.waiver_limits, cell.entry.waivers
    at: KeyPath = ("impls", cell.impl.name, "devices", cell.device, "waivers")
    for waiver in waivers:
        if limits.forbids(waiver.check):
            hint = "mend the server, or what the spec states of it; such a check stands for what all others rest on"
            yield Breach(f"{waiver.check} is never waived ({limits.source})", hint, (*at, waiver.check, "check"))
        if (days := _days(waiver)) > limits.longest_days:
            message = f"the waiver of {waiver.check} is for {days} days; at most {limits.longest_days} ({limits.source})"
            yield Breach(message, "end it earlier; who still needs it then makes it anew", (*at, waiver.check, "ends_on"))
    checks = len(demanded(cell)) if waivers else 0
    if len(waivers) > (most := limits.most_of(checks)):
        waived = f"{len(waivers)} of {plural(checks, 'demanded check')} {'are' if len(waivers) > 1 else 'is'} waived"
        yield Breach(
            f"{waived}; at most {most}, {limits.most_percent:g} % ({limits.source})",
            "a cell that needs more is not ready to be released",
            at,
        )


def require_allowed(catalogue: Catalogue, cells: Iterable[Cell]) -> None:
    """SpecError for the first waiver of a cell that the policy of its catalogue does not allow."""
    for cell in cells:
        for breach in breaches(cell):
            raise SpecError(breach.message, where=catalogue.where(cell, breach.at), hint=breach.hint)


def _days(waiver: WaivedCheck) -> int:
    return (date.fromisoformat(waiver.ends_on) - date.fromisoformat(waiver.made_on)).days
