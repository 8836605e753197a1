"""Room on the disk: looked at before an installation, and recognised where it ran out. Standard library only."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hallmark.core.errors import ProvisionError

VARIABLE = "HALLMARK_ENVIRONMENT_GB"
"""Says how much room an environment needs, in place of the estimate; 0 has nobody look."""
SIZES_GB = {"vllm": 3.0}
"""What an environment with that distribution in it takes, as measured of vLLM's CPU build."""
_SUITE_GB = 1.0
"""The suite's own environment, from its checkout, with its extras."""
_OTHER_GB = 0.05
DISK_FULL = "the disk is full"
_FULL_BYTES = 4 * 1024 * 1024
"""A disk with less than that takes no installation any more."""
_RAN_OUT = re.compile(r"No space left on device|Disk quota exceeded|(?:Errno|os error) (?:28|122)\b", re.IGNORECASE)


class DiskFull(ProvisionError):
    """There is no room; nothing else that could be tried would have more."""


def needed_gb(requirements: Sequence[str], *, editable: bool, environ: Mapping[str, str]) -> float:
    """About how much an environment with these requirements takes; ProvisionError where the variable says no number."""
    if said := environ.get(VARIABLE, ""):
        try:
            return max(float(said), 0.0)
        except ValueError as exc:
            raise ProvisionError(f"'{said}' is no number of gigabytes", where=VARIABLE, hint="e.g. 3, or 0 not to look") from exc
    names = {re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower() for requirement in requirements}
    known = max((size for name, size in SIZES_GB.items() if name in names), default=0.0)
    return max(known, _SUITE_GB if editable else 0.0, _OTHER_GB)


def free_bytes(folder: Path) -> int:
    """What is free where `folder` is, or would be made; none where no file can be made any more."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    stats = os.statvfs(there)
    return 0 if stats.f_files and not stats.f_favail else stats.f_bavail * stats.f_frsize


def require_room(folder: Path, need_gb: float) -> None:
    """DiskFull where less than that is free for `folder`."""
    free = free_bytes(folder)
    if need_gb and free < need_gb * 1e9:
        raise DiskFull(
            f"the disk is too full: about {need_gb:g} GB are needed and {free / 1e9:.2g} GB are free",
            where=str(folder),
            hint=f"free some space, or say with {VARIABLE} what is needed (0 not to look)",
        )


def ran_out(output: str, *places: Path) -> str:
    """Why an installer failed, where that was for want of room: by its words, or by one of the disks; else nothing.

    What it printed may itself have found no room.
    """
    full = next((str(place) for place in places if free_bytes(place) < _FULL_BYTES), "")
    if full:
        return f"{DISK_FULL} at {full}"
    said = next((line.strip() for line in output.splitlines() if _RAN_OUT.search(line)), "")
    return f"{DISK_FULL}: {said}" if said else ""
