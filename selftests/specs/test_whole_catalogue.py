"""tests/spec over every cell of the catalogue, with no server and no accelerator: honest verdicts, whatever the order."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import pytest

from hallmark.environment.devices import detect
from hallmark.specs.catalogue import Selection, load_catalogue
from hallmark.specs.checks import demanded
from selftests.plugin.commands import records_in

ROOT = Path(__file__).resolve().parents[2]
BACKWARDS = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    items.reverse()
"""
ONE = "Qwen3-8B"
"""A model on many devices."""
TINY = "hallmark-tiny*"
"""Whose device is here."""
REMEMBERING = """#!/bin/sh
# As {python}, but what a program on stdin printed in an environment is printed again the next time.
here=$(dirname "$0"); program=$here/program-$$; cat >"$program"
known=$here/answer-$( (env | grep -v "^PYTEST_" | sort; printf '%s\\n' "$@"; cat "$program") | cksum | tr ' ' -)
[ -e "$known" ] || {{ "{python}" "$@" <"$program" >"$program.new" && mv "$program.new" "$known"; }} || exit
rm "$program"; exec cat "$known"
"""
Verdicts = dict[tuple[str, str], str]


def verdicts(folder: Path, *arguments: str) -> Verdicts:
    """(cell, check) -> verdict of a whole `pytest tests/spec`; the interpreter of these tests stands in for the server's.

    It is asked once about what it told before: two questions of each of 123 cells are most of the time otherwise.
    """
    folder.mkdir()
    (folder / "backwards.py").write_text(BACKWARDS)
    python = folder.parent / "python"
    python.write_text(REMEMBERING.format(python=sys.executable))
    python.chmod(0o755)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HALLMARK_", "PYTEST_"))}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/spec",
        f"--artifacts={folder}",
        f"--server-python={python}",
        "-q",
        "--tb=native",  # tracebacks that nobody reads cost as much as all the rest
        *arguments,
    ]
    ended = subprocess.run(
        command, cwd=ROOT, env=environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False, timeout=600
    )
    assert ended.returncode == 1, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert "INTERNALERROR" not in ended.stdout
    records = [record for path in folder.glob("*/records.jsonl") for record in records_in(path)]
    found = {(record["cell"], record["check"]): record["verdict"] for record in records}
    assert len(found) == len(records), "each check once"
    return found


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.parametrize("model", [ONE, pytest.param("*", marks=pytest.mark.catalogue)])
def test_every_cell_is_checked_alike_in_any_order(tmp_path: Path, model: str) -> None:
    catalogue = load_catalogue([ROOT / "model_specs"])
    cells = {cell.id: cell for cell in catalogue.cells if fnmatch(cell.model, model)}
    spread = verdicts(tmp_path / "spread", f"--model={model}")
    backwards = verdicts(tmp_path / "backwards", f"--model={ONE}", "-p", "backwards", "-n", "2")
    of_one = {cell for cell, _ in backwards}
    assert of_one == {cell.id for cell in catalogue.select(Selection(models=(ONE,)))}
    assert backwards == {key: verdict for key, verdict in spread.items() if key[0] in of_one}
    by_default = catalogue.select(Selection(models=(model,)))
    for number, cell in enumerate(cell for cell in cells.values() if cell not in by_default):
        chosen = (f"--model={cell.model}", f"--device={cell.device}", f"--impl={cell.impl.name}")
        spread |= verdicts(tmp_path / f"other-{number}", *chosen)
    assert {cell for cell, _ in spread} == set(cells), "every cell"
    for cell_id in {cell for cell, _ in spread}:
        wanted = {entry.check for entry in demanded(cells[cell_id]) if entry.kind == "spec"}
        assert {check for cell, check in spread if cell == cell_id} == wanted, "every check of the manifest is told"
    present = {name for name, device in catalogue.devices.items() if detect(device).present}
    elsewhere = {cell.id for cell in catalogue.cells if cell.device not in present}
    missed = {verdict for (cell, check), verdict in spread.items() if cell in elsewhere and check == "spec.device"}
    assert missed == {"VOID"}, "no device: what needs it is void, and so is the cell"
    here = Counter(
        verdict for (cell, _), verdict in verdicts(tmp_path / "tiny", f"--model={TINY}").items() if cell not in elsewhere
    )
    assert here["PASS"] >= 5
    assert here["FAIL"] >= 1, "this interpreter has no vLLM, and that is no pass"
