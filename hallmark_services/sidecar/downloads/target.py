"""Where a model may be put, and where what is not whole yet lies beside it."""

from __future__ import annotations

import os
from pathlib import Path

from hallmark_services.sidecar.downloads.request import Refused
from hallmark_services.sidecar.downloads.source import CONTROL

MARKER = ".hallmark-complete.json"
"""The last file that is written: where it is, the model is whole."""
WORKSHOP = ".hallmark-downloads"
"""The folder beside a target with its lock and what has come so far. On the target's file system, so that a rename moves it."""
_LONGEST_NAME = 200


def resolve_target(output_dir: str, roots: tuple[str, ...]) -> tuple[Path, Path]:
    """(target, root), both without symlinks; Refused when the target is not properly below a root."""
    if not output_dir.startswith("/") or CONTROL.search(output_dir) or len(output_dir) > 2048:
        raise Refused(400, "output_dir: write an absolute path of plain characters")
    parts = output_dir.strip("/").split("/")
    if any(part in (".", "..") or len(os.fsencode(part)) > _LONGEST_NAME for part in parts):
        raise Refused(400, "output_dir: no part may be '.', '..' or longer than 200 bytes")
    if any(part.startswith(".hallmark") for part in parts):
        raise Refused(403, "output_dir: names that begin with .hallmark are this service's own")
    target = Path(os.path.realpath(output_dir))
    for root in roots:
        real_root = Path(os.path.realpath(root))
        if real_root in target.parents and not any(part.startswith(".hallmark") for part in target.parts):
            return target, real_root
    raise Refused(403, "output_dir: it is not below a folder that downloads may write to")
