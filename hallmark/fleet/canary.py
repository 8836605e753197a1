"""Is the node fit to measure on? Looked at before a cell and after it, and kept beside its outcome.

Three things: nothing of an earlier attempt is left, a known computation comes out right, and the device's memory is back where
it was at its emptiest. A vendor whose tool tells no memory in use has no third one, which is said.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hallmark.core.errors import InfrastructureError
from hallmark.core.files import write_json, write_text
from hallmark.environment.machine import Machine, Vendor
from hallmark.fleet.leftovers import end, left_behind, of_mark
from hallmark.fleet.order import CANARY_FILE

SLACK_MIB = 1024.0
"""So much more than its base is a leak: contexts that drivers keep are smaller, weights are larger."""
RETURNS_WITHIN_S = 10.0
"""A driver may take so long to give back what a killed process had."""
_POLL_S = 0.5
_KNOWN = "753581fd36cad4300fe5bed5026024b91b2bf4a1d0c4a86c9379b121769b6c63"
_ROUNDS, _MASK = 100_000, 2**64 - 1


def computed() -> str:
    """Integers and floating-point numbers through this machine's arithmetic: a digest that is the same on every sound one."""
    number, value, whole = 1, 0.0, hashlib.sha256()
    for place in range(_ROUNDS):
        number = (number * 6364136223846793005 + 1442695040888963407) & _MASK
        value = value * 0.75 + (number >> 11) * 2.0**-53
        if place % 100 == 0:
            whole.update(struct.pack("<Qd", number, value))
    return whole.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The memory of some boards of a vendor, and what is known of it when nothing runs there."""

    vendor: Vendor
    unit: str
    numbers: tuple[int, ...] | None
    """Those that the attempt has; None for all that there are."""
    known_as: Mapping[int, int] = field(default_factory=dict)
    """The machine's own number of each that the attempt sees under another."""
    bases: Path
    """The folder that keeps the emptiest that each was ever seen."""

    def used(self) -> tuple[dict[int, float], list[str]]:
        """MiB in use of each, and why it is not known."""
        if not self.vendor.used:
            return {}, [f"no tool of {self.vendor.name} tells the memory in use"]
        found, why = self.vendor.memory_used(Machine())  # a new one each time: it remembers its answers
        own = {number: mib for number, mib in found.items() if self.numbers is None or number in self.numbers}
        return {self.known_as.get(number, number): mib for number, mib in own.items()}, why

    def base(self, number: int) -> float | None:
        with contextlib.suppress(OSError, ValueError):
            return float(self._file(number).read_text(encoding="ascii"))
        return None

    def keep_base(self, number: int, mib: float) -> None:
        known = self.base(number)
        if known is None or mib < known:
            with contextlib.suppress(InfrastructureError):  # what another user keeps there is no worse
                write_text(self._file(number), f"{mib:g}\n")

    def over(self, used: dict[int, float]) -> str:
        """Which of them have more in use than their base allows; empty where none has."""
        found = [(number, mib, base) for number, mib in used.items() if (base := self.base(number)) is not None]
        return "; ".join(
            f"{self.unit} {number} has {mib:g} MiB in use, and {base:g} MiB when nothing runs there ({self._file(number)})"
            for number, mib, base in found
            if mib > base + SLACK_MIB
        )

    def _file(self, number: int) -> Path:
        return self.bases / f"{self.vendor.name}-{number}.memory"


@dataclass(kw_only=True)
class Canary:
    """Of one attempt; `before` and `after` return what is wrong with the node, empty where nothing is."""

    folder: Path
    mark: str
    hurried: Callable[[], bool]
    """Whether the attempt is being ended, and nothing is waited for any more."""
    memory: Memory | None = None
    """None where the server is on no board of a vendor."""
    leftovers: list[str] = field(default_factory=list)
    """What earlier attempts had left here, which was ended."""
    _immortal: list[str] = field(default_factory=list)
    """What of it could not be."""
    _told: dict[str, Any] = field(default_factory=dict)
    _knew: bool = False
    """Whether the memory was told before."""

    def sweep(self) -> None:
        """End what earlier attempts left here."""
        self.leftovers, self._immortal = end(left_behind)

    def before(self) -> str:
        used, why = self.memory.used() if self.memory else ({}, [])
        self._knew = bool(used)
        over = self.memory.over(used) if self.memory else ""
        if self.memory and not over:
            for number, mib in used.items():
                self.memory.keep_base(number, mib)
        faults = [*_still_there(self._immortal, "of an earlier attempt"), *_computes(), over]
        return self._tell("before", faults, used, why, leftovers=self.leftovers)

    def after(self) -> str:
        survivors, left = end(lambda: of_mark(self.mark))
        used, why = self._returned()
        faults = [*_still_there(left, "of this attempt"), *_computes(), self.memory.over(used) if self.memory else ""]
        if self._knew and not used:
            faults.append(f"the device does not tell its memory any more: {'; '.join(why)}")
        return self._tell("after", faults, used, why, survivors=survivors)

    def _returned(self) -> tuple[dict[int, float], list[str]]:
        """The memory in use once it is back at its base, or when it has not come back in time."""
        if not self.memory:
            return {}, []
        deadline = time.monotonic() + (0.0 if self.hurried() else RETURNS_WITHIN_S)
        while True:
            used, why = self.memory.used()
            if not self.memory.over(used) or time.monotonic() > deadline:
                return used, why
            time.sleep(_POLL_S)

    def _tell(self, when: str, faults: Iterable[str], used: dict[int, float], why: list[str], **more: list[str]) -> str:
        fault = "; ".join(filter(None, faults))
        self._told[when] = {"fault": fault, "memory_used_mib": used, "memory_unknown": why, **more}
        write_json(self.folder / CANARY_FILE, {"schema_version": 1, **self._told})
        return fault


def _still_there(left: list[str], whose: str) -> list[str]:
    return [f"cannot be ended, {whose}: {'; '.join(left)}"] if left else []


def _computes() -> list[str]:
    found = computed()
    return [] if found == _KNOWN else [f"its arithmetic is wrong: {found[:12]} in place of {_KNOWN[:12]}"]
