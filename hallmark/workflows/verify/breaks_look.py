"""Where a run was gone on with: do the records say of it what follows from the rest of the folder?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from hallmark.core.breaks import OTHER_SUBJECTS_CHECK, Break, measured_subjects, other_subjects, read_break, subjects_before
from hallmark.core.chain import CHAIN
from hallmark.core.files import object_at
from hallmark.core.subjects import SUBJECTS_FILE
from hallmark.core.wording import duration, moment
from hallmark.environment.document import ENVIRONMENT_FILE
from hallmark.environment.same_subjects import digest_of, identity
from hallmark.report.build import LAUNCH_PLAN_FILE
from hallmark.workflows.verify.finding import Finding, altered
from hallmark.workflows.verify.run_folder import Line, RunFolder

_A_SECOND = timedelta(seconds=1)


def look_at_breaks(run: RunFolder) -> Iterator[Finding]:
    """How many records stand before each break, what was compared there, and that what shows the same server was seen again."""
    for line in run.all("resumed"):
        told = read_break(dict(line.content))
        before = sum(CHAIN not in other.content for other in run.lines[: line.place - 1])
        if told is None:
            yield altered(str(line), "does not tell how the run was gone on with")
        elif told.records != before:
            yield altered(str(line), f"says that {told.records} records stand before it, and there are {before}")
        elif not _follows(told, run, line):
            yield altered(str(line), f"tells of a break of {duration(told.seconds)}, and the records before it of another one")
    if run.ended and run.all("resumed"):
        yield from _as_compared(run)
        yield from _same_subjects(run)
        yield from _seen_again(run)


def _follows(told: Break, run: RunFolder, line: Line) -> bool:
    """Whether the break began when the last check before it ended, and is as long as it says."""
    started = moment(run.manifest.started_at) if run.manifest else None
    broke_off, resumed = moment(told.broke_off_at), moment(told.resumed_at)
    if started is None or broke_off is None or resumed is None:
        return False
    ends = [end for other in run.lines[: line.place - 1] if (end := _end_of(other))]
    last = max([started, *ends])
    return abs(last - broke_off) <= _A_SECOND and abs((resumed - broke_off).total_seconds() - told.seconds) <= 1


def _end_of(line: Line) -> datetime | None:
    begun, lasted = moment(str(line.content.get("started_at", ""))), line.content.get("duration_s")
    return begun + timedelta(seconds=lasted) if begun and isinstance(lasted, int | float) else None


def _as_compared(run: RunFolder) -> Iterator[Finding]:
    """The server that is on record at the end is the one that was compared when the run was gone on with."""
    last = run.all("resumed")[-1]
    compared = digest_of(identity(object_at(run.path / ENVIRONMENT_FILE), object_at(run.path / LAUNCH_PLAN_FILE)))
    if last.content.get("compared") != compared:
        yield altered(str(last), f"holds another digest of what was compared than {ENVIRONMENT_FILE} and {LAUNCH_PLAN_FILE} give")


def _same_subjects(run: RunFolder) -> Iterator[Finding]:
    """What was measured behind a break is by its digests what was measured before it, or a record says that it is not."""
    if any(line.content.get("check") == OTHER_SUBJECTS_CHECK for line in run.lines):
        return
    before = subjects_before(line.content for line in run.all("resumed"))
    for other in other_subjects(before, measured_subjects(run.path)):
        yield altered(SUBJECTS_FILE, f"{other}, and no record says so")


def _seen_again(run: RunFolder) -> Iterator[Finding]:
    """Whoever goes on with a run sees the environment again: checks of it stand behind the break, too."""
    last, end = run.all("resumed")[-1], run.last("ends")
    before, behind = _of_spec(run.lines[: last.place - 1]), _of_spec(run.lines[last.place :])
    if before and not behind and end and not end.content.get("interrupted"):
        yield altered(str(last), "has no check of the environment behind it: whoever goes on with a run has those again")


def _of_spec(lines: Sequence[Line]) -> int:
    return sum(line.content.get("kind") == "spec" for line in lines)
