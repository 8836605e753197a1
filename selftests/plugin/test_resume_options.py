"""`--resume FOLDER` and what the command line says: of the folder where it is silent, and nothing else where it speaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selftests.plugin.broken_runs import Whole, broken, broken_off, refused, report_of, resume, whole
from selftests.plugin.conftest import Place

__all__ = ["broken", "whole"]
pytestmark = pytest.mark.e2e


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--device=t3k",), "stand-in"),
        (("--model=hallmark-tiny",), "no spec of hallmark-tiny for cpu stand-in-server"),
        (("--workflow=evals",), "is of the workflow release"),
        (("--engine-arg=seed=1",), "this call is narrowed by --engine-arg seed=1"),
        (("--", "-k", "stop"), "this call is narrowed by -k 'stop', and it was by nothing"),
        (("--", "-n", "2"), "a run is gone on with by one process - drop -n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_another_call_is_refused(whole: Whole, broken: Path, words: tuple[str, ...], told: str) -> None:
    assert told in refused(whole.place, broken, *words)


@pytest.fixture
def of_another_kind(place: Place, tmp_path: Path) -> Path:
    """A run of a server that the command line said more of, as if it had been killed."""
    place.spec()
    said = ["--engine-arg=ttft_ms=3", "--engine-arg=itl_ms=1", "--server-env=A_SETTING=one, two"]
    ended = place.release(*said).end()
    assert ended.outcome == "PARTIAL", ended.said
    return broken_off(ended.folder, tmp_path / "run", records=-3)


@pytest.mark.long
def test_what_the_command_line_said_of_the_server_is_taken_from_the_folder(place: Place, of_another_kind: Path) -> None:
    ended = resume(place, of_another_kind)
    assert (ended.code, report_of(of_another_kind)["decision"]["outcome"]) == (4, "PARTIAL"), ended.said
    plan = json.loads((of_another_kind / "launch_plan.json").read_text(encoding="utf-8"))
    told = {row["name"]: (row["value"], row["origin"]) for row in plan["values"]}
    stated = {"ttft_ms": "3", "itl_ms": "1", "A_SETTING": "one, two"}
    assert {name: told[name] for name in stated} == {name: (value, "command line") for name, value in stated.items()}


@pytest.mark.long
def test_a_server_that_the_command_line_says_otherwise_is_refused(place: Place, of_another_kind: Path) -> None:
    for words, environ, told in (
        (["--engine-arg=ttft_ms=4"], {}, "this call is narrowed by --engine-arg ttft_ms=4"),
        ([], {"HALLMARK_ENGINE_ARG": "ttft_ms=4"}, "this call is narrowed by --engine-arg ttft_ms=4"),
        (["--server-env=A_SETTING=three"], {}, "the server's A_SETTING is three, it was one, two"),
    ):
        assert told in refused(place, of_another_kind, *words, **environ)


def test_a_secret_is_not_taken_from_a_folder(whole: Whole, broken: Path) -> None:
    manifest = json.loads((broken / "manifest.json").read_text(encoding="utf-8"))
    manifest["settings"]["server-env"] = {"value": "A_SETTING=[redacted]", "origin": "command line"}
    (broken / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    told = f"--server-env: holds a secret of the run in {broken}, which is not kept there - a folder keeps no secret: state all"
    assert told in refused(whole.place, broken)


@pytest.mark.long
def test_a_key_that_is_not_given_again_is_asked_for(place: Place, tmp_path: Path) -> None:
    place.spec()
    key = {"HALLMARK_API_KEY": "canary-key-of-the-server"}
    folder = broken_off(place.release(**key).end().folder, tmp_path / "run", records=-3)
    assert "this call does not demand server.auth, and it did (is a key to be given again?)" in refused(place, folder)
    assert resume(place, folder, **key).code != 2
