"""Runs the checks of one file of the suite against a stand-in, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hallmark.core.product import CATALOGUE
from hallmark.core.verdict import Verdict
from hallmark.plugin.outcome import Outcome
from hallmark.specs.catalogue import Selection, load_catalogue
from hallmark.specs.cell import Cell
from selftests.faulty import MODEL
from selftests.plugin.stand_in_spec import DEVICE, family, write_spec
from selftests.server.checking import Suite, checks_in, served


def make_cell(folder: Path, **fields: Any) -> Cell:
    """The cell of the stand-in, as a spec in `folder` makes it."""
    write_spec(folder, family(environment={}, **fields))
    (cell,) = load_catalogue([CATALOGUE, folder]).select(Selection(models=(MODEL,), device=DEVICE))
    return cell


def run_checks(
    files: str | Sequence[str], cell: Cell, *faults: str, only: Sequence[str] = (), key: str = "", **options: object
) -> dict[str, Outcome]:
    """Check id -> what became of it, of every check in `files` (of `only` those, where they are named), whatever it needs."""
    shown = {"api_key": key} if key else {}
    of_files = checks_in(*([files] if isinstance(files, str) else files))
    with served(*faults, **shown, **options) as url:
        suite = Suite(url, key=key, cell=cell)
        try:
            return {id_: suite.run(replace(one, needs=()))[0] for id_, one in of_files.items() if not only or id_ in only}
        finally:
            suite.client.close()


def red(ran: dict[str, Outcome]) -> dict[str, str]:
    """Check id -> reason, of those that failed."""
    return {id_: one.reason for id_, one in ran.items() if one.verdict is Verdict.FAIL}


def not_passed(ran: dict[str, Outcome]) -> dict[str, str]:
    """Check id -> verdict and reason, of those that are not good."""
    return {id_: f"{one.verdict}: {one.reason}" for id_, one in ran.items() if one.verdict is not Verdict.PASS}
