"""`hallmark init`: what it writes of a running server is measured at once by a bare `pytest`; without one nothing is invented."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from hallmark import cli
from hallmark.specs.folders import default_folders
from hallmark.specs.matching import Matcher, compare, make_pattern
from hallmark.workflows.init.measured import rounded
from hallmark.workflows.init.weights import architecture_of
from hallmark.workflows.spec_lint import lint
from hallmark.workflows.spec_remarks import Severity
from selftests.faulty import running
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import WEIGHTS

MODEL = "mine"
FILES = (
    f"model_specs/{MODEL}.yaml",
    f"evals/{MODEL}/questions.jsonl",
    f"evals/{MODEL}/questions.yaml",
    "pytest.ini",
    ".github/workflows/hallmark.yaml",
)


def faults_of(folder: Path) -> list[str]:
    """What lint says of the specs there, notes left out."""
    _, remarks = lint((*default_folders(), folder / "model_specs"))
    return [f"{remark.where}: {remark.message}" for remark in remarks if remark.severity is not Severity.NOTE]


def spec_in(folder: Path, model: str = MODEL) -> dict[str, Any]:
    return yaml.safe_load((folder / f"model_specs/{model}.yaml").read_text(encoding="utf-8"))


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


COMMAND = "hallmark init --url http://127.0.0.1:8000"
"""As the README has it."""


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.real_evals
def test_of_a_running_server_it_ends_in_a_run_that_measures(place: Place) -> None:
    """`hallmark init --url`, then a bare `pytest` there: accepted; and rejected once the server answers wrongly."""
    folder = place.folder / "own"
    folder.mkdir()
    serving = {"model": WEIGHTS, "served_model_name": f"owner/{MODEL}", "ttft_ms": 5, "itl_ms": 1}
    with running(**serving, preferred_port=8000, environ=place.environ) as server:
        made = place.start(COMMAND.replace("8000", str(server.port)).split(), cwd=folder).end()
        assert made.code == 0, made.said
        assert made.out.splitlines() == [*(f"wrote {name}" for name in FILES), "next: pytest"]
        assert faults_of(folder) == []
        place.artifacts = folder / "artifacts"
        ended = place.start(["pytest"], cwd=folder).end().must_end(0, "ACCEPTED")
    assert {"evals.questions", "perf.isl64-osl32-c1", "perf.isl64-osl32-c8", "server.structured-output"} <= set(ended.rows)
    assert spec_in(folder)["weights"][0]["served_as"] == f"owner/{MODEL}"
    (entry,) = spec_in(folder)["impls"][0]["devices"].values()
    targets = [set(point["targets"]) for point in entry["perf"]]
    assert targets == [{"ttft_mean_ms", "tpot_mean_ms"}, {"ttft_mean_ms", "tokens_per_s"}]
    assert (folder / FILES[0]).read_text().count("measured by hallmark init on") == 3, "two points and an eval"
    with running("wrong-answers=1", **serving, port=server.port, environ=place.environ):
        red = place.start(["pytest", "-m", "evals"], cwd=folder).end().must_end(1, "REJECTED")
    assert red.rows["evals.questions"]["verdict"] == "FAIL"


def test_of_weights_alone_it_states_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "weights" / MODEL
    shutil.copytree(WEIGHTS, weights, ignore=shutil.ignore_patterns("data", "recipe", "tasks", "lora*"))
    folder = tmp_path / "here"
    assert cli.main(["init", f"--weights={weights}", "--device=h100", f"--folder={folder}"]) == 0
    assert "draft: missing engine version, eval targets, perf targets" in capsys.readouterr().out
    assert files_in(folder) == sorted(FILES)
    assert faults_of(folder) == []
    spec = spec_in(folder)
    assert "evals" not in spec
    assert spec["weights"][0] == {"name": MODEL, "path": str(weights), "outside_folder": True, "missing": ["eval_targets"]}
    assert spec["impls"][0]["devices"]["h100"]["max_context"] == 512
    assert "server_url" not in (folder / "pytest.ini").read_text()


@pytest.mark.long
def test_a_model_of_the_catalogue_gets_a_spec_in_its_place(tmp_path: Path) -> None:
    assert cli.main(["init", f"--weights={WEIGHTS}", "--device=cpu", f"--folder={tmp_path}"]) == 0
    assert faults_of(tmp_path) == []
    assert spec_in(tmp_path, "hallmark_tiny")["family"] == "hallmark_tiny"
    named = tmp_path / "hallmark-tiny"
    shutil.copytree(WEIGHTS, named, ignore=shutil.ignore_patterns("data", "recipe", "tasks", "lora*"))
    assert cli.main(["init", f"--weights={named}", "--device=cpu", f"--folder={tmp_path / 'b'}"]) == 0
    assert faults_of(tmp_path / "b") == []
    assert spec_in(tmp_path / "b", "hallmark-tiny")["replaces"] == ["hallmark-tiny"]


@pytest.mark.parametrize("name", FILES)
def test_no_file_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    there = tmp_path / name
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text("mine\n")
    weights = tmp_path / MODEL
    shutil.copytree(WEIGHTS, weights, ignore=shutil.ignore_patterns("data", "recipe", "tasks", "lora*"))
    before = files_in(tmp_path)
    assert cli.main(["init", f"--weights={weights}", "--device=cpu", f"--folder={tmp_path}"]) == 2
    assert f"{there}: there already, nothing is overwritten" in capsys.readouterr().err
    assert (files_in(tmp_path), there.read_text()) == (before, "mine\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to make a spec of"),
        (["--url=localhost:8000"], "--url: 'localhost:8000' is not a server's base URL"),
        (["--url=http://127.0.0.1:9"], "http://127.0.0.1:9: GET /v1/models: connection lost"),
        (["--weights=/no/such/folder"], "neither a folder nor a repository"),
        (["--weights={here}"], "config.json: No such file"),
        ([f"--weights={WEIGHTS}", "--device=h1000"], "--device: unknown device 'h1000' - did you mean h100"),
    ],
)
def test_what_the_user_must_say_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    folder = tmp_path / "here"
    assert cli.main(["init", f"--folder={folder}", *(word.format(here=tmp_path) for word in words)]) in (2, 3)
    err = capsys.readouterr().err.splitlines()
    said = [line for line in err if line.startswith("hallmark init: ")]
    assert len(said) == 1
    assert message in said[0]
    assert not folder.exists()


def test_settings_of_pytest_elsewhere_are_not_put_out_of_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\ntestpaths = ['tests']\n")
    assert cli.main(["init", f"--weights={WEIGHTS}", "--device=cpu", f"--folder={tmp_path}"]) == 2
    assert "a new pytest.ini would put out of force" in capsys.readouterr().err
    assert files_in(tmp_path) == ["pyproject.toml"]


def test_a_name_that_no_spec_can_hold_is_said_with_its_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(model="a model") as server:
        assert cli.main(["init", f"--url={server.base_url}", f"--folder={tmp_path}"]) == 2
    assert "start it with --served-model-name and a name of" in capsys.readouterr().err
    assert files_in(tmp_path) == []


def test_the_workflow_is_one_of_github_and_the_questions_are_plain(tmp_path: Path) -> None:
    assert cli.main(["init", f"--weights={WEIGHTS}", "--device=cpu", f"--folder={tmp_path}"]) == 0
    workflow = yaml.load((tmp_path / ".github/workflows/hallmark.yaml").read_text(), Loader=yaml.BaseLoader)
    assert set(workflow) == {"name", "on", "jobs"}
    steps = workflow["jobs"]["release"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [
        "python -m pip install pytest-hallmark",
        "hallmark specs lint --spec-dir model_specs",
        "hallmark run --workflow release",
    ]
    rows = [json.loads(line) for line in (tmp_path / "evals/hallmark_tiny/questions.jsonl").read_text().splitlines()]
    assert all(set(row) == {"prompt", "answer"} and row["answer"].isalnum() for row in rows)
    assert len({row["prompt"] for row in rows}) == len(rows) == 24


DIMENSIONS = {"num_hidden_layers": 4, "hidden_size": 128, "vocab_size": 261, "max_position_embeddings": 512}
CONFIGS = {
    "plain": {"model_type": "own", **DIMENSIONS, "rope_parameters": {"rope_theta": 1.0}},
    "nested": {"model_type": "own", "text_config": DIMENSIONS},
    "quantised": {"model_type": "own", **DIMENSIONS, "quantization_config": {"quant_method": "fp8", "ignored": ["lm_head"]}},
    "quantised within": {"model_type": "own", "text_config": {**DIMENSIONS, "compression_config": {"format": "pack"}}},
    "quantised by an unknown method": {"model_type": "own", **DIMENSIONS, "quantization_config": {"w": 4}},
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_an_architecture_holds_for_its_own_config_and_for_no_other(config: dict[str, Any]) -> None:
    """It asks for more than a pattern of the catalogue that the config matches, too: no config then matches both equally."""
    wider = make_pattern("wider", {"model_type": "own", "hidden_size": 128})
    assert wider is not None
    pattern = make_pattern("own", architecture_of(config, Matcher([wider])))
    assert pattern is not None
    assert compare(pattern, config).mismatches == ()
    assert pattern.specificity > wider.specificity
    for other in CONFIGS.values():
        assert compare(pattern, other).holds == (other is config)
    changed = json.loads(json.dumps(config).replace("128", "256"))
    assert not compare(pattern, changed).holds


@pytest.mark.parametrize(
    ("value", "down", "up"),
    [(3370.0, 3000, 4000), (505, 500, 600), (0.064, 0.06, 0.07), (1.0, 1, 1), (200, 200, 200), (9.99, 9, 10), (0.99, 0.9, 1)],
)
def test_targets_are_rounded_to_the_cautious_side(value: float, down: float, up: float) -> None:
    assert rounded(value, up=False) == pytest.approx(down)
    assert rounded(value, up=True) == pytest.approx(up)
