"""What a worker does on a node, without a cluster around it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hallmark import __version__
from hallmark.fleet import ray_worker
from hallmark.fleet.proof import proved
from selftests.plugin.stand_in_spec import ROOT


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    path = tmp_path / "proof"
    path.write_text("word")
    return path


def test_what_a_node_says_of_itself_proves_it(proof: Path) -> None:
    said, problem = ray_worker.look(str(proof), "word", [])
    assert dict(proved("a", {"cpu": 1}, said, problem).units) == {"cpu": 1}
    assert [path.name for path in proof.parent.iterdir()] == ["proof"]


@pytest.mark.parametrize(("word", "there", "why"), [("word", False, "No such file"), ("other", True, "another file is there")])
def test_a_folder_that_is_not_the_drivers(word: str, there: bool, why: str, proof: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_worker, "_SHARED_S", 0)
    said, problem = ray_worker.look(str(proof if there else proof.with_name("absent")), word, [])
    assert said == ""
    assert why in problem
    assert "--artifacts=FOLDER" in problem


def test_a_folder_that_cannot_be_written(proof: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    said, problem = ray_worker.look(str(proof), "word", [])
    assert said == ""
    assert "cannot be written there: No space left on device" in problem


def test_a_node_without_hallmark(proof: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = proof.with_name("python")
    python.write_text("#!/bin/sh\necho No module named hallmark >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert ray_worker.look(str(proof), "word", []) == (
        "",
        f"hallmark cannot be run there: No module named hallmark - install it for {python}, which runs Ray there",
    )


def test_what_is_started_says_its_words_into_the_log(tmp_path: Path) -> None:
    ray_worker.attend(["--version"], str(tmp_path / "log"))
    assert (tmp_path / "log").read_text() == f"hallmark {__version__}\n"


def test_a_cancelled_task_closes_the_pipe_and_waits_for_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancelled(_: float) -> None:
        monkeypatch.undo()  # once, as Ray does
        raise KeyboardInterrupt

    python = tmp_path / "python"
    python.write_text("#!/bin/sh\ncat\necho its pipe was closed\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(ray_worker.time, "sleep", cancelled)
    with pytest.raises(KeyboardInterrupt):
        ray_worker.attend([], str(tmp_path / "log"))
    assert (tmp_path / "log").read_text() == "its pipe was closed\n"


@pytest.mark.parametrize(
    ("preloaded", "left"),
    [("/venv/lib/python3.11/site-packages/ray/core/libjemalloc.so", ""), ("/own/libfast.so", "/own/libfast.so")],
    ids=["by-ray", "by-its-owner"],
)
def test_a_cell_has_the_libraries_that_the_nodes_owner_preloads(preloaded: str, left: str) -> None:
    """Ray's own allocator would be a foreign library in the server that is judged."""
    program = 'from hallmark.fleet.ray_worker import nodes_environment as found; print(found().get("LD_PRELOAD", ""))'
    environ = {**os.environ, "LD_PRELOAD": preloaded}
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -c '{program}'; :"], env=environ, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == left
