"""The runs of a matrix that count, for whatever is made of runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hallmark.fleet.matrix_file import attempt_folder
from hallmark.fleet.order import RUN_FOLDER
from hallmark.fleet.result.reading import sites_in


def counted_runs(folder: Path) -> Iterator[tuple[str, Path]]:
    """(its digest, its folder) of each cell's run that counts where it was made; what there is of no whole run is left out.

    UsageError where the folder holds no matrix, InfrastructureError where its journal cannot be followed.
    """
    for site in sites_in(folder):
        for cell in site.standing.cells.values():
            counts = cell.counts
            if counts and counts.outcome and counts.outcome.run_digest:
                yield counts.outcome.run_digest, attempt_folder(site.path, cell.cell, counts.number) / RUN_FOLDER
