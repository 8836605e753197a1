"""Orders of cells of the stand-in, written as a driver writes them, and `hallmark run-cell` that carries them out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hallmark.fleet.beats import DRIVER_BEAT, Beat
from hallmark.fleet.order import LOG_FILE, ORDER_FILE, OUTCOME_FILE, RUN_FOLDER, Order, Outcome, read
from selftests.plugin.commands import Command, wait_for
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import DEVICE, IMPL, MODEL, ROOT

BEAT_S = 0.2


@dataclass(frozen=True)
class Cell:
    """An order in a folder of its own, and what came of it."""

    place: Place
    folder: Path

    @property
    def order(self) -> Path:
        return self.folder / ORDER_FILE

    @property
    def words(self) -> list[str]:
        return ["hallmark", "run-cell", str(self.order), "--out", str(self.folder)]

    def start(self, **environ: str) -> Command:
        """As a person does."""
        return self.place.start(self.words, **environ)

    def start_leashed(self, **environ: str) -> subprocess.Popen[str]:
        """As an engine does: with a pipe that is its standard input."""
        return subprocess.Popen(
            [sys.executable, "-m", *self.words, "--leashed"],
            cwd=ROOT,
            env=self.place.environ | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def outcome(self) -> Outcome:
        return read(self.folder / OUTCOME_FILE, Outcome)

    @property
    def ended(self) -> bool:
        return (self.folder / OUTCOME_FILE).exists()

    @property
    def run(self) -> Path:
        return self.folder / RUN_FOLDER

    @property
    def log(self) -> str:
        return (self.folder / LOG_FILE).read_text(encoding="utf-8")

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run / "report.json").read_text(encoding="utf-8"))
        return found

    @property
    def canary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "canary.json").read_text(encoding="utf-8"))
        return found

    def reach_its_server(self) -> None:
        """Until some checks of the server are on record."""
        records = self.run / "records.jsonl"
        wait_for(lambda: records.exists() and records.read_text().count('"kind": "server"') >= 2, "record of a server check")


def cell_in(place: Place, name: str = "cell", *, options: dict[str, Any] | None = None, **changes: Any) -> Cell:
    """The order of the place's stand-in; `changes` are of its other fields."""
    said = {"spec-dir": [str(place.specs)], "server-python": sys.executable, **(options or {})}
    cell = Cell(place, place.folder / name)
    cell.folder.mkdir()
    device = changes.get("device", DEVICE)
    fields = {"cell": f"id_{IMPL}_{MODEL}_{device}", "model": MODEL, "device": device, "impl": IMPL, "options": said, **changes}
    cell.order.write_text(Order.model_validate(fields).model_dump_json(), encoding="utf-8")
    return cell


@contextmanager
def beaten(cell: Cell) -> Iterator[None]:
    """A driver believes in the attempt as long as this lasts."""
    over = threading.Event()

    def go_on() -> None:
        beat = Beat(cell.folder / DRIVER_BEAT)
        while not over.is_set():
            beat.beat()
            over.wait(BEAT_S)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def state_of(pid: int) -> str:
    """As the kernel has it; empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return ""


def own_children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill(pid: int, number: int) -> None:
    os.kill(pid, number)
