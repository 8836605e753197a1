"""Dates and waivers: nothing was measured before the run began, and who waived what the spec itself says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from hallmark.core.chain import CHAIN
from hallmark.core.records import MANIFEST_FILE, Manifest
from hallmark.core.waivers import Broken, Waiver, WaiverLimits
from hallmark.core.wording import moment
from hallmark.specs.cell import Cell
from hallmark.workflows.verify.finding import Finding, altered, not_derived
from hallmark.workflows.verify.run_folder import Line, RunFolder

_CLOCKS = timedelta(days=1)
"""By so much may two machines disagree about the time."""
_A_SECOND = timedelta(seconds=1)
"""A run's start is told in whole ones."""


def look_at_dates(run: RunFolder) -> Iterator[Finding]:
    """When the run began and each check, and until when its waivers hold."""
    if run.manifest is None:
        return
    began = moment(run.manifest.started_at)
    if began is None:
        yield altered(MANIFEST_FILE, f"does not tell when the run began: '{run.manifest.started_at}'")
        return
    if began > datetime.now(UTC) + _CLOCKS:
        yield altered(MANIFEST_FILE, f"says that the run began in the future ({run.manifest.started_at})")
    yield from _order(run, began)
    yield from _waivers(run.manifest, run.cell)


def _order(run: RunFolder, began: datetime) -> Iterator[Finding]:
    """No check began before the run did; where that was gone on with, none before the break is of a time behind it."""
    earlier: list[tuple[Line, datetime]] = []
    what = "the run did"
    for line in run.lines:
        if line.content.get(CHAIN) == "resumed":
            resumed = moment(str(line.content.get("resumed_at", "")))
            if resumed is None:
                yield altered(str(line), "does not tell when the run was gone on with")
                continue
            for one, begun in earlier:
                if begun > resumed + _A_SECOND:
                    yield altered(
                        str(one), f"began at {_told(begun)}, and stands before the break that ended at {_told(resumed)}"
                    )
            began, what = resumed, "the run was gone on with"
            earlier = []
        elif at := moment(str(line.content.get("started_at", ""))):
            earlier.append((line, at))
            if at < began - _A_SECOND:
                yield altered(str(line), f"began at {_told(at)}, before {what} ({_told(began)})")


def _told(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _waivers(manifest: Manifest, cell: Cell | None) -> Iterator[Finding]:
    waived = {entry.check: entry.waiver for entry in manifest.entries if entry.waiver}
    if not waived:
        return
    if cell is None:
        yield not_derived(MANIFEST_FILE, "has waivers, and no spec to hold them against")
        return
    stated = {waiver.check: waiver.waiver for waiver in cell.entry.waivers}
    for check, waiver in waived.items():
        where = f"{MANIFEST_FILE}, waiver of {check}"
        if check not in stated:
            yield altered(where, f"is not in the spec that the manifest holds: {waiver}")
        elif stated[check] != waiver:
            yield altered(where, f"is another one than in the spec that the manifest holds: {waiver}")
        yield from (altered(where, why) for why in _against(manifest.waiver_limits, check, waiver))
    limits = manifest.waiver_limits
    if limits and len(waived) > (most := limits.most_of(len(manifest.entries))):
        yield altered(MANIFEST_FILE, f"waives {len(waived)} checks, and its own policy allows {most}")


def _against(limits: WaiverLimits | None, check: str, waiver: Waiver) -> Iterator[str]:
    """Why a waiver is none that a run begins with."""
    if waiver.days is None:
        yield f"holds for no days: '{waiver.made_on}' to '{waiver.ends_on}'"
    if limits is None:
        return
    told = {
        Broken.NEVER: "is of what the manifest's own policy never lets be waived",
        Broken.TOO_LONG: f"holds for {waiver.days} days, and the manifest's own policy allows {limits.longest_days}",
    }
    yield from (told[broken] for broken in limits.broken_by(check, waiver))
