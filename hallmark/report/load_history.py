"""The rows that a run wrote about its machine, drawn together to what a page can show. Reads one file of the run's folder."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MOST_STRETCHES = 240
_USERS = ("server", "own", "others", "steal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Some seconds of the run, each user with the number of cores that it had on average."""

    begins_s: float
    """Since the first row began."""
    seconds: float
    server: float
    own: float
    others: float
    steal: float
    late_s: float
    """The most that a timer of the client was late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadHistory:
    """How busy the machine was through the run; without stretches nothing tells."""

    cores: int = 0
    stretches: tuple[Stretch, ...] = ()

    @property
    def seconds(self) -> float:
        return sum(stretch.seconds for stretch in self.stretches)

    def mean(self, user: str) -> float:
        """Cores that the user (server, own, others, steal) had through the run."""
        used: float = sum(getattr(stretch, user) * stretch.seconds for stretch in self.stretches)
        return used / max(self.seconds, 1e-9)

    @property
    def line(self) -> str:
        """The run in one line; empty where nothing tells."""
        if not self.stretches:
            return ""
        most = max(stretch.others + stretch.steal for stretch in self.stretches)
        late_ms = 1000 * max(stretch.late_s for stretch in self.stretches)
        others = f"others had {self.mean('others') + self.mean('steal'):.2f} of {self.cores} cores on average, {most:.2f} at most"
        ours = f"the server had {self.mean('server'):.2f}, hallmark {self.mean('own'):.2f}"
        return f"{others}; {ours}; the client was at most {late_ms:.0f} ms late"


def read_history(path: Path) -> LoadHistory:
    """From the file; what is no whole row (a kill cut it short, a disk was full) is left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return LoadHistory()
    return history(list(_rows(lines)))


def _rows(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        try:
            row = json.loads(line)
            if row["seconds"] > 0 and row["cores"] > 0:
                yield row
        except (ValueError, TypeError, KeyError):
            continue


def history(rows: Sequence[Mapping[str, Any]]) -> LoadHistory:
    """Neighbouring rows drawn together, so that a run of any length has at most 240 stretches."""
    if not rows:
        return LoadHistory()
    size = -(-len(rows) // _MOST_STRETCHES)
    ends = itertools.accumulate(row["seconds"] for row in rows)
    begun = [end - row["seconds"] for end, row in zip(ends, rows, strict=True)]
    places = range(0, len(rows), size)
    stretches = tuple(_stretch(rows[place : place + size], begins_s=begun[place]) for place in places)
    return LoadHistory(cores=rows[-1]["cores"], stretches=stretches)


def _stretch(rows: Sequence[Mapping[str, Any]], *, begins_s: float) -> Stretch:
    seconds = sum(row["seconds"] for row in rows)
    used = {user: round(sum(row[f"{user}_s"] for row in rows) / seconds, 4) for user in _USERS}
    late_s = max(row["client_late_most_s"] for row in rows)
    return Stretch(begins_s=round(begins_s, 3), seconds=round(seconds, 3), late_s=late_s, **used)
