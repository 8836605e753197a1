"""The device that is meant when nobody says: never a guess between two, never one that is not here."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.core.errors import UsageError
from hallmark.environment.devices import Presence
from hallmark.specs.catalogue import Selection, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.workflows.device import guessed
from selftests.plugin.stand_in_spec import ROOT, family, write_spec


def cells_on(folder: Path, *devices: str) -> tuple[Cell, ...]:
    data = family(environment={})
    entry = data["impls"][0]["devices"].pop("cpu")
    data["impls"][0]["devices"] = dict.fromkeys(devices, entry)
    write_spec(folder, data)
    return load_catalogue([ROOT / "model_specs", folder]).select(Selection(models=("stand-in",)))


def guess(cells: tuple[Cell, ...], *here: str) -> str:
    """What is guessed on a machine with these devices."""
    titles = {cell.device_spec.title: cell.device for cell in cells}
    return guessed(cells, look=lambda spec: Presence(present=titles[spec.title] in here, found="", looked=()))


def test_the_only_candidate_is_meant_even_where_it_is_not_here(tmp_path: Path) -> None:
    """That it is missing is for its own check to say, with how it was looked for."""
    assert guess(cells_on(tmp_path, "t3k")) == "t3k"


def test_the_one_that_is_here_is_meant(tmp_path: Path) -> None:
    assert guess(cells_on(tmp_path, "t3k", "cpu"), "cpu") == "cpu"


@pytest.mark.parametrize(("here", "why"), [((), "none of cpu, t3k is here"), (("t3k", "cpu"), "several are here: cpu, t3k")])
def test_anything_else_is_asked_back(tmp_path: Path, here: tuple[str, ...], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        guess(cells_on(tmp_path, "t3k", "cpu"), *here)
    assert why in str(caught.value)
    assert "name one of cpu, t3k" in str(caught.value)
