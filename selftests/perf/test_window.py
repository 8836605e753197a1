"""A window that was kept is judged as it was when it had just been measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hallmark.core.errors import HarnessError
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.perf.core_speed import Spins
from hallmark.perf.device_series import DeviceReading
from hallmark.perf.sample import Failed, PointResult
from hallmark.perf.self_check import ClientCheck
from hallmark.perf.window import NEED_EVERY_TOKEN, SAMPLES_ENDING, WINDOW_ENDING, Window, keep_window, read_window
from hallmark.specs.catalogue import Selection, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.model import Metric
from selftests.perf.made_up import a_point, always, closed_loop, open_loop, stepping
from selftests.perf.test_disturbance import BUSY, QUIET
from selftests.perf.test_judging import with_gathered
from selftests.plugin.stand_in_spec import ROOT

TARGETS = {Metric.TTFT_P50: 80.0, Metric.TPOT_MEAN: 12.0, Metric.TOKENS: 10.0}
FAILED = (Failed(start=0.5, error="status 500"), Failed(start=1.0, error="too late", late=True))
CALM = closed_loop(300, 16, ttft=always(0.1))
OF_DEVICE = DeviceReading(
    at=1.0, index=0, clock_mhz=1410.0, power_w=None, temperature_c=60.0, busy_share=0.9, memory_mib=None, held_back_by=("heat",)
)


def a_window(result: PointResult, late_ms: float = 0.1, **given: object) -> Window:
    fields: dict[str, object] = {"load": QUIET, "client": ClientCheck(late_s=(late_ms / 1000,) * 512)}
    fields |= {"cores": Spins(before=(100, 101), during=(100,) * 20, after=(99, 100)), "devices": (OF_DEVICE,)}
    return Window(result=result, **(fields | given))  # type: ignore[arg-type]


WINDOWS = {
    "calm": a_window(CALM),
    "on a busy machine": a_window(CALM, load=BUSY),
    "with a warm-up": a_window(closed_loop(300, 16, ttft=stepping(0.4, 0.1, at=2.0))),
    "that drifts": a_window(closed_loop(600, 16, ttft=stepping(0.1, 0.2, at=6.0))),
    "in pieces": a_window(with_gathered(30)),
    "with failures": a_window(
        replace(CALM, failures=(Failed(start=0.5, error="status 500"), Failed(start=1.0, error="", late=True)))
    ),
    "with a failed warm-up": a_window(replace(CALM, warmup_failures=(Failed(start=0.0, error="status 500"),), stopped="it died")),
    "of a client that is late": a_window(CALM, late_ms=40.0),
    "of a client that went first": a_window(replace(CALM, client_went_first=True)),
    "of a smoke run": a_window(CALM, client=None),
}


@pytest.fixture(scope="module")
def cell() -> Cell:
    (found,) = load_catalogue([ROOT / "model_specs"]).select(Selection(models=("hallmark-tiny",), device="cpu"))
    return found


def decided(window: Window, cell: Cell, *, rate: float = 0.0) -> list[Evidence]:
    """What its judges say, but for what a row does not tell."""
    point = a_point(window.result, rate=rate, targets=TARGETS)
    return [evidence for evidence in window.judged(cell, point) if evidence.name not in NEED_EVERY_TOKEN]


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_that_was_kept_is_judged_alike(name: str, cell: Cell, tmp_path: Path) -> None:
    window = WINDOWS[name]
    keep_window(tmp_path / "point", window)
    assert decided(read_window(tmp_path / "point"), cell) == decided(window, cell)


def test_an_open_loop_that_was_kept_is_judged_alike(cell: Cell, tmp_path: Path) -> None:
    window = a_window(open_loop(300, 20.0, ttft=always(0.1), most=4))
    keep_window(tmp_path / "point", window)
    assert decided(read_window(tmp_path / "point"), cell, rate=20.0) == decided(window, cell, rate=20.0)


def test_the_windows_above_come_to_different_verdicts(cell: Cell) -> None:
    """Else that they are judged alike would say little."""
    found = {name: tuple(evidence.verdict for evidence in decided(window, cell)) for name, window in WINDOWS.items()}
    assert {verdict for verdicts in found.values() for verdict in verdicts} >= {Verdict.PASS, Verdict.FAIL, Verdict.VOID}
    assert len(set(found.values())) >= 4


@pytest.mark.parametrize("content", [None, b"{}\n", b"half of a li"])
@pytest.mark.parametrize("ending", [SAMPLES_ENDING, WINDOW_ENDING])
def test_what_is_no_window_says_so(ending: str, content: bytes | None, tmp_path: Path) -> None:
    keep_window(tmp_path / "point", WINDOWS["calm"])
    path = tmp_path / f"point{ending}"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(HarnessError, match="its window cannot be read"):
        read_window(tmp_path / "point")
