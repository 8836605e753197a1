"""The command that makes the table of attacks: what holds is said, and one that gets through is called so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.long]

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, str(ROOT / "benchmarks" / "attacks" / "run.py")]
TABLE = ROOT / "benchmarks" / "attacks" / "TABLE.md"


def run(*only: str, more: tuple[str, ...] = ()) -> tuple[int, str]:
    """(exit code, what was printed) of the command for some attacks."""
    chosen = [word for name in only for word in ("--only", name)]
    ended = subprocess.run([*COMMAND, *chosen, *more], capture_output=True, text=True, timeout=240, check=False)
    return ended.returncode, ended.stdout


@pytest.mark.long
def test_some_of_the_attacks_hold_and_the_table_says_so(tmp_path: Path) -> None:
    names = ("hidden request: two lengths that differ", "hidden request: a path that climbs", "too much: a head without end")
    names += ("keys that are nearly right", "SIGTERM with 32 streams under way", "vLLM that is killed")
    names += ("a scrape of an engine that is gone", "endpoints in IPv6*")
    written = tmp_path / "table.md"
    code, said = run(*names, more=("--write", str(written)))
    assert (code, said.splitlines()[-1]) == (0, "8 of 8 held"), said
    rows = [line for line in written.read_text(encoding="utf-8").splitlines() if line.endswith("| yes |")]
    assert len(rows) == 8
    assert "32 of 32 whole, exit 0" in said


@pytest.mark.parametrize(
    ("name", "setting", "figure"),
    [
        ("too much: a head of 9 KB", "GATEWAY_MAX_HEAD_KIB=512", "200; the engine saw 1 requests"),
        ("keys that are nearly right", "GATEWAY_API_KEYS=", "0 of 11 refused, the right one 200"),
    ],
)
def test_one_that_gets_through_is_told(name: str, setting: str, figure: str) -> None:
    """The limit is raised, or the guard is gone."""
    code, said = run(name, more=("--setting", setting))
    assert code == 1, said
    assert said.startswith("NOT HELD")
    assert figure in said
    assert said.endswith("0 of 1 held\n")


def test_a_name_that_no_attack_has_is_a_mistake() -> None:
    assert run("no such attack") == (2, "")


def test_the_committed_table_knows_every_attack_and_all_held() -> None:
    listed = subprocess.run([*COMMAND, "--list"], capture_output=True, text=True, check=True).stdout.splitlines()
    table = TABLE.read_text(encoding="utf-8")
    rows = [line.split(" | ")[1] for line in table.splitlines() if line.endswith(" |") and not line.startswith(("| of", "| -"))]
    assert sorted(rows) == sorted(listed)
    assert len(rows) >= 45
    assert "NOT HELD" not in table
