"""Is the device there? Looks before any server exists, in a few seconds, and says how it looked.

A board whose type nobody can name does not count as present: unknown is never a yes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hallmark.environment.collect import Facts
from hallmark.environment.facts import PROBES
from hallmark.environment.machine import UNKNOWN, Machine, counted, gather
from hallmark.environment.vendors import CPU, vendor_named

LOOK_TIMEOUT_S = 4.0


class Wanted(Protocol):
    """The part of a spec's Detection that is needed here; specs stand on the same floor and are not imported."""

    @property
    def how(self) -> str: ...
    @property
    def board(self) -> str: ...
    @property
    def count(self) -> int: ...


class Device(Protocol):
    """The part of a DeviceSpec that is needed here."""

    @property
    def detect(self) -> Wanted: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Whether a device is on this machine, what was found instead, and where it was looked for."""

    present: bool
    found: str
    looked: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one machine shows of one vendor."""

    names: tuple[str, ...]
    ids: tuple[str, ...]
    looked: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Boards:
    """The boards of one kind that a machine has, by their ids in the order of its vendor's tool; and how they were looked for."""

    ids: tuple[str, ...]
    found: str
    looked: tuple[str, ...]


def detect(spec: Device, seen: Facts | Machine | None = None) -> Presence:
    """Look for a device in collected facts, on a machine, or (by default) on this one. Never raises for what it finds."""
    how, here = spec.detect.how, seen or Machine(Path("/"), timeout_s=LOOK_TIMEOUT_S)
    boards = _boards(spec.detect, _recorded(how, here) if isinstance(here, Facts) else _live(how, here))
    # Sockets and cores are not counted: whatever CPU this process runs on is the device.
    present = len(boards.ids) >= (1 if how == CPU else spec.detect.count)
    return Presence(present=present, found=boards.found, looked=boards.looked)


def boards_here(kinds: Iterable[Wanted], machine: Machine | None = None) -> Iterator[Boards]:
    """Of each kind all boards of a machine, by default of this one; no vendor is asked twice."""
    here, sights = machine or Machine(Path("/"), timeout_s=LOOK_TIMEOUT_S), dict[str, Sight]()
    for wanted in kinds:
        if wanted.how not in sights:
            sights[wanted.how] = _live(wanted.how, here)
        yield _boards(wanted, sights[wanted.how])


def _recorded(how: str, facts: Facts) -> Sight:
    if how == CPU:
        return _cpu_sight(facts.cpu_model, facts.architecture, facts.cpu_flags)
    chips = [chip for chip in facts.accelerators if chip.vendor == how]
    names, ids = tuple(chip.name for chip in chips), tuple(chip.id for chip in chips)
    return Sight(names=names, ids=ids, looked=facts.looked.get(how, ()))


def _live(how: str, machine: Machine) -> Sight:
    if how == CPU:
        values, _ = gather({name: PROBES[name] for name in ("cpu_model", "architecture", "cpu_flags")}, machine)
        return _cpu_sight(values.get("cpu_model", ""), values.get("architecture", ""), values.get("cpu_flags", ()))
    chips, looked = vendor_named(how).look(machine)
    return Sight(names=tuple(chip["name"] for chip in chips), ids=tuple(chip["id"] for chip in chips), looked=tuple(looked))


def _cpu_sight(model: str, architecture: str, flags: Sequence[str]) -> Sight:
    name = " ".join(part for part in (model if model != UNKNOWN else "", architecture) if part)
    return Sight(names=(name,), ids=("cpu",), looked=(f"/proc/cpuinfo: {name}; {' '.join(flags) or 'no wide vectors'}",))


def _boards(wanted: Wanted, sight: Sight) -> Boards:
    """There may be several chips on one."""
    if wanted.how == CPU:
        ids = sight.ids if is_board(wanted.board, sight.names[0]) else ()
        return Boards(ids=ids, found=sight.names[0], looked=sight.looked)
    vendor, found = vendor_named(wanted.how), counted(sight.names) or "none"
    pairs = zip(sight.names, sight.ids, strict=True)
    try:
        ids = tuple(dict.fromkeys(vendor.board_of(chip) for name, chip in pairs if is_board(wanted.board, name, vendor.revision)))
    except Exception as exc:  # the file may be a stranger's
        why = f"its boards cannot be counted ({type(exc).__name__}: {exc})"
        return Boards(ids=(), found=found, looked=(*sight.looked, why))
    return Boards(ids=ids, found=found, looked=sight.looked)


def is_board(board: str, name: str, revision: str = "") -> bool:
    """Whole words only: `l4` is not an L40S, and `h200` is not a GH200. An empty `board` stands for any."""
    return not board or re.search(rf"(?<![a-z0-9]){re.escape(board.lower())}{revision}(?![a-z0-9])", name.lower()) is not None
