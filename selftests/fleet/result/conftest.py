"""What the tests of a matrix's result share: folders of matrices, made once and copied, keys, and hallmark as it is typed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hallmark.fleet.result.ending import conclude
from selftests.certificate.conftest import QUIET, hallmark, made_keys, ours, stranger, theirs
from selftests.fleet.result.made_matrix import troubled_matrix, whole_matrix

__all__ = ["hallmark", "made_keys", "ours", "stranger", "theirs"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(QUIET))


@pytest.fixture(scope="session")
def made_whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = whole_matrix(tmp_path_factory.mktemp("matrices") / "whole")
    conclude(folder)
    return folder


@pytest.fixture(scope="session")
def made_troubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = troubled_matrix(tmp_path_factory.mktemp("matrices") / "troubled")
    conclude(folder)
    return folder


@pytest.fixture
def whole(made_whole: Path, tmp_path: Path) -> Path:
    """A matrix of which every cell was accepted, with its report and an unsigned certificate."""
    return Path(shutil.copytree(made_whole, tmp_path / "whole"))


@pytest.fixture
def troubled(made_troubled: Path, tmp_path: Path) -> Path:
    """One of which a cell was rejected, one lost twice, and one never run."""
    return Path(shutil.copytree(made_troubled, tmp_path / "troubled"))
