"""Ways to alter the folder of a run that broke off and was gone on with; the others are those of any run (`alterations.py`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from selftests.plugin.alterations import Alteration
from selftests.plugin.altering import Change, forged, record_of, swap, text_of


@dataclass(frozen=True, kw_only=True)
class OfABreak(Alteration):
    """One way to alter such a folder."""

    quick: bool = False
    """Whether it is tried in every run of the self-tests, where the others are not."""


def lines_of(change_them: Callable[[list[dict[str, Any]], int], object]) -> Change:
    """Change the lines of the records, of which one says at that place that the run was gone on with."""

    def change(folder: Path) -> None:
        lines = [json.loads(line) for line in (folder / "records.jsonl").read_bytes().splitlines()]
        (place,) = [place for place, line in enumerate(lines) if line.get("chain") == "resumed"]
        change_them(lines, place)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / "records.jsonl").write_text(text, encoding="utf-8")

    return change


def moved_behind(lines: list[dict[str, Any]], place: int) -> None:
    """The last record before the break."""
    swap(lines, place - 1, place)
    lines[place - 1]["records"] -= 1
    # the new last record before it must be the last one in time, too, or the break itself would not fit
    begun = datetime.fromisoformat(lines[place - 2]["started_at"]) + timedelta(seconds=lines[place - 2]["duration_s"])
    resumed = datetime.fromisoformat(lines[place - 1]["resumed_at"])
    lines[place - 1] |= {"broke_off_at": begun.isoformat(), "seconds": (resumed - begun).total_seconds()}


def moved_before(lines: list[dict[str, Any]], place: int) -> None:
    """The first record behind the break, whose time now says that the break was none."""
    swap(lines, place, place + 1)
    lines[place + 1]["records"] += 1


def made_up(lines: list[dict[str, Any]], place: int) -> None:
    """Another break, behind the last record."""
    end = next(at for at, line in enumerate(lines) if line.get("chain") == "ends")
    records = [line for line in lines if "check" in line]
    last = datetime.fromisoformat(records[-1]["started_at"]) + timedelta(seconds=records[-1]["duration_s"])
    resumed = last + timedelta(seconds=5)
    told = {"records": len(records), "broke_off_at": last.isoformat(), "resumed_at": resumed.isoformat(), "seconds": 5.0}
    lines.insert(end, {**lines[place], **told})


OF_A_BREAK = (
    OfABreak(
        name="a break removed", change=lines_of(lambda lines, place: lines.pop(place)), found="is missing, between ", quick=True
    ),
    OfABreak(
        name="a break added",
        change=lines_of(lambda lines, place: lines.insert(place - 2, lines[place])),
        found="of which there are 2: one was added",
    ),
    OfABreak(
        name="a record moved over a break",
        change=lines_of(lambda lines, place: swap(lines, place - 1, place)),
        found="they were moved",
    ),
    OfABreak(
        name="forged: a break removed",
        change=forged(lines_of(lambda lines, place: lines.pop(place))),
        found="is of a check that had passed in line",
        quick=True,
    ),
    OfABreak(
        name="forged: a break between other records",
        change=forged(lines_of(lambda lines, place: lines.insert(place - 3, lines.pop(place)))),
        found="records stand before it, and there are ",
    ),
    OfABreak(name="forged: a break made up", change=forged(lines_of(made_up)), found="has no check of the environment behind it"),
    OfABreak(
        name="forged: a record moved behind a break",
        change=forged(lines_of(moved_behind)),
        found="before the run was gone on with",
        quick=True,
    ),
    OfABreak(
        name="forged: a record moved before a break",
        change=forged(lines_of(moved_before)),
        found="the records before it of another one",
    ),
    OfABreak(
        name="forged: a shorter break",
        change=forged(lines_of(lambda lines, place: lines[place].update(seconds=0.5))),
        found="tells of a break of 0.5 s, and the records before it of another one",
    ),
    OfABreak(
        name="forged: what was compared",
        change=forged(record_of("resumed", lambda mark: mark.update(compared="0" * 64))),
        found="holds another digest of what was compared",
    ),
    OfABreak(
        name="forged: what was measured before a break",
        change=forged(record_of("resumed", lambda mark: mark["subjects"].update({"weights:stand-in": "0" * 64}))),
        found="weights:stand-in is ",
        quick=True,
    ),
    OfABreak(
        name="forged: the environment behind a break",
        change=forged(text_of("runtime_environment.json", r'"kernel": "[^"]+"', '"kernel": "0.1"')),
        found="holds another digest of what was compared",
    ),
)
"""Of the folder of a run that broke off, was gone on with, and came to its end."""
