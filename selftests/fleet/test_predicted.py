"""How long a cell will take, and whose duration that is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hallmark.core.product import CATALOGUE
from hallmark.fleet.predicted import Asked, PastRun, Predictor, past_runs, stated_s
from hallmark.specs.catalogue import Catalogue, Selection, load_catalogue
from hallmark.specs.cell import Cell

WHOLE: frozenset[str] = frozenset()


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue([CATALOGUE])


def cell_of(catalogue: Catalogue, model: str, device: str) -> Cell:
    return catalogue.select(Selection(models=(model,), device=device))[0]


def run_of(cell: Cell, seconds: float, *, workflow: str = "release", partial: frozenset[str] = WHOLE) -> PastRun:
    return PastRun(cell=cell.id, workflow=workflow, partial=partial, seconds=seconds)


def test_a_cell_takes_as_long_as_it_took(catalogue: Catalogue) -> None:
    tiny = cell_of(catalogue, "hallmark-tiny", "cpu")
    runs = [run_of(tiny, seconds) for seconds in (100, 300, 200, 900, 250, 10_000)]
    found = Predictor(runs, catalogue.cells, Asked()).of(tiny)
    assert (found.seconds, found.source) == (250, "the median of its last 5 runs")
    assert Predictor(runs[:1], catalogue.cells, Asked()).of(tiny).source == "its last run"


def test_a_run_of_less_says_nothing_of_a_whole_one(catalogue: Catalogue) -> None:
    tiny = cell_of(catalogue, "hallmark-tiny", "cpu")
    evals = run_of(tiny, 7, workflow="evals", partial=frozenset({"--workflow evals"}))
    part = [run_of(tiny, 5, partial=frozenset({"--smoke"})), evals]
    assert Predictor(part, catalogue.cells, Asked()).of(tiny).source.startswith("a guess")
    assert Predictor(part, catalogue.cells, Asked(smoke=True)).of(tiny).seconds == 5
    assert Predictor(part, catalogue.cells, Asked(workflow="evals")).of(tiny).seconds == 7


def test_what_was_never_run_takes_as_long_as_its_like_scaled(catalogue: Catalogue) -> None:
    """Twice as long as its own spec states, where that took twice as long."""
    like, other = (cell_of(catalogue, "Llama-3.1-8B-Instruct", device) for device in ("n150", "n300"))
    runs = [run_of(like, 2 * stated_s(like, Asked()))]
    found = Predictor(runs, catalogue.cells, Asked()).of(other)
    assert found.seconds == pytest.approx(2 * stated_s(other, Asked()))
    assert found.source == f"1 run of {like.model} on {like.device}, scaled"
    stranger = cell_of(catalogue, "hallmark-tiny", "cpu")
    assert Predictor(runs, catalogue.cells, Asked()).of(stranger).source.startswith("a guess")


def test_runs_that_came_to_their_end_are_found(tmp_path: Path) -> None:
    said = {"cell": "c", "workflow": "release", "partial": [], "duration_s": 12.5, "decision": {"outcome": "ACCEPTED"}}
    others = [
        said | {"decision": {"outcome": "VOID"}},
        said | {"decision": {"outcome": "INTERRUPTED"}},
        said | {"breaks": [{}]},
        said | {"duration_s": 0},
        {"surprise": 1},
    ]
    for place, told in enumerate(others):
        write(tmp_path / f"other-{place}" / "report.json", json.dumps(told))
    write(tmp_path / "torn" / "report.json", '{"cell": ')
    attempt = tmp_path / "20261121T014500Z-matrix" / "cells" / "c" / "2"
    write(attempt / "run" / "report.json", json.dumps(said | {"duration_s": 3}))
    write(tmp_path / "20261121T014500Z-c-release" / "report.json", json.dumps(said))
    os.utime(tmp_path / "20261121T014500Z-c-release" / "report.json", (1, 1))
    assert [run.seconds for run in past_runs(tmp_path)] == [3, 12.5]
    assert past_runs(tmp_path / "nowhere") == ()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)
