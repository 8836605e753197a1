"""A vendor that stands in for one: its boards, and the memory in use on them, are what two files say. It says so in its name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from selftests.environment import fakes
from selftests.plugin.conftest import Place

DEVICE, PAIR, BOARD = "stand-in-x1", "stand-in-x2", "board-s"
VISIBLE = "STAND_IN_VISIBLE"
_VENDOR = f"""
from hallmark.environment.machine import Vendor, memory_table, table

VENDOR = Vendor(
    "stand-in-vendor",
    sources={{"stand-in-smi": table("stand-in-smi list", r"^(?P<id>\\S+) (?P<name>\\S+)$")}},
    visible={{"{VISIBLE}": "{{}}"}},
    used={{"stand-in-smi": memory_table("stand-in-smi used", r"^(?P<number>\\d+) (?P<mib>\\d+)$")}},
)
"""
_PLUGIN = """
from pathlib import Path

def pytest_hallmark_devices():
    return [Path(__file__).with_name("stand_in_vendor_file.py")]
"""


@dataclass(frozen=True)
class Boards:
    """The boards of the stand-in's vendor that a place has."""

    folder: Path

    def found(self, count: int) -> None:
        """So many are detected from now on."""
        lines = [f"serial-{number} {BOARD}\n" for number in range(count)]
        (self.folder / "list").write_text("".join(lines), encoding="utf-8")

    def used(self, mib: Sequence[int]) -> None:
        """So much memory is in use on each from now on."""
        partial = self.folder / "used.partial"
        partial.write_text("".join(f"{number} {one}\n" for number, one in enumerate(mib)), encoding="utf-8")
        partial.replace(self.folder / "used")

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}"}


def boards_in(place: Place, *, count: int = 2) -> Boards:
    """Install the vendor in the place, with devices of one and of two boards in its specs' folder."""
    (place.plugins / "stand_in_vendor_file.py").write_text(_VENDOR, encoding="utf-8")
    place.distribution("stand_in_vendor_plugin", _PLUGIN)
    boards = Boards(place.folder / "boards")
    fakes.tool(boards.folder, "stand-in-smi", f'exec cat "{boards.folder}/$1"')
    boards.found(count)
    boards.used([100] * count)
    detect = {"how": "stand-in-vendor", "board": BOARD}
    devices = {
        DEVICE: {"title": "One board of the stand-in's vendor", "vendor": "Stand-in", "detect": detect},
        PAIR: {"title": "Two of them", "vendor": "Stand-in", "detect": {**detect, "count": 2}},
    }
    (place.specs / "devices.yaml").write_text(yaml.safe_dump({"schema_version": 2, "devices": devices}), encoding="utf-8")
    return boards
