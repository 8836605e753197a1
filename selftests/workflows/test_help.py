"""Each command's help fits a screen of 40 lines by 100 columns, and shows an example."""

from __future__ import annotations

import pytest

from hallmark.cli import COMMANDS, checkout, main

SPECS = ("list", "show", "match", "expand", "lint", "convert", "schema")
NAMES = [[name] for name in COMMANDS]
HELPS = [*NAMES, *(["specs", name] for name in SPECS)]


def must_fit(shown: str) -> None:
    lines = shown.splitlines()
    assert 5 <= len(lines) <= 40, shown
    assert max(map(len, lines)) <= 100, shown
    assert "example: " in shown, shown


@pytest.mark.parametrize("command", HELPS, ids=" ".join)
def test_the_help_of_a_command_fits_a_screen(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    must_fit(shown := capsys.readouterr().out)
    assert shown.startswith(f"usage: hallmark {' '.join(command)} "), "it is titled by what the user typed"
    assert shown.count(f"hallmark {' '.join(command)}") >= 2, "the example shows another command"


def test_the_overview_fits_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    must_fit(capsys.readouterr().out)


def test_the_help_of_run_py_fits_a_screen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        checkout(["--help"])
    must_fit(shown := capsys.readouterr().out)
    assert shown.startswith("usage: run.py ")
    assert "example: run.py " in shown
