"""`hallmark matrix --merge FOLDER...`: matrices of several sites, or of several days, joined in one folder with one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.fleet.result.ending import conclude
from hallmark.fleet.result.merge import merge
from hallmark.fleet.result.reading import is_matrix
from hallmark.fleet.result.render_text import summary_lines
from hallmark.signing.keys import named_key
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.verify.matrix.session import told, verify_matrix
from hallmark.workflows.verify.session import ALTERED


def merge_matrices(folders: Sequence[Path], artifacts: Path, environ: Mapping[str, str]) -> Ended:
    """Join what is as it was written, and end as all of it does; 5 where a folder is not. UsageError for what is no matrix."""
    key = named_key(environ)
    for folder in folders:
        if not is_matrix(folder):
            raise UsageError("holds no matrix", where=str(folder), hint="name the folder of a matrix, below artifacts/")
        found = verify_matrix(folder)
        if found.altered or found.report is None:
            return Ended(exit_code=ALTERED, lines=(*told(found), "not merged: it is not as its matrix wrote it"))
    merged = merge(folders, artifacts)
    if not merged.is_new:
        found = verify_matrix(merged.folder)
        return Ended(exit_code=found.exit_code, lines=("these were joined before, and nothing is new:", *told(found)))
    report = conclude(merged.folder, key.sign if key else None)
    return Ended(exit_code=report.decision.exit_code, lines=tuple(summary_lines(report, str(merged.folder))))
