"""Where model specs are if nobody says so."""

from __future__ import annotations

import os
from pathlib import Path

from hallmark.core.extensions import extensions

SPEC_DIR_VARIABLE = "HALLMARK_SPEC_DIR"


def default_folders() -> tuple[Path, ...]:
    """$HALLMARK_SPEC_DIR (comma-separated), else the catalogues of hallmark and of installed plugins."""
    if stated := os.environ.get(SPEC_DIR_VARIABLE):
        return tuple(Path(folder) for folder in stated.split(",") if folder)
    return extensions().answers("catalogues")
