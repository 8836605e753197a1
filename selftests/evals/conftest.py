"""What the tests of the harness share: one worker, because lm-eval takes seconds to import, and the shipped cell."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hallmark.core.endpoint import Endpoint
from hallmark.evals.harness import EvalRequest, Harness
from hallmark.evals.task import make_request
from hallmark.specs.catalogue import Selection, load_catalogue
from hallmark.specs.cell import Cell

ROOT = Path(__file__).resolve().parents[2]
Ask = Callable[..., EvalRequest]


@pytest.fixture(scope="session")
def cell() -> Cell:
    (found,) = load_catalogue([ROOT / "model_specs"]).select(Selection(models=("hallmark-tiny",), device="cpu"))
    return found


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    pytest.importorskip("lm_eval", reason="needs the extra `evals`")
    running = Harness(environ=os.environ, log_path=tmp_path_factory.mktemp("lm_eval") / "lm_eval.log")
    yield running
    running.stop()


@pytest.fixture
def ask(cell: Cell, tmp_path: Path) -> Ask:
    """(name of an eval, server's URL) -> the request that the product would make, of a few items."""

    def request(name: str, url: str, *, model: str = "stand-in", limit: int = 20) -> EvalRequest:
        target = next(t for t in cell.evals if t.name == name)
        return make_request(cell, target, Endpoint(base_url=url, model=model), folder=tmp_path, limit=limit)

    return request
