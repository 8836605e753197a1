"""What run.py makes of how pytest ended; a `pytest.py` in the working directory stands in for pytest and ends as it is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.parts import WORKFLOWS
from hallmark.workflows.acceptance import run_acceptance
from selftests.core.polling import comes_true

ROOT = Path(__file__).resolve().parents[2]

FAKE = """
import json, os, signal, sys
from pathlib import Path
told = json.loads(Path("told.json").read_text())
Path("argv.json").write_text(json.dumps(sys.argv[1:]))
def end(*_):
    if told["decisions"] is not None:
        Path(sys.argv[sys.argv.index("--hallmark-decisions") + 1]).write_text(json.dumps(told["decisions"]))
    if told["code"] < 0:
        os.kill(os.getpid(), -told["code"])
    os._exit(told["code"])
if told["waits"]:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    Path("waiting").write_text(str(os.getpid()))
    while True:
        signal.pause()
end()
"""


def cell(exit_code: int, name: str = "id_a_b_cpu") -> dict[str, Any]:
    return {"cell": name, "folder": f"/runs/{name}", "title": "X", "headline": f"headline of {name}", "exit_code": exit_code}


def tell(root: Path, code: int, *cells: dict[str, Any], error: int = 0, silent: bool = False, waits: bool = False) -> None:
    """Have the stand-in for pytest exit with `code` after writing these cells (nothing at all where `silent`)."""
    decisions = {"cells": list(cells), "error": {"message": "m", "exit_code": error} if error else None}
    (root / "pytest.py").write_text(FAKE)
    (root / "told.json").write_text(json.dumps({"code": code, "decisions": None if silent else decisions, "waits": waits}))


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([0], 0),
        ([0, 0], 0),
        ([1], 1),
        ([3], 3),
        ([4], 4),
        ([0, 4], 4),
        ([4, 3], 3),
        ([0, 1], 1),
        ([3, 1, 4], 1),
        ([4, 2, 0], 2),
        ([2, 3], 3),
        ([1, 130, 3], 130),
    ],
)
def test_of_several_cells_the_gravest_end_wins(tmp_path: Path, codes: list[int], expected: int) -> None:
    """One that is accepted never hides one that is not, whichever comes first."""
    for order in (codes, codes[::-1]):
        tell(tmp_path, 1 if any(codes) else 0, *(cell(code, f"id_{place}") for place, code in enumerate(order)))
        assert run_acceptance("release", [], root=tmp_path).exit_code == expected


@pytest.mark.parametrize(("code", "expected"), [(1, 1), (2, 3), (3, 3), (4, 2), (5, 4), (-9, 130), (130, 130), (-11, 130)])
@pytest.mark.parametrize("silent", [True, False], ids=["wrote nothing", "wrote accepted"])
def test_an_unhappy_pytest_is_never_accepted(tmp_path: Path, code: int, expected: int, silent: bool) -> None:
    """Planted: it crashes, is killed, or a test of somebody's own fails, though each cell was accepted."""
    tell(tmp_path, code, *([] if silent else [cell(0)]), silent=silent)
    ended = run_acceptance("release", [], root=tmp_path)
    assert ended.exit_code == expected
    assert ("verdict: INTERRUPTED" if code == 130 else "verdict: not accepted") in ended.lines[-1]


def test_a_happy_pytest_that_decided_nothing_is_incomplete(tmp_path: Path) -> None:
    for silent in (True, False):
        tell(tmp_path, 0, silent=silent)
        assert run_acceptance("release", [], root=tmp_path).exit_code == 4


def test_a_crash_weighs_more_than_a_narrowed_run(tmp_path: Path) -> None:
    tell(tmp_path, 3, cell(4))
    assert run_acceptance("release", [], root=tmp_path).exit_code == 3


@pytest.mark.parametrize(("cells", "expected"), [((3,), 2), ((3, 3), 2), ((3, 1), 1), ((0, 3), 2)])
def test_what_a_wrong_option_kept_from_being_carried_out_is_no_fault_of_the_machine(
    tmp_path: Path, cells: tuple[int, ...], expected: int
) -> None:
    tell(tmp_path, 1, *(cell(code, f"id_{place}") for place, code in enumerate(cells)), error=2)
    assert run_acceptance("release", [], root=tmp_path).exit_code == expected


@pytest.mark.parametrize("error", [2, 3])
def test_an_error_of_the_run_itself_has_its_own_code(tmp_path: Path, error: int) -> None:
    """A usage error, a full disk: pytest's own code says less."""
    tell(tmp_path, 4, error=error)
    assert run_acceptance("release", [], root=tmp_path).exit_code == error
    tell(tmp_path, 1, cell(0), error=error)
    assert run_acceptance("release", [], root=tmp_path).exit_code == error


def test_the_last_lines_name_each_report_and_verdict(tmp_path: Path) -> None:
    tell(tmp_path, 0, cell(0))
    assert run_acceptance("release", [], root=tmp_path).lines == (
        "report: /runs/id_a_b_cpu/report.html",
        "verdict: X - headline of id_a_b_cpu",
    )
    tell(tmp_path, 1, cell(0, "one"), cell(1, "two"))
    assert run_acceptance("release", [], root=tmp_path).lines[-1] == "verdict: X - headline of two [two]"


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_is_named_and_the_rest_passed_on(tmp_path: Path, workflow: str) -> None:
    tell(tmp_path, 0, cell(0))
    run_acceptance(workflow, ["--model=m", "-x"], root=tmp_path)
    words = json.loads((tmp_path / "argv.json").read_text())
    assert words[:2] == ["--hallmark-workflow", workflow]
    assert {"--model=m", "-x"} <= set(words)
    assert not Path(words[words.index("--hallmark-decisions") + 1]).exists(), "left a file behind"


PARENT = """
import sys
from pathlib import Path
from hallmark.workflows.acceptance import run_acceptance
sys.exit(run_acceptance("release", [], root=Path(sys.argv[1])).exit_code)
"""


IN_THE_BACKGROUND = ["sh", "-c", '"$@" & echo $! > started && wait $!', "sh"]
"""As a script does: the shell has what it starts so ignore SIGINT."""


@pytest.mark.parametrize("whom", ["run.py alone", "both", "run.py in the background of a shell"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda how: how.name)
def test_an_interrupted_run_lets_pytest_finish_its_report(tmp_path: Path, how: signal.Signals, whom: str) -> None:
    """Either way pytest hears of it, and its decision is waited for and read."""
    tell(tmp_path, 2, cell(130), waits=True)
    in_background = whom.endswith("shell")
    parent = subprocess.Popen(
        [*(IN_THE_BACKGROUND if in_background else ()), sys.executable, "-c", PARENT, str(tmp_path)],
        cwd=tmp_path if in_background else ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        assert comes_true((tmp_path / "waiting").exists)
        if in_background:
            os.kill(int((tmp_path / "started").read_text()), how)
        elif whom == "both":
            os.killpg(parent.pid, how)
        else:
            parent.send_signal(how)
        assert parent.wait(10) == 130
    finally:
        if parent.poll() is None:
            os.killpg(parent.pid, signal.SIGKILL)
            parent.wait()
