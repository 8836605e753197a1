"""A run that broke off, as its folder tells of it: what `--resume` goes on with, and what of the command line it decides."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.breaks import (
    ENDED_CHECK,
    Break,
    has_ended,
    measured_subjects,
    read_breaks,
    subjects_before,
    was_interrupted,
)
from hallmark.core.chain import CHAIN, marks_in
from hallmark.core.errors import UsageError
from hallmark.core.option_table import Option, by_name
from hallmark.core.records import MANIFEST_FILE, RECORDS_FILE, Manifest, Record, read_manifest, read_records
from hallmark.core.redact import MASK
from hallmark.core.wording import moment
from hallmark.plugin.arguments import OF_PYTEST, setting_of
from hallmark.specs.cell import Cell

CANNOT = "cannot be gone on with"
_OF_THIS_CALL = frozenset({"resume", "artifacts", "summary", "port", "device-wait", "server-wait"})
"""Options that a call states anew."""
_IN_WORDS = frozenset({"engine-arg", "server-env"})
"""Options whose values are kept as a shell takes them; of the others that may be repeated they stand between commas."""


@dataclass(frozen=True, kw_only=True)
class BrokenOff:
    """The folder, and what was on record there when the session began."""

    folder: Path
    manifest: Manifest
    records: tuple[Record, ...]
    begins: Mapping[str, Any]
    """The first line of its chain."""
    why: str
    subjects: Mapping[str, str]
    """The digests of what was measured, by name, as far as a server was ready."""

    @classmethod
    def of(cls, folder: Path) -> BrokenOff:
        """UsageError where that is no run, or one with nothing to go on with."""
        if not (folder / MANIFEST_FILE).is_file():
            raise UsageError(f"holds no run (no {MANIFEST_FILE})", where=str(folder), hint="name a folder below artifacts/")
        path = folder / RECORDS_FILE
        marks = marks_in(path) if path.is_file() else []
        if not marks or marks[0].get(CHAIN) != "begins":
            raise UsageError(f"{CANNOT}: nothing is on record there", where=str(folder), hint="begin a new run")
        records = tuple(read_records(path))
        here = records[(read_breaks(path) or (_NO_BREAK,))[-1].records :]
        error = next((record.reason for record in here if record.check == ENDED_CHECK), "")
        if has_ended(path) and not error:
            raise UsageError(f"{CANNOT}: the run came to its end", where=str(folder), hint="begin a new run")
        why = "it was interrupted" if was_interrupted(path) else error or "its process was killed"
        subjects = measured_subjects(folder) | subjects_before(marks)
        return cls(
            folder=folder,
            manifest=read_manifest(folder / MANIFEST_FILE),
            records=records,
            begins=marks[0],
            why=why,
            subjects=subjects,
        )

    @cached_property
    def settled(self) -> frozenset[tuple[str, str]]:
        """(check, node id) of what was measured and is not measured again, whatever it came to."""
        from hallmark.report.gone_on import is_settled

        return frozenset((record.check, record.nodeid) for record in self.records if is_settled(record))

    def break_until(self, now: str) -> Break:
        """The break that ends now; UsageError where the clock tells that the records are of a time to come."""
        started, resumed = moment(self.manifest.started_at), moment(now)
        if started is None or resumed is None:
            raise UsageError(f"{CANNOT}: its manifest does not tell when it began", where=str(self.folder))
        begun = [(moment(record.started_at), record.duration_s) for record in self.records]
        last = max([started, *(at + timedelta(seconds=lasted) for at, lasted in begun if at)])
        if last > resumed + timedelta(seconds=1):
            what = f"by this machine's clock it is {now}, and its last check ended at {last.isoformat(timespec='seconds')}"
            raise UsageError(f"{CANNOT}: {what}", where=str(self.folder), hint="set the clock, or begin a new run")
        return Break(
            records=len(self.records),
            broke_off_at=last.isoformat(timespec="milliseconds"),
            resumed_at=now,
            seconds=round(max(0.0, (resumed - last).total_seconds()), 3),
            why=self.why,
        )

    def only_cell(self, cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
        """The cell of the run; UsageError where the options select another model, device or implementation, or several."""
        it = (self.manifest.model, self.manifest.device, self.manifest.impl)
        own = tuple(cell for cell in cells if cell.id == self.manifest.cell)
        if own and all((cell.model, cell.device, cell.impl.name) == it for cell in cells):
            return own
        selected = ", ".join(cell.id for cell in cells[:3]) + (f" and {len(cells) - 3} more" if len(cells) > 3 else "")
        raise UsageError(
            f"is of {self.manifest.cell}, and the options select {selected or 'no cell'}",
            where=f"--resume {self.folder}",
            hint="one run is gone on with at a time: leave --model and --device to its folder",
        )


_NO_BREAK = Break(records=0, broke_off_at="", resumed_at="", seconds=0.0, why="")


def broken_off(config: pytest.Config, environ: Mapping[str, str]) -> BrokenOff | None:
    """The run that `--resume` names, whose options hold where this call states none; None where it names none."""
    named = setting_of(config, by_name("resume"), environ).value
    if not named:
        return None
    if getattr(config.option, "numprocesses", None) or getattr(config.option, "dist", "no") != "no":
        raise UsageError("a run is gone on with by one process", where="--resume", hint="drop -n")
    found = BrokenOff.of((config.invocation_params.dir / named).absolute())
    for option, value in _kept(found.manifest):
        if setting_of(config, option, environ).origin in ("command line", "environment"):
            continue  # another one is refused by what it selects, or by the comparison
        if MASK in value:
            hint = "a folder keeps no secret: state all of them as they were"
            raise UsageError(
                f"holds a secret of the run in {found.folder}, which is not kept there", where=f"--{option.name}", hint=hint
            )
        setattr(config.option, option.key, _parsed(option, value))
    workflow = found.manifest.workflow
    if (config.option.hallmark_workflow or workflow) != workflow:
        where = f"--workflow {config.option.hallmark_workflow}"
        raise UsageError(f"{found.folder} is of the workflow {workflow}", where=where, hint="drop it")
    config.option.hallmark_workflow = workflow if workflow != "pytest" else None
    return found


def _kept(manifest: Manifest) -> Iterator[tuple[Option, str]]:
    """Each option that the folder says, and its value as the folder has it."""
    settings = {name: str(setting.get("value", "")) for name, setting in manifest.settings.items() if isinstance(setting, dict)}
    settings |= {"model": manifest.model, "device": manifest.device, "impl": manifest.impl}
    for option in OF_PYTEST:
        if (value := settings.get(option.name, "")) and option.name not in _OF_THIS_CALL:
            yield option, value


def _parsed(option: Option, value: str) -> Any:
    """As parsed options have it."""
    if option.many:
        return shlex.split(value) if option.name in _IN_WORDS else value.split(",")
    return value if option.metavar else True
