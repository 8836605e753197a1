"""The page of a matrix in a real browser: it fits its window, wide and narrow, and what went wrong is there to be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.fleet.result.build import load
from hallmark.fleet.result.render_html import render_html
from selftests.fleet.result.made_matrix import MadeMatrix, cell_id, planned
from selftests.report.samples import accepted_run
from selftests.report.test_browser import chromium, measured

__all__ = ["chromium"]


@pytest.mark.browser
@pytest.mark.parametrize("width", [800, 1400])
def test_the_page_fits_its_window(chromium: str, made_troubled: Path, tmp_path: Path, width: int) -> None:
    found = measured(chromium, render_html(load(made_troubled)), width=width, folder=tmp_path)
    assert found == {"width": width, "scroll": width, "banner": "REJECTED, INCOMPLETE", "wide": []}


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 800])
def test_many_devices_and_names_that_do_not_end_do_not_widen_it(chromium: str, tmp_path: Path, width: int) -> None:
    endless = "x" * 200
    devices = [f"d{place}" for place in range(14)]
    made = MadeMatrix(tmp_path / "m", *(planned(endless, device) for device in devices), host=endless)
    made.started(cell_id(endless, "d0"), node=endless)
    made.ended(cell_id(endless, "d0"), node=endless, node_fault=endless, headline=endless)
    made.ran(cell_id(endless, "d1"), accepted_run())
    found = measured(chromium, render_html(load(made.finished())), width=width, folder=tmp_path)
    assert (found["scroll"], found["banner"]) == (width, "VOID, INCOMPLETE")
