"""The workflows that are a pytest run: release, and its parts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hallmark.core.exit_codes import of_pytest, run_exit_code, unexplained
from hallmark.core.parts import SMOKE_PASSED
from hallmark.core.scratch import scratch_folder
from hallmark.core.signals import ENDING, INTERRUPTED, heeded, held_back, leave_lost_terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a workflow ended: the exit code, and the last lines that a person reads."""

    exit_code: int
    lines: tuple[str, ...]


def run_acceptance(workflow: str, arguments: Sequence[str], *, root: Path) -> Ended:
    """Run pytest over the checkout at `root` and turn what it decided into an exit code."""
    return _conclude(*_decided(workflow, arguments, root))


def show_plans(workflow: str, arguments: Sequence[str], *, root: Path) -> Ended:
    """Let the same pytest print how the run's servers would be started; it does nothing else."""
    code, found = _decided(workflow, ["--hallmark-print-plan", *arguments], root)
    error = found["error"]
    return Ended(exit_code=error["exit_code"] if error else of_pytest(code) if code else 0, lines=())


def _decided(workflow: str, arguments: Sequence[str], root: Path) -> tuple[int, dict[str, Any]]:
    """(pytest's exit code, what it decided)"""
    with scratch_folder() as scratch:
        decisions = scratch / "decisions.json"
        options = ["--hallmark-workflow", workflow, "--hallmark-decisions", str(decisions)]
        command = [sys.executable, "-m", "hallmark.plugin", *options, *arguments]
        code = _run(command, root)
        return code, json.loads(decisions.read_text(encoding="utf-8")) if decisions.is_file() else {"cells": [], "error": None}


def _run(command: list[str], root: Path) -> int:
    """Run in the foreground; what ends it is the child's to handle, so that it can end its server and report."""
    passed_on: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        passed_on.append(number)
        if number == signal.SIGHUP:
            leave_lost_terminal()
        process.send_signal(number)  # one that the terminal or the runner sent it, too, is no matter to it

    with held_back():
        process = subprocess.Popen(command, cwd=root)
        before = {number: signal.signal(number, pass_on) for number in heeded()}
    code = process.wait()
    if not passed_on:  # else this process is ending as well: what comes later changes nothing
        for number, handler in before.items():
            signal.signal(number, handler)
    return code


def _conclude(code: int, found: dict[str, Any]) -> Ended:
    cells, decided = found["cells"], run_exit_code(code, found)
    lines = [line for cell in cells for line in (f"report: {cell['folder']}/report.html", _verdict(cell, many=len(cells) > 1))]
    if unexplained(code, found):
        by_signal = code == INTERRUPTED or -code in ENDING
        end = "INTERRUPTED - The run was stopped before its report." if by_signal else f"not accepted (pytest ended with {code})"
        lines.append(f"verdict: {end}")
    if cells and not decided and all(cell["title"] == "SMOKE PASSED" for cell in cells):
        lines.append(SMOKE_PASSED)
    return Ended(exit_code=decided, lines=tuple(lines))


def _verdict(cell: dict[str, Any], *, many: bool) -> str:
    return f"verdict: {cell['title']} - {cell['headline']}" + (f" [{cell['cell']}]" if many else "")
