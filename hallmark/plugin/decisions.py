"""What run.py is told about a run: the file of `--decisions`, because pytest's exit codes are pytest's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hallmark.core.errors import HallmarkError
from hallmark.core.files import write_json


def write_decisions(config: pytest.Config, cells: Sequence[dict[str, object]], error: HallmarkError | None) -> None:
    """Write {"cells": [...], "error": ...} where `--decisions` says."""
    if path := config.option.hallmark_decisions:
        what = {"message": str(error), "exit_code": error.exit_code} if error else None
        write_json(Path(path), {"cells": list(cells), "error": what})


def stopped(config: pytest.Config, error: HallmarkError) -> pytest.UsageError:
    """The exception that ends pytest with the error's one line and no traceback."""
    write_decisions(config, [], error)
    return pytest.UsageError(str(error))
