"""`--print-plan` does nothing, and otherwise is the start: the same cell, the same plan, the same errors and exit codes."""

from __future__ import annotations

import json

import pytest

from hallmark.cli import main
from selftests.plugin.commands import Ended
from selftests.plugin.conftest import Place, place
from selftests.plugin.stand_in_spec import DEVICE, MODEL

__all__ = ["place"]
CELL = f"# id_stand-in-server_{MODEL}_{DEVICE}"


def planned(place: Place, *options: str, workflow: str = "release", **environ: str) -> Ended:
    ended = place.release("--print-plan", *options, workflow=workflow, **environ).end()
    assert ended.folders == ()
    assert not place.artifacts.exists(), "it does nothing"
    assert "Traceback" not in ended.said
    return ended


# What is wrong -> (options, variables, what is said).
WRONG: dict[str, tuple[list[str], dict[str, str], str]] = {
    "a conflict with the environment": (
        ["--strict-config"],
        {"A_SETTING": "2"},
        "--strict-config: A_SETTING=2 is set in the environment and kept; the spec says 1",
    ),
    "a conflict with the command line": (["--strict-config", "--server-env=A_SETTING=2"], {}, "the spec says 1"),
    "an argument that the spec displaces": (["--strict-config", "--workflow-args", "ttft_ms=9"], {}, "the spec says 2"),
    "a secret on the engine's command line": (["--workflow-args", "hf_token=canary"], {}, "would put a secret on a command line"),
    "a size that is no number": (["--workflow-args", "tensor_parallel_size=two"], {}, "is not a whole number from 1 up"),
    "an unknown model": (["--model=stand-im"], {}, "did you mean"),
    "an unknown device": (["--device=cpq"], {}, "unknown device 'cpq'"),
    "a port that is none": (["--port=0"], {}, "'0' is not a whole number"),
    "an interpreter that is not there": (["--server-python=/no/python"], {}, "no such interpreter"),
    "an option that excludes another": (["--server=attach"], {}, "--server attach needs --server-url"),
}


class Serving:
    """`hallmark run --workflow server`, in this process."""

    def __init__(self, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
        self._place, self._capsys = place, capsys

    def __call__(self, *options: str) -> tuple[int, str, str]:
        """(exit code, output, errors)"""
        own = [*self._place._options(MODEL), *options]
        if "--docker" in options:
            own = [option for option in own if not option.startswith("--server-python")]
        return main(["run", "--workflow=server", *own]), *self._capsys.readouterr()


@pytest.fixture
def serving(place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Serving:
    monkeypatch.delenv("PYTHONPATH", raising=False)  # of who runs the self-tests; the spec has one, too
    place.spec(env_vars={"A_SETTING": "1"})
    return Serving(place, capsys)


@pytest.mark.parametrize("name", WRONG)
def test_what_would_stop_a_start_stops_its_plan(serving: Serving, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options, variables, told = WRONG[name]
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    planned, started = serving("--print-plan", *options), serving(*options)
    assert planned == started
    assert planned[:2] == (2, "")
    assert told in planned[2]
    assert len(planned[2].splitlines()) == 1


def test_without_the_word_strict_it_is_a_warning(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clean twin."""
    monkeypatch.setenv("A_SETTING", "2")
    code, out, _ = serving("--print-plan")
    assert code == 0
    assert "# warning: A_SETTING=2 is set in the environment and kept; the spec says 1" in out.splitlines()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "whether cpu is here and free; which port is free (here: 8000)"),
        (("--port=8123",), "whether cpu is here and free; whether port 8123 is free"),
        (("--docker", "--image=some/image:1"), "whether a Docker engine runs here and has the image some/image:1"),
    ],
)
def test_what_is_not_known_is_said(serving: Serving, options: tuple[str, ...], told: str) -> None:
    code, out, err = serving("--print-plan", *options)
    assert code == 0, err
    (line,) = [line for line in out.splitlines() if line.startswith("# only a start finds out: ")]
    assert told in line


@pytest.mark.e2e
@pytest.mark.long
def test_what_would_stop_a_run_stops_its_plan(place: Place) -> None:
    """By what only its first check would have shown."""
    options, variables, told = WRONG["a conflict with the environment"]
    place.spec(env_vars={"A_SETTING": "1"})
    shown = planned(place, *options, **variables)
    ran = place.release(*options, **variables).end()
    assert (shown.code, ran.code) == (2, 2)
    (line,) = [line for line in shown.err.splitlines() if line.strip()]
    assert told in line
    assert line.removeprefix("ERROR: ") in ran.said


@pytest.mark.e2e
def test_a_runs_plan_is_of_the_cells_and_options_of_the_run(place: Place) -> None:
    """Several models, the environment's options, and the ini file's where nobody says which: as pytest itself takes them."""
    place.spec(models=(MODEL, "stand-in-too"))
    said = planned(place, "--model=stand-in-too", HALLMARK_PORT="8321", HALLMARK_ENGINE_ARG="ttft_ms=7").out.splitlines()
    assert [line for line in said if line.startswith("# id_")] == [CELL, CELL.replace("stand-in_", "stand-in-too_")]
    assert said.count("#   ttft_ms = 7: environment (instead of spec: 2)") == 2
    assert "whether port 8321 is free" in "\n".join(said)
    bare = place.start(["hallmark", "--workflow=release", "--print-plan"]).end()
    assert bare.code == 0, bare.said
    assert bare.out.startswith("# id_vllm-cpu_hallmark-tiny_cpu\n")
    attached = planned(place, "--server-url=http://127.0.0.1:9").out
    assert "whether what answers at http://127.0.0.1:9 is the server of this spec" in attached


@pytest.mark.e2e
@pytest.mark.long
def test_the_plan_is_what_a_run_then_does(place: Place) -> None:
    place.spec(env_vars={"A_SETTING": "1"})
    shown = planned(place, "--port=8123").out.splitlines()[-1]
    ended = place.release("--port=8123", "--", "-k", "health").end()
    plan = json.loads((ended.folder / "launch_plan.json").read_text(encoding="utf-8"))
    assert plan["command"] == shown
