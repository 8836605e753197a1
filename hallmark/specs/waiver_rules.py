"""What of a cell's waivers breaks the policy of its catalogue, and which end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from hallmark.core.errors import SpecError
from hallmark.core.waivers import Broken
from hallmark.core.wording import plural
from hallmark.specs.catalogue import Catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.checks import demanded
from hallmark.specs.yaml_source import KeyPath

ENDS_SOON_DAYS = 14
"""So long before its last day a waiver is told of."""


@dataclass(frozen=True, slots=True)
class Breach:
    """One thing that the policy does not allow, or soon will not."""

    message: str
    hint: str
    at: KeyPath
    """Where it stands, as `Family.where` takes it."""


def breaches(cell: Cell) -> Iterator[Breach]:
    """Each waiver that must not be, and then that there are too many."""
    limits, waivers = cell.waiver_limits, cell.entry.waivers
    at: KeyPath = ("impls", cell.impl.name, "devices", cell.device, "waivers")
    for check, waiver in ((waived.check, waived.waiver) for waived in waivers):
        told = {
            Broken.NEVER: (
                f"{check} is never waived ({limits.source})",
                "mend the server, or what the spec states of it; such a check stands for what all others rest on",
            ),
            Broken.TOO_LONG: (
                f"the waiver of {check} is for {waiver.days} days; at most {limits.longest_days} ({limits.source})",
                "end it earlier; who still needs it then makes it anew",
            ),
        }
        yield from (Breach(*told[broken], (*at, check, broken.value)) for broken in limits.broken_by(check, waiver))
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


def ending(cell: Cell, *, today: date) -> Iterator[Breach]:
    """Each waiver that has ended, which stops no run and excuses nothing in it, and each that ends within two weeks."""
    at: KeyPath = ("impls", cell.impl.name, "devices", cell.device, "waivers")
    for waived in cell.entry.waivers:
        left = (date.fromisoformat(waived.ends_on) - today).days
        place: KeyPath = (*at, waived.check, "ends_on")
        if left < 0:
            message = f"the waiver of {waived.check} ended on {waived.ends_on}: a miss is not waived any more"
            yield Breach(message, "take it out where the check passes; who still needs it makes it anew", place)
        elif left <= ENDS_SOON_DAYS:
            when = f"in {plural(left, 'day')}" if left else "today"
            message = f"the waiver of {waived.check} ends on {waived.ends_on}, {when}"
            yield Breach(message, f"mend it until then ({waived.issue}, {waived.owner}), or make it anew", place)
