"""The cell of a stand-in, for all tests of what the checks of `tests/server` see."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.specs.cell import Cell
from selftests.server.running_checks import make_cell


@pytest.fixture(scope="session")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Cell:
    """It declares every feature."""
    folder: Path = tmp_path_factory.mktemp("specs")
    return make_cell(folder)
