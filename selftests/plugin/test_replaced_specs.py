"""A run of a spec that stands in the place of another says so in its header and in every report; by accident it cannot be had."""

from __future__ import annotations

import json

import pytest

from hallmark.specs.catalogue import load_catalogue
from hallmark.specs.model_spec import ModelSpec
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import ROOT

pytestmark = pytest.mark.e2e
CELL = "id_stand-in-server_stand-in_cpu"


@pytest.mark.long
def test_a_replaced_cell_is_told_wherever_its_result_is(place: Place) -> None:
    shipped = place.whole_spec()
    own = place.folder / "own"
    own.mkdir()
    (cell,) = [cell for cell in load_catalogue([ROOT / "model_specs", place.specs]).cells if cell.id == CELL]
    document = own / "model_specification_own.json"
    document.write_text(json.dumps(ModelSpec.of(cell).to_dict()), encoding="utf-8")
    ended = place.release(f"--spec-dir={own}", workflow="spec").end()
    assert ended.code == 2, ended.said
    told = f"{document}:1: cell id '{CELL}' exists already - the other is {shipped}; write `replaces: {CELL}` here"
    assert told in ended.err
    document.write_text(json.dumps({**ModelSpec.of(cell).to_dict(), "replaces": CELL}), encoding="utf-8")
    ended = place.release(f"--spec-dir={own}", workflow="spec").end()
    note = f"{document} stands in the place of the cell {CELL} of {shipped}"
    assert ended.code == 0, ended.said
    assert ended.out.splitlines().count(f"  {note}") == 2, "in the header, and beside the verdict"
    for name in ("report.html", "report.md", "report.json", "junit.xml", "manifest.json"):
        assert note in (ended.folder / name).read_text(encoding="utf-8").replace("\\_", "_"), name
    plan = place.release(f"--spec-dir={own}", "--print-plan", workflow="server").end()
    assert f"# {note}" in plan.out.splitlines()
