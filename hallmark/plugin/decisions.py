"""What run.py is told about a run: the file of `--decisions`, because pytest's exit codes are pytest's own."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from hallmark.core.errors import HallmarkError, InfrastructureError
from hallmark.core.files import write_json
from hallmark.core.scratch import HINT


def write_decisions(config: pytest.Config, cells: Sequence[dict[str, object]], error: HallmarkError | None) -> None:
    """Write {"cells": [...], "error": ...} where `--decisions` says; InfrastructureError where that cannot be."""
    if path := config.option.hallmark_decisions:
        what = {"message": str(error), "exit_code": error.exit_code} if error else None
        try:
            write_json(Path(path), {"cells": list(cells), "error": what})
        except InfrastructureError as exc:  # among temporary files: their disk may be another one than that of the results
            raise InfrastructureError(exc.message, where=exc.where, hint=HINT) from exc


def stopped(config: pytest.Config, error: HallmarkError) -> pytest.UsageError:
    """The exception that ends pytest with the error's one line and no traceback."""
    with contextlib.suppress(HallmarkError):  # what ended the run is told all the same
        write_decisions(config, [], error)
    return pytest.UsageError(str(error))
