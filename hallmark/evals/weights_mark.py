"""A mark by which weights are known again, at a cost that does not grow with them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hallmark.specs.model import Weights

_WHOLE_BYTES = 64 * 1024 * 1024
"""Files up to this size are read whole."""
_PIECES, _PIECE_BYTES = 64, 64 * 1024
"""Of larger ones so many pieces, evenly spread: what is trained or rounded differently differs everywhere."""


def weights_mark(weights: Weights, spec_file: Path) -> str:
    """`sha256:...` of a folder's weights and config; `OWNER/NAME@REVISION` of a repository."""
    if not weights.path:
        return f"{weights.repo}@{weights.revision or 'newest'}"
    folder = (spec_file.parent / weights.path).resolve()
    mark = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("config.json")]):
        mark.update(f"{path.name} {path.stat().st_size}\n".encode())
        _feed(mark, path)
    return f"sha256:{mark.hexdigest()}"


def _feed(mark: hashlib._Hash, path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as stream:
        if size <= _WHOLE_BYTES:
            mark.update(stream.read())
            return
        for piece in range(_PIECES):
            stream.seek((size - _PIECE_BYTES) * piece // (_PIECES - 1))
            mark.update(stream.read(_PIECE_BYTES))
