"""The workflow files that hallmark gives away: GitHub understands them, and the steps of the example do what they say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hallmark import cli
from selftests.plugin.conftest import Place, place
from selftests.plugin.stand_in_spec import DEVICE, MODEL, ROOT, WEIGHTS

__all__ = ["place"]
EXAMPLE = ROOT / "examples" / "github_workflow" / "hallmark.yaml"
SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
"""As GitHub runs a step."""


def misunderstood(path: Path) -> str:
    """What GitHub's own schema of workflow files objects to; empty where it is content."""
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return checked.stdout + checked.stderr if checked.returncode else ""


def steps() -> dict[str, dict[str, Any]]:
    workflow = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    return {step.get("name", step.get("uses")): step for step in workflow["jobs"]["release"]["steps"]}


def test_github_understands_the_example(tmp_path: Path) -> None:
    assert misunderstood(EXAMPLE) == ""
    faulty = tmp_path / "faulty.yaml"
    faulty.write_text(EXAMPLE.read_text(encoding="utf-8").replace("runs-on:", "run-on:"), encoding="utf-8")
    assert "run-on" in misunderstood(faulty)


def test_github_understands_what_hallmark_init_writes(tmp_path: Path) -> None:
    assert cli.main(["init", f"--weights={WEIGHTS}", "--device=cpu", f"--folder={tmp_path}"]) == 0
    assert misunderstood(tmp_path / ".github" / "workflows" / "hallmark.yaml") == ""


def test_what_somebody_types_is_never_part_of_a_command_and_the_run_is_always_kept() -> None:
    for name, step in steps().items():
        assert "${{" not in step.get("run", ""), name
    keep = steps()["Keep the run"]
    assert (keep["if"], keep["with"]["path"]) == ("always()", "artifacts/")


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.parametrize(("faults", "code", "outcome"), [("", 0, "ACCEPTED"), ("first-stop-only", 1, "REJECTED")])
def test_the_steps_lint_certify_and_fill_the_summary_of_the_job(place: Place, faults: str, code: int, outcome: str) -> None:
    place.whole_spec(faults=faults)
    repository = place.folder / "repository"
    shutil.copytree(place.specs, repository / "model_specs")
    shutil.copytree(place.folder / "tasks", repository / "tasks")
    summary = place.folder / "summary.md"
    environ = place.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HALLMARK_SERVER_PYTHON": sys.executable,
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(summary),
        "MODEL": MODEL,
        "DEVICE": DEVICE,
    }
    ended = {}
    for name in ("Check the specs and their waivers", "Certify"):
        command = [*SHELL, steps()[name]["run"]]
        ended[name] = subprocess.run(
            command, cwd=repository, env=environ, capture_output=True, text=True, timeout=120, check=False
        )
    lint, certify = ended.values()
    assert lint.returncode == 0, lint.stdout + lint.stderr
    assert certify.returncode == code, certify.stdout + certify.stderr
    assert summary.read_text(encoding="utf-8").startswith(f"# {MODEL} on {DEVICE}: {outcome}")
    assert ("\n::error title=" in certify.stdout) == (code == 1)
    assert list((repository / "artifacts").glob("*/badge.svg"))
