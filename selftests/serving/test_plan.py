"""Every value of a plan has the right winner and knows whom it beat; the plan is pure, and its command can be pasted."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hallmark.core.precedence import PlanValue
from hallmark.serving.plan import DEFAULT_VARS, LaunchSettings, make_plan
from hallmark.serving.server import LaunchPlan
from hallmark.specs.catalogue import Selection, load_catalogue
from hallmark.specs.cell import Cell
from selftests.specs.sheets import FAMILY, spec_folder

PYTHON = Path("/opt/vendor/bin/python")


def cell(folder: Path, *, engine_args: str = "max_num_seqs: 8", env_vars: str = 'A: "1"', module: str = "") -> Cell:
    text = FAMILY.replace("max_num_seqs: 8", engine_args, 1).replace('A: "1"', env_vars, 1)
    if module:
        text = text.replace("engine: {", f"engine: {{ module: {module},", 1)
    catalogue = load_catalogue([spec_folder(folder / "specs", text)])
    (found,) = catalogue.select(Selection(models=("Small-1B",), device="cpu", impl="plain"))
    return found


def planned(of: Cell, *, environ: dict[str, str] | None = None, python: Path | None = PYTHON, **settings: object) -> LaunchPlan:
    given = LaunchSettings(**{"port": 8123, **settings})  # type: ignore[arg-type]
    return make_plan(of, given, python=python, environ=environ or {}, folder=Path("/run"))


def value(plan: LaunchPlan, name: str) -> PlanValue:
    (found,) = [v for v in (*plan.values, *plan.set_vars) if v.name == name]
    return found


@pytest.mark.parametrize("in_spec", [True, False])
@pytest.mark.parametrize("given", [True, False])
def test_an_engine_argument_comes_from_command_line_then_spec_then_default(tmp_path: Path, in_spec: bool, given: bool) -> None:
    of = cell(tmp_path, engine_args="max_model_len: 100" if in_spec else "")
    found = value(planned(of, engine_args={"max-model-len": "64"} if given else {}), "max_model_len")
    beaten = "spec: 100" if in_spec else "default: 512"
    expected = {
        (True, True): ("64", "command line", beaten),
        (False, True): ("64", "command line", beaten),
        (True, False): ("100", "spec", "default: 512"),
        (False, False): ("512", "default", ""),
    }[in_spec, given]
    assert (found.value, found.origin, found.overrode) == expected


EVERY = list(itertools.product([True, False], repeat=3))


@pytest.mark.parametrize(("in_spec", "in_environment", "given"), EVERY)
def test_an_engine_argument_in_all_combinations(tmp_path: Path, in_spec: bool, in_environment: bool, given: bool) -> None:
    said = {"default": "512", "spec": "100" if in_spec else "", "environment": "80" if in_environment else "", "command line": ""}
    said |= {"command line": "64"} if given else {}
    plan = planned(
        cell(tmp_path, engine_args="max-model-len: 100" if in_spec else ""),
        environment_args={"max-model-len": "80"} if in_environment else {},
        engine_args={"max_model_len": "64"} if given else {},
    )
    order = [origin for origin, value in said.items() if value]
    found = value(plan, "max_model_len")
    assert (found.origin, found.value) == (order[-1], said[order[-1]])
    assert found.overrode == (f"{order[-2]}: {said[order[-2]]}" if len(order) > 1 else "")
    assert plan.argv[plan.argv.index("--max-model-len") + 1] == found.value
    assert plan.argv.count("--max-model-len") == 1


@pytest.mark.parametrize(("in_spec", "in_environment", "given"), EVERY)
def test_a_variable_in_all_combinations(tmp_path: Path, in_spec: bool, in_environment: bool, given: bool) -> None:
    plan = planned(
        cell(tmp_path, env_vars='DO_NOT_TRACK: "of spec"' if in_spec else ""),
        environ={"DO_NOT_TRACK": "of environment"} if in_environment else {},
        env_vars={"DO_NOT_TRACK": "of command line"} if given else {},
    )
    strongest = [("command line", given), ("environment", in_environment), ("spec", in_spec), ("default", True)]
    origin = next(origin for origin, there in strongest if there)
    found = value(plan, "DO_NOT_TRACK")
    assert (found.origin, found.value) == (origin, "1" if origin == "default" else f"of {origin}")
    assert plan.env["DO_NOT_TRACK"] == found.value
    assert len([warning for warning in plan.warnings if warning.startswith("DO_NOT_TRACK=")]) == (
        origin in ("environment", "command line")
    )


def test_the_same_value_from_two_sources_beats_nobody(tmp_path: Path) -> None:
    found = value(planned(cell(tmp_path, engine_args="max_model_len: 512")), "max_model_len")
    assert (found.value, found.origin, found.overrode) == ("512", "spec", "")


DEFAULTED = next(iter(DEFAULT_VARS))


@pytest.mark.parametrize(("in_spec", "in_environment"), list(itertools.product([True, False], repeat=2)))
def test_a_variable_comes_from_environment_then_spec_then_default(tmp_path: Path, in_spec: bool, in_environment: bool) -> None:
    of = cell(tmp_path, env_vars=f'{DEFAULTED}: "from spec"' if in_spec else "")
    plan = planned(of, environ={DEFAULTED: "from environment"} if in_environment else {})
    found = value(plan, DEFAULTED)
    below = ("from spec", "spec") if in_spec else (DEFAULT_VARS[DEFAULTED], "default")
    if in_environment:
        assert (found.value, found.origin, found.overrode) == ("from environment", "environment", f"{below[1]}: {below[0]}")
        assert [DEFAULTED in warning for warning in plan.warnings] == [True]
    else:
        overrode = f"default: {DEFAULT_VARS[DEFAULTED]}" if in_spec else ""
        assert (found.value, found.origin, found.overrode) == (*below, overrode)
        assert plan.warnings == ()
    assert plan.env[DEFAULTED] == found.value


def test_a_variable_that_says_the_same_already_is_no_conflict(tmp_path: Path) -> None:
    plan = planned(cell(tmp_path), environ={"A": "1"})
    assert value(plan, "A").overrode == ""
    assert plan.warnings == ()


def test_a_warning_says_what_is_kept_and_what_the_spec_wants(tmp_path: Path) -> None:
    (warning,) = planned(cell(tmp_path), environ={"A": "9"}).warnings
    assert "A=9" in warning
    assert "the spec says 1" in warning


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("enforce_eager: true", ["--enforce-eager"]),
        ("enable_prefix_caching: false", ["--no-enable-prefix-caching"]),
        ("max_num_seqs: 8", ["--max-num-seqs", "8"]),
        ("gpu_memory_utilization: 0.5", ["--gpu-memory-utilization", "0.5"]),
        ("chat_template: 'a b.jinja'", ["--chat-template", "a b.jinja"]),
        ("load_format: ''", ["--load-format", ""]),
    ],
)
def test_an_argument_becomes_a_flag(tmp_path: Path, written: str, words: list[str]) -> None:
    argv = list(planned(cell(tmp_path, engine_args=written)).argv)
    place = argv.index(words[0])
    assert argv[place : place + len(words)] == words
    assert planned(cell(tmp_path, engine_args="")).argv.count(words[0]) == 0


def test_the_command_starts_what_the_spec_pins(tmp_path: Path) -> None:
    argv = planned(cell(tmp_path, module="vendor.server"), host="0.0.0.0").argv
    assert argv[:3] == (str(PYTHON), "-m", "vendor.server")
    pairs = dict(itertools.pairwise(argv))
    assert pairs["--model"] == "someone/Small-1B"
    assert pairs["--served-model-name"] == "Small-1B"
    assert (pairs["--host"], pairs["--port"]) == ("0.0.0.0", "8123")


@pytest.mark.parametrize(
    "name",
    [
        "VIRTUAL_ENV",
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTEST_CURRENT_TEST",
        "PYTEST_ADDOPTS",
        "PYTEST_XDIST_WORKER",
        "HALLMARK_API_KEY",
    ],
)
def test_the_server_hears_nothing_of_the_suite(tmp_path: Path, name: str) -> None:
    plan = planned(cell(tmp_path), environ={name: "of the suite", "HF_HOME": "/models", "PYTHONHASHSEED": "1"})
    assert name not in plan.env
    assert plan.env["HF_HOME"] == "/models"
    assert plan.env["PYTHONHASHSEED"] == "1"


@pytest.mark.parametrize(
    ("there", "expected"),
    [("/usr/bin:/bin", "/opt/vendor/bin:/usr/bin:/bin"), ("", "/opt/vendor/bin"), (None, "/opt/vendor/bin")],
)
def test_the_servers_own_tools_come_first(tmp_path: Path, there: str | None, expected: str) -> None:
    """An empty part of PATH would stand for the working directory."""
    environ = {} if there is None else {"PATH": there}
    assert planned(cell(tmp_path), environ=environ).env["PATH"] == expected


def test_planning_changes_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    before, environ = dict(os.environ), {"A": "9", "PATH": "/bin", "VIRTUAL_ENV": "/venv"}
    given = dict(environ)
    planned(cell(tmp_path), environ=environ, engine_args={"x": "1"})
    assert dict(os.environ) == before
    assert environ == given


def test_attached_to_a_server_there_is_nothing_to_start(tmp_path: Path) -> None:
    plan = planned(cell(tmp_path), python=None, server_url="http://far:8000/", api_key="key")
    assert plan.argv == ()
    assert plan.command() == ""
    assert (plan.endpoint.base_url, plan.endpoint.api_key, plan.endpoint.model) == ("http://far:8000", "key", "Small-1B")
    assert "key" not in json.dumps(plan.to_plain())


@pytest.mark.parametrize(("written", "limit_s"), [("", None), ("stall_timeout_s: 300\n        ", 300)])
def test_a_spec_may_say_when_a_start_up_has_stalled(tmp_path: Path, written: str, limit_s: int | None) -> None:
    text = FAMILY.replace("max_context: 512", f"{written}max_context: 512", 1)
    catalogue = load_catalogue([spec_folder(tmp_path / "specs", text)])
    found = catalogue.select(Selection(models=("Small-1B",), device="cpu", impl="plain"))[0]
    plan = planned(found)
    assert plan.stall_timeout_s == plan.to_plain()["stall_timeout_s"] == limit_s


def test_the_plan_is_plain_data_with_every_origin(tmp_path: Path) -> None:
    plan = planned(cell(tmp_path), environ={"A": "9"}, engine_args={"max_num_seqs": "4"})
    plain = json.loads(json.dumps(plan.to_plain()))
    rows = {row["name"]: row for row in plain["values"]}
    assert rows["max_num_seqs"] == {"name": "max_num_seqs", "value": "4", "origin": "command line", "overrode": "spec: 8"}
    assert rows["A"] == {"name": "A", "value": "9", "origin": "environment", "overrode": "spec: 1"}
    assert rows[DEFAULTED]["origin"] == "default"
    assert plain["warnings"] == list(plan.warnings) != []
    assert plain["command"] == plan.command()


FAKE_ENGINE = "import json, os, sys; json.dump([sys.argv[1:], os.environ.get('A'), os.environ.get('B')], sys.stdout)"


def test_the_command_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    """Values with blanks, quotes and dollars, in variables and in arguments: bash must run just what is planned."""
    (tmp_path / "fake_engine.py").write_text(FAKE_ENGINE)
    awkward = """it's "a" $HOME `x` \\ b"""
    of = cell(
        tmp_path,
        engine_args=f"chat_template: {json.dumps(awkward)}",
        env_vars=f'A: {json.dumps(awkward)}, B: "plain"',
        module="fake_engine",
    )
    plan = planned(of, python=Path(sys.executable))
    ran = subprocess.run(
        ["bash", "-c", plan.command()],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
    )
    assert json.loads(ran.stdout) == [list(plan.argv[3:]), awkward, "plain"]
