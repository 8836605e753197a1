"""Where model specs are if nobody says so."""

from __future__ import annotations

import os
from pathlib import Path

from hallmark.core.errors import UsageError

SPEC_DIR_VARIABLE = "HALLMARK_SPEC_DIR"


def default_folders() -> tuple[Path, ...]:
    """$HALLMARK_SPEC_DIR (comma-separated), else the checkout's model_specs, else those here; UsageError where there are none."""
    if stated := os.environ.get(SPEC_DIR_VARIABLE):
        return tuple(Path(folder) for folder in stated.split(",") if folder)
    for root in (Path(__file__).resolve().parents[2], Path.cwd()):
        if (root / "model_specs").is_dir():
            return (root / "model_specs",)
    raise UsageError("no folder of model specs here", where="registry", hint=f"name one in {SPEC_DIR_VARIABLE}")
