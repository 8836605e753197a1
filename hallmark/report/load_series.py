"""What a run kept of its perf points over time. Reads the files of one folder, as far as they can be read."""

from __future__ import annotations

import math
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hallmark.perf.kept import SERIES_ENDING
from hallmark.perf.series import Line, PointSeries

_SERIES = TypeAdapter(PointSeries)


def read_series(folder: Path) -> tuple[PointSeries, ...]:
    """Of each point that has a file, in the order of their names; what is no whole file (a kill cut it short) is left out."""
    found = []
    for path in sorted(folder.glob(f"*{SERIES_ENDING}")):
        try:
            series = _SERIES.validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
        if math.isfinite(series.seconds) and series.seconds > 0 and all(map(_drawable, series.lines.values())):
            found.append(series)
    return tuple(found)


def _drawable(line: Line) -> bool:
    return len(line.at_s) == len(line.values) and all(
        map(math.isfinite, (*line.at_s, *(v for v in line.values if v is not None)))
    )
