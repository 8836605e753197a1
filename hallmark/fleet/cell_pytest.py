"""The pytest of one cell, kept: started, watched, ended in good order where that is asked for, and read back."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hallmark.core.chain import last_mark
from hallmark.core.errors import InfrastructureError
from hallmark.core.exit_codes import run_exit_code
from hallmark.core.option_table import OPTIONS
from hallmark.core.process import KeptProcess, tail
from hallmark.core.records import RECORDS_FILE, read_records
from hallmark.core.scratch import scratch_folder
from hallmark.core.signals import INTERRUPTED
from hallmark.core.verdict import Verdict
from hallmark.fleet.order import LOG_FILE, RUN_FOLDER, Order, Says
from hallmark.fleet.watch import Watch

ENDS_WITHIN_S = 7.0
"""So long a run that is asked to end may take for its report; then it is killed. Nobody is left ten seconds later."""
_GRACE_S = 2.0
_POLL_S = 0.1
_LAST_LINES = 200
_NOT_PASSED_ON = frozenset({"GITHUB_STEP_SUMMARY"})
"""What a run would write beside its folder."""
_USAGE, _INFRASTRUCTURE = 2, 3
_BY_OUTCOME = {"ACCEPTED": Says.ACCEPTED, "REJECTED": Says.REJECTED, "VOID": Says.VOID, "INTERRUPTED": Says.STOPPED}
"""Of the cell's report; every other one decides nothing."""
_BY_CODE = {_USAGE: Says.REFUSED, _INFRASTRUCTURE: Says.VOID, INTERRUPTED: Says.STOPPED}
"""Where the run ended before its report, or by an error of its own; every other one decides nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a run, or of not running it."""

    says: Says
    exit_code: int
    title: str
    headline: str
    run_digest: str = ""


def refused(why: str) -> Result:
    return Result(says=Says.REFUSED, exit_code=_USAGE, title="REFUSED", headline=why)


def void(why: str) -> Result:
    return Result(says=Says.VOID, exit_code=_INFRASTRUCTURE, title="VOID", headline=why)


def stopped(why: str) -> Result:
    return Result(says=Says.STOPPED, exit_code=INTERRUPTED, title="INTERRUPTED", headline=f"The run was not begun ({why}).")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The boards that the run has for itself, and the descriptors that say so until the last of its processes is gone."""

    unit: str
    variables: Mapping[str, str]
    """What hides the other boards from its server."""
    descriptors: Sequence[int]
    boards: tuple[int, ...] = ()
    """Those of the machine, where an engine chose them: it may hide the others, so that these are the first that are seen."""

    def __str__(self) -> str:
        return " ".join([self.unit, *(f"{name}={value}" for name, value in self.variables.items())])


def run_pytest(order: Order, folder: Path, watch: Watch, *, environ: Mapping[str, str], held: Held | None) -> Result:
    """Run the cell's pytest in `folder` until it ends, or `watch` asks for its end; with it ends all that it started.

    `held`: None where it takes no board of this machine. InfrastructureError where it cannot be started.
    """
    run = folder / RUN_FOLDER
    with scratch_folder() as scratch:
        decisions = scratch / "decisions.json"
        command = [sys.executable, "-m", "hallmark.plugin", *_arguments(order, run=run, decisions=decisions)]
        command += [f"--hallmark-leased={held}"] if held else []
        code = _kept(command, folder, watch, environ=environ, held=held.descriptors if held else ())
        told = decisions.is_file()
        found = json.loads(decisions.read_text(encoding="utf-8")) if told else {"cells": [], "error": None}
    records = run / RECORDS_FILE
    run_digest = last_mark(records, "ends")[0] if records.is_file() else ""
    # That is the one file of a run that is on the node's own disk. What has failed by then is not tried again.
    if run_digest and not told and not watch.reason and not _any_failed(records):
        return void(f"The run came to its end and could not say what it decided: {_last_word(folder / LOG_FILE)}")
    return _concluded(code, found, asked=watch.reason, run_digest=run_digest)


def _arguments(order: Order, *, run: Path, decisions: Path) -> Iterator[str]:
    yield from ("--hallmark-workflow", order.workflow, "--hallmark-decisions", str(decisions), "--hallmark-run-folder", str(run))
    cell = {"model": order.model, "device": order.device, "impl": order.impl, "runtime-config": order.configuration}
    said: dict[str, str | tuple[str, ...] | bool] = {**order.options, **cell}
    for option in OPTIONS:
        value = said.get(option.name, "")
        for one in value if isinstance(value, tuple) else (value,):
            if one is True:
                yield f"--hallmark-{option.name}"
            elif one:
                yield f"--hallmark-{option.name}={one}"


def _kept(command: Sequence[str], folder: Path, watch: Watch, *, environ: Mapping[str, str], held: Sequence[int]) -> int:
    """pytest's exit code; negative for a signal."""
    env = {name: value for name, value in environ.items() if name not in _NOT_PASSED_ON}
    log = folder / LOG_FILE
    try:
        process = KeptProcess(command, env=env, log_path=log, grace_s=_GRACE_S, held=held)
    except OSError as exc:
        raise InfrastructureError(f"cannot start the cell's pytest: {exc.strerror}", where=str(log)) from exc
    try:
        while not process.ended.wait(_POLL_S):
            if watch.reason:
                process.ask_to_end()
                process.ended.wait(ENDS_WITHIN_S)
                break
    finally:
        code = process.stop()
    return code


def _last_word(log: Path) -> str:
    """What hallmark said last, before pytest counted its tests."""
    lines = tail(log, _LAST_LINES).splitlines()
    return next((line.strip() for line in reversed(lines) if line.startswith("hallmark: ")), "".join(lines[-1:]).strip())


def _any_failed(records: Path) -> bool:
    return any(record.verdict is Verdict.FAIL for record in read_records(records))


def _concluded(code: int, found: Mapping[str, Any], *, asked: str, run_digest: str) -> Result:
    """`asked`: what asked for its end. A run that had come to its own end by then says what it decided."""
    cell = next(iter(found["cells"]), None)
    error = found["error"]
    if asked and (cell is None or cell["outcome"] == "INTERRUPTED"):
        title, headline = ("INTERRUPTED", "The run was stopped before its report.") if cell is None else _told(cell)
        return _of(Says.STOPPED, INTERRUPTED, title, f"{headline} ({asked})", run_digest)
    exit_code = run_exit_code(code, found)
    if cell and (not error or _BY_OUTCOME.get(cell["outcome"]) is Says.REJECTED):
        return _of(_BY_OUTCOME.get(cell["outcome"], Says.UNDECIDED), exit_code, *_told(cell), run_digest)
    if code < 0 and not error:
        return void(f"The run was killed by signal {-code} before its report.")
    says = _BY_CODE.get(exit_code, Says.UNDECIDED)
    why = error["message"] if error else f"pytest ended with {code} before its report; see {LOG_FILE}."
    return _of(says, exit_code, says.upper(), why, run_digest)


def _told(cell: Mapping[str, Any]) -> tuple[str, str]:
    return str(cell["title"]), str(cell["headline"])


def _of(says: Says, exit_code: int, title: str, headline: str, run_digest: str) -> Result:
    return Result(says=says, exit_code=exit_code, title=title, headline=headline, run_digest=run_digest)
