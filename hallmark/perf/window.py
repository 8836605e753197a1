"""All that the judges of a perf point look at, kept in a run's folder, so that its verdict can be derived from there again.

`POINT.samples.jsonl` has a row for each request of the window, to the last digit; `POINT.window.json` the rest: what the client,
the machine and the device did meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hallmark.core.errors import HarnessError
from hallmark.core.files import write_json
from hallmark.core.gates import judged
from hallmark.core.load import Load
from hallmark.core.records import Evidence
from hallmark.perf.core_speed import Spins
from hallmark.perf.device_series import DeviceReading
from hallmark.perf.sample import Failed, PointResult, Sample
from hallmark.perf.self_check import ClientCheck
from hallmark.perf.stalls import STALLS
from hallmark.perf.steady import steady_part
from hallmark.perf.verdicts import judge_window, judge_window_on_few
from hallmark.specs.cell import Cell
from hallmark.specs.model import PerfPoint

SAMPLES_ENDING, WINDOW_ENDING = ".samples.jsonl", ".window.json"
NEED_EVERY_TOKEN = frozenset({STALLS})
"""Evidence that rests on when each token came, of which a row has only the first and the last; it decides nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One window as its judges see it."""

    result: PointResult
    load: Load
    """Of the machine, in the window."""
    client: ClientCheck | None
    """The client's trial before it; None in a smoke run, which has none."""
    cores: Spins
    devices: tuple[DeviceReading, ...] = ()

    def judged(self, cell: Cell, point: PerfPoint) -> list[Evidence]:
        """What every judge of it says. What answers say when they are asked again is not among it."""
        if self.client is None:
            gated = list(judged("perf", cell, point, self.result))
            return judge_window_on_few(gated, self.result, point, load=self.load)
        steady = steady_part(self.result, point)
        gated = list(judged("perf", cell, point, steady.result))
        return judge_window(gated, steady, point, load=self.load, client=self.client, cores=self.cores, devices=self.devices)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A window without its requests."""

    result: Mapping[str, Any]
    warmup_failures: tuple[Failed, ...]
    load: Load
    client: ClientCheck | None
    cores: Spins
    devices: tuple[DeviceReading, ...]


_KEPT = TypeAdapter(_Kept)
_OF_RESULT = ("window_s", "stopped", "seed", "salt", "sent_again", "cached_by_chance", "client_delay_mean_s",
              "client_delay_max_s", "client_late_s", "client_cpu_s", "client_processes", "client_went_first",
              "curtailed")  # fmt: skip


def keep_window(beside: Path, window: Window) -> None:
    """Write `beside` with both endings."""
    kept = _Kept(
        result={name: getattr(window.result, name) for name in _OF_RESULT},
        warmup_failures=window.result.warmup_failures,
        load=window.load,
        client=window.client,
        cores=window.cores,
        devices=window.devices,
    )
    write_json(beside.with_name(f"{beside.name}{WINDOW_ENDING}"), _KEPT.dump_python(kept, mode="json"))
    with beside.with_name(f"{beside.name}{SAMPLES_ENDING}").open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in _rows(window.result))


def read_window(beside: Path) -> Window:
    """The window that `keep_window` wrote; HarnessError where there is none, or none that can be read."""
    kept_path, rows_path = (beside.with_name(f"{beside.name}{ending}") for ending in (WINDOW_ENDING, SAMPLES_ENDING))
    try:
        kept = _KEPT.validate_json(kept_path.read_bytes())
        with rows_path.open(encoding="utf-8") as stream:
            rows = [json.loads(line) for line in stream]
        result = PointResult(
            samples=tuple(_sample(row) for row in rows if "error" not in row),
            failures=tuple(Failed(**row) for row in rows if "error" in row),
            warmup_failures=kept.warmup_failures,
            **kept.result,
        )
    except (OSError, ValueError, TypeError, KeyError, ValidationError) as exc:
        raise HarnessError(f"its window cannot be read: {type(exc).__name__}: {str(exc).splitlines()[0]}") from exc
    return Window(result=result, load=kept.load, client=kept.client, cores=kept.cores, devices=kept.devices)


_OF_SAMPLE = ("start", "taken_up", "sent", "first_byte", "end", "prompt_tokens", "output_tokens", "cached_tokens", "held_s",
              "kind", "turn")  # fmt: skip


def _rows(result: PointResult) -> Iterator[dict[str, Any]]:
    """In the order in which they are judged."""
    for sample in result.samples:
        times = {"first_token": sample.token_times[0], "last_token": sample.token_times[-1], "arrivals": sample.arrivals}
        yield {**{name: getattr(sample, name) for name in _OF_SAMPLE}, **times}
    for failed in result.failures:
        yield {"start": failed.start, "error": failed.error, "late": failed.late}


def _sample(row: Mapping[str, Any]) -> Sample:
    """With as many moments as tokens came at; those between the first and the last are evenly spread."""
    first, last, arrivals = row["first_token"], row["last_token"], row["arrivals"]
    between = (first + (last - first) * place / (arrivals - 1) for place in range(1, arrivals - 1))
    times = (first, *between, last) if arrivals > 1 else (first,)
    return Sample(token_times=times, **{name: row[name] for name in _OF_SAMPLE})
