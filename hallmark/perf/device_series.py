"""What the device did while a point was measured: clocks, power, temperature and whether it was throttled, by its vendor's tool.

Only observed: it decides nothing, and where there is no tool, or it says nothing of a value, that is absent. Another vendor's
tool is one more `Tool`.
"""

from __future__ import annotations

import itertools
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

from hallmark.core.records import Evidence
from hallmark.perf.sample import PointResult

EVERY_MS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReading:
    """One device at one moment; None for what the tool does not tell."""

    at: float
    """`time.perf_counter()`."""
    index: int
    clock_mhz: float | None
    power_w: float | None
    temperature_c: float | None
    busy_share: float | None
    memory_mib: float | None
    held_back_by: tuple[str, ...] = ()
    """Why it ran slower than it could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program that tells about all devices of a vendor again and again, a line for each."""

    command: tuple[str, ...]
    read: Callable[[str, float], DeviceReading | None]
    """(line, when it came) -> what it says; None for a line that is no reading."""


_REASONS = {
    "sw_power_cap": "its power limit",
    "hw_thermal_slowdown": "heat (hardware)",
    "sw_thermal_slowdown": "heat (driver)",
}
_NVIDIA_FIELDS = ("index", "clocks.sm", "power.draw", "temperature.gpu", "utilization.gpu", "memory.used")


def read_nvidia(line: str, at: float) -> DeviceReading | None:
    """A line of nvidia-smi: numbers without units, and `Active` or `Not Active` for each reason."""
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != len(_NVIDIA_FIELDS) + len(_REASONS) or not cells[0].isdigit():
        return None
    clock, power, temperature, busy, memory = (_number(cell) for cell in cells[1 : len(_NVIDIA_FIELDS)])
    active = (cell == "Active" for cell in cells[len(_NVIDIA_FIELDS) :])
    return DeviceReading(
        at=at,
        index=int(cells[0]),
        clock_mhz=clock,
        power_w=power,
        temperature_c=temperature,
        busy_share=None if busy is None else busy / 100,
        memory_mib=memory,
        held_back_by=tuple(reason for reason, is_active in zip(_REASONS.values(), active, strict=True) if is_active),
    )


def _number(cell: str) -> float | None:
    """None for `[N/A]`, `[Not Supported]` and the like."""
    try:
        return float(cell)
    except ValueError:
        return None


NVIDIA = Tool(
    command=(
        "nvidia-smi",
        "--query-gpu=" + ",".join((*_NVIDIA_FIELDS, *(f"clocks_event_reasons.{name}" for name in _REASONS))),
        "--format=csv,noheader,nounits",
        f"--loop-ms={EVERY_MS}",
    ),
    read=read_nvidia,
)
TOOLS = (NVIDIA,)


class DeviceSeries:
    """Reads the first tool that is there from when it is entered until it is left; `readings` are what it said."""

    def __init__(self, tools: Sequence[Tool] = TOOLS) -> None:
        self._tool = next((tool for tool in tools if shutil.which(tool.command[0])), None)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.readings: list[DeviceReading] = []

    def __enter__(self) -> Self:
        if self._tool:
            self._process = subprocess.Popen(self._tool.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            assert self._process.stdout
            self._reader = threading.Thread(target=self._read, args=(self._tool, self._process.stdout), daemon=True)
            self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if self._process and self._reader:
            self._process.terminate()
            self._process.wait()
            self._reader.join()

    def evidence(self, result: PointResult) -> list[Evidence]:
        """What was seen of the devices, per token that the window put out."""
        return observed(self.readings, tokens=sum(sample.output_tokens for sample in result.samples))

    def _read(self, tool: Tool, lines: IO[str]) -> None:
        for line in lines:
            if found := tool.read(line, time.perf_counter()):
                self.readings.append(found)


def observed(readings: Sequence[DeviceReading], *, tokens: int) -> list[Evidence]:
    """Power, energy, tokens per joule, clock and what held the devices back; empty where nothing was read. `tokens`: put out."""
    if not readings:
        return []
    clocks = [reading.clock_mhz for reading in readings if reading.clock_mhz is not None]
    found = [*_of_power(readings, tokens)]
    if clocks:
        found.append(_observed("device_clock_min_mhz", min(clocks), "MHz", n=len(clocks)))
    reasons = sorted({reason for reading in readings for reason in reading.held_back_by})
    held = sum(bool(reading.held_back_by) for reading in readings)
    if reasons:
        told = f"{held} of {len(readings)} readings: held back by {', '.join(reasons)}"
        found.append(_observed("device_held_back_share", held / len(readings), "", n=len(readings), reason=told))
    return found


def _of_power(readings: Sequence[DeviceReading], tokens: int) -> list[Evidence]:
    by_device: dict[int, list[tuple[float, float]]] = {}
    for reading in readings:
        if reading.power_w is not None:
            by_device.setdefault(reading.index, []).append((reading.at, reading.power_w))
    if not by_device:
        return []
    mean = sum(statistics.fmean(power for _, power in points) for points in by_device.values())
    joules = sum(map(energy_j, by_device.values()))
    found = [_observed("device_power_mean_w", mean, "W", n=sum(map(len, by_device.values())))]
    if joules > 0:
        found.append(
            _observed("tokens_per_joule", tokens / joules, "1/J", n=tokens, reason=f"{joules:.3g} J for {tokens:,} tokens")
        )
    return found


def energy_j(points: Sequence[tuple[float, float]]) -> float:
    """The area below (seconds, watts), by trapezia."""
    return sum((later - earlier) * (one + other) / 2 for (earlier, one), (later, other) in itertools.pairwise(points))


def _observed(name: str, value: float, unit: str, *, n: int, reason: str = "") -> Evidence:
    return Evidence(name=name, value=round(value, 4), unit=unit, n=n, reason=reason)
