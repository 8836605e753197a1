"""The chain of records: is each line the one that was written, and in its place?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise

from hallmark.core.breaks import ENDED_CHECK, INTERRUPTED_CHECK
from hallmark.core.chain import CHAIN
from hallmark.core.records import RECORDS_FILE
from hallmark.workflows.verify.finding import Finding, altered
from hallmark.workflows.verify.run_folder import Line, RunFolder


def look_at_chain(run: RunFolder) -> Iterator[Finding]:
    """What the numbers and the digests of the lines tell."""
    lines = run.lines
    if not lines:
        if run.path.joinpath("report.json").exists():
            yield altered(RECORDS_FILE, "has no record, and there is a report of it: the records were taken away")
        return
    if lines[0].content.get(CHAIN) != "begins":
        yield altered(RECORDS_FILE, "does not begin with the line that says what was demanded: it was taken away")
    if run.cut_line and run.last("reported"):
        yield altered(RECORDS_FILE, "ends within a line, which stands behind a report: it was cut or added to")
    yield from look_at_links(lines)
    yield from _gone_on_unsaid(lines)


def look_at_links(lines: Sequence[Line], *, noun: str = "record") -> Iterator[Finding]:
    """Whether the lines of a chain follow each other. `noun`: what each of them is."""
    yield from _unreadable(lines)
    numbered = [line for line in lines if line.number]
    yield from _missing(numbered, noun)
    yield from _repeated_or_moved(numbered, noun)
    yield from _changed(numbered)


def _unreadable(lines: Sequence[Line]) -> Iterator[Finding]:
    for line in lines:
        if not line.number:
            yield altered(str(line), "is no line that hallmark writes: it was changed or added")


def _missing(lines: Sequence[Line], noun: str) -> Iterator[Finding]:
    present = {line.number: line for line in lines}
    gone = [number for number in range(1, max(present, default=0)) if number not in present]
    for first, last in _runs_of(gone):
        what = f"{noun} {first} is missing" if first == last else f"{noun}s {first} to {last} are missing"
        yield altered(lines[0].file, f"{what}, between {_told(present, first - 1)} and {_told(present, last + 1)}")


def _runs_of(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(first, last) of numbers that follow each other."""
    for _, group in groupby(enumerate(numbers), key=lambda item: item[1] - item[0]):
        run = [number for _, number in group]
        yield run[0], run[-1]


def _told(present: Mapping[int, Line], number: int) -> str:
    return f"{number} ({present[number].name})" if number in present else "the begin"


def _repeated_or_moved(lines: Sequence[Line], noun: str) -> Iterator[Finding]:
    often = Counter(line.number for line in lines)
    for line in lines:
        if often[line.number] > 1:
            yield altered(str(line), f"is {noun} {line.number}, of which there are {often[line.number]}: one was added")
    for before, after in pairwise(lines):
        if after.number < before.number:
            yield altered(
                str(after), f"is {noun} {after.number} and stands behind {noun} {before.number} ({before.name}): they were moved"
            )


def _gone_on_unsaid(lines: Sequence[Line]) -> Iterator[Finding]:
    """Records behind an end, and checks that passed and were carried out once more: only a run that is gone on with has those."""
    ended: Line | None = None
    passed: dict[tuple[str, str], Line] = {}
    for line in lines:
        match line.content.get(CHAIN):
            case "resumed":
                ended, passed = None, {}
            case "ends":
                ended = line
            case None:
                if ended and line.content.get("check") not in (INTERRUPTED_CHECK, ENDED_CHECK):
                    yield altered(str(line), f"stands behind the end of the run (line {ended.place}), {_NOT_SAID}")
                key = str(line.content.get("check")), str(line.content.get("nodeid"))
                if key in passed:
                    yield altered(str(line), f"is of a check that had passed in line {passed[key].place}, {_NOT_SAID}")
                if line.content.get("verdict") == "PASS" and line.content.get("nodeid"):
                    passed.setdefault(key, line)


_NOT_SAID = "and no line between them says that the run was gone on with"


def _changed(lines: Sequence[Line]) -> Iterator[Finding]:
    """A line is as it was written where the next one holds its digest; of the last one nothing else tells."""
    present = {line.number: line for line in lines}
    for number, line in sorted(present.items()):
        before = present.get(number - 1)
        if before and line.content.get("previous") != before.digest:
            yield altered(str(before), f"was changed: line {line.place} ({line.name}) holds another digest of it")
