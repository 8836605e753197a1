"""What `pytest --collect-only` finds and what it costs: every check once, and none of the heavy packages imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hallmark.specs.catalogue import Selection, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.checks import demanded, undeclared_checks
from selftests.house.rules import unmatched

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
HEAVY = frozenset({"torch", "vllm", "lm_eval", "docker", "fastapi", "transformers"})


def collected(folder: Path, *arguments: str, planted: str = "", **more: str) -> dict[str, Any]:
    """What the probe saw in a `pytest --collect-only` of the checkout; each heavy package could be imported."""
    for name in HEAVY:
        (folder / f"{name}.py").write_text("")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HALLMARK_", "PYTEST_"))}
    environ |= {"PYTHONPATH": f"{folder}:{ROOT}", "PROBE_OUTPUT": str(folder / "probe.json"), "PROBE_IMPORTS": planted, **more}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "selftests.house.probe", *arguments]
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, Any] = json.loads((folder / "probe.json").read_text())
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Bare pytest, as a newcomer types it."""
    return collected(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def t3k(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A cell of a device that need not be here; something heavy is imported meanwhile, to see that the probe sees it."""
    return collected(tmp_path_factory.mktemp("t3k"), "-m", "t3k", "--model", "Llama-3.3-70B-Instruct", planted="lm_eval")


def test_collection_imports_nothing_heavy(plain: dict[str, Any], t3k: dict[str, Any]) -> None:
    assert "hallmark" in plain["modules"]
    assert HEAVY.isdisjoint(plain["modules"])
    assert HEAVY.intersection(t3k["modules"]) == {"lm_eval"}, "the probe would not have noticed"


def asked(cell: Cell, *, guarded: bool = False) -> list[str]:
    """What the manifest demands, and what the server is asked about because its spec does not say."""
    found_out = undeclared_checks(cell, guarded=guarded)
    return [*(entry.check for entry in demanded(cell, guarded=guarded)), *(check for check, needs in found_out.items() if needs)]


def test_a_mismatch_is_noticed() -> None:
    assert unmatched(["a", "b"], ["b", "a"]) == []
    assert unmatched(["a", "b"], ["a"]) == ["b: no test carries it"]
    assert unmatched(["a"], ["a", "c"]) == ["c: no manifest demands it"]
    assert unmatched(["a"], ["a", "a"]) == ["a: 2 tests carry it"]


@pytest.mark.parametrize(("model", "device"), [("hallmark-tiny", "cpu"), ("Llama-3.3-70B-Instruct", "t3k")])
def test_tests_and_manifest_are_one_to_one(plain: dict[str, Any], t3k: dict[str, Any], model: str, device: str) -> None:
    """A check without a test could never be shown; a test without a check could fail unnoticed."""
    (cell,) = load_catalogue([ROOT / "model_specs"]).select(Selection(models=(model,), device=device))
    carried = {"cpu": plain, "t3k": t3k}[device]["checks"]
    assert unmatched(asked(cell), carried) == []


def test_every_api_check_is_carried_by_one_test(tmp_path: Path) -> None:
    """hallmark-tiny declares the usual features, the others are found out, and this server has a key, so each must be there."""
    guarded = collected(tmp_path, HALLMARK_API_KEY="some-key")
    carried = [check for check in guarded["checks"] if check.startswith("server.")]
    (cell,) = load_catalogue([ROOT / "model_specs"]).select(Selection(models=("hallmark-tiny",), device="cpu"))
    wanted = [check for check in asked(cell, guarded=True) if check.startswith("server.")]
    assert unmatched(wanted, carried) == []
    assert len(carried) > 15
