"""A node says what it has, as it was detected there, and how it was looked."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from hallmark import __version__
from hallmark.core.own_code import code_digest
from hallmark.core.product import CATALOGUE
from hallmark.fleet.node_look import look, main
from selftests.environment import fakes


def test_units_are_counted_in_boards_and_what_is_not_there_says_how_it_was_looked(tmp_path: Path) -> None:
    fakes.tool(tmp_path / "bin", "tt-smi", fakes.tt_smi(4))
    found = look([CATALOGUE], environ={}, machine=fakes.machine(tmp_path, tmp_path / "bin"))
    assert found["units"] == {"cpu": 1, "n300": 4}
    assert found["looked"]["n300"].startswith("tt-smi: 4 x n300 L, 4 x n300 R")
    assert "nvidia-smi: not on PATH" in found["looked"]["h100"]
    assert (found["hallmark"], found["code"], found["python"]) == (__version__, code_digest(), sys.executable)


def test_boards_that_the_environment_hides_are_not_this_nodes(tmp_path: Path) -> None:
    fakes.tool(tmp_path / "bin", "tt-smi", fakes.tt_smi(4))
    here = fakes.machine(tmp_path, tmp_path / "bin")
    found = look([CATALOGUE], environ={"TT_VISIBLE_DEVICES": "1,2"}, machine=here)
    assert found["units"]["n300"] == 2
    assert found["looked"]["n300"].endswith("TT_VISIBLE_DEVICES=1,2 hides the others")


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([]) == 0
    assert json.loads(capsys.readouterr().out)["units"]["cpu"] == 1
    (tmp_path / "broken.yaml").write_text("schema_version: 1\nfamily: [", encoding="utf-8")
    assert main(["--spec-dir", str(tmp_path)]) == 2
    assert str(tmp_path / "broken.yaml") in capsys.readouterr().err
