from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty machine's root folder."""
    folder = tmp_path / "root"
    (folder / "sys/bus/pci/devices").mkdir(parents=True)
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for fake tools."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder
