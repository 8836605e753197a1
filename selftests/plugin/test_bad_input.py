"""Bad input ends in one line that says what, where and what to do, with the right exit code and no traceback."""

from __future__ import annotations

import re
import resource
import socket
from pathlib import Path

import pytest

from selftests.plugin.commands import Ended
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import MODEL

pytestmark = pytest.mark.e2e

USAGE, INFRASTRUCTURE = 2, 3


def one_line(ended: Ended, code: int) -> str:
    """The only thing that was said: the error's line."""
    assert ended.code == code, ended.said
    assert "Traceback" not in ended.said
    assert "INTERNALERROR" not in ended.said
    lines = [line for line in ended.err.splitlines() if line.strip()]
    assert len(lines) == 1, ended.said
    return lines[0]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--model=Llama-3.3-70", "--model: unknown model 'Llama-3.3-70' - did you mean Llama-3.3-70B"),
        ("--model=hallmark-tyni", "did you mean hallmark-tiny"),
        ("--device=t3", "--device: unknown device 't3' - did you mean t3k"),
        ("--impl=tt-transformer", "--impl: unknown impl 'tt-transformer' - did you mean tt-transformers"),
        ("--limit=some", "--limit: 'some' is not a whole number from 1 up"),
        ("--device-wait=soon", "--device-wait: 'soon' is no number of seconds from 0 up"),
        ("--port=0", "--port: '0' is not a whole number from 1 to 65535"),
        ("--port=70000", "--port: '70000' is not a whole number from 1 to 65535"),
        ("--server-url=localhost:8000", "--server-url: 'localhost:8000' is not a server's base URL"),
        ("--spec-dir=/no/such/folder", "--spec-dir /no/such/folder: is not a folder"),
        ("--server-python=/no/python", "--server-python /no/python: no such interpreter - name the python"),
        ("--server=attach", "--server attach needs --server-url"),
    ],
)
def test_a_name_or_value_that_cannot_be_meant(place: Place, option: str, told: str) -> None:
    ended = place.start(["hallmark.checkout", "--workflow=release", option]).end()
    assert told in one_line(ended, USAGE)
    assert not ended.folders


def test_a_device_that_the_model_has_no_spec_for(place: Place) -> None:
    place.spec()
    ended = place.release("--device=t3k").end()
    assert "no spec of stand-in for t3k; there is: cpu (stand-in-server)" in one_line(ended, USAGE)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("family:", "family: [", r"stand-in\.yaml:\d+: malformed YAML"),
        ("family:", "famly:", r"stand-in\.yaml:2: unknown key 'famly' - did you mean family\?"),
        ("max_context: 512", "max_context: many", r"stand-in\.yaml:\d+: 'impls\.0\.devices\.cpu\.max_context': .*not 'many'"),
        ("cpu:", "cpq:", r"stand-in\.yaml.*: .*unknown device 'cpq' - did you mean cpu\?"),
        ("family:", "schema_version: 1\nfamily:", r"stand-in\.yaml:2: duplicate key 'schema_version'"),
    ],
)
def test_a_spec_with_a_mistake(place: Place, before: str, after: str, told: str) -> None:
    path = place.spec()
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    assert re.search(told, one_line(place.release().end(), USAGE))


def test_a_spec_that_cannot_be_read(place: Place) -> None:
    place.spec()
    (place.specs / "gone.yaml").symlink_to(place.folder / "nowhere.yaml")
    assert "gone.yaml: cannot be read: No such file or directory" in one_line(place.release().end(), USAGE)


def test_minus_v_shows_where_an_error_came_from(place: Place) -> None:
    place.spec().write_text("[", encoding="utf-8")
    ended = place.release("-v").end()
    assert ended.code == USAGE
    assert "malformed YAML" in ended.err


@pytest.mark.parametrize("command", ["release", "pytest"])
def test_artifacts_that_cannot_be_written(place: Place, command: str) -> None:
    place.spec()
    place.artifacts.write_text("a file, where a folder is to be", encoding="utf-8")
    start = place.release if command == "release" else place.pytest
    ended = start().end()
    line = one_line(ended, INFRASTRUCTURE if command == "release" else int(pytest.ExitCode.USAGE_ERROR))
    assert f"{place.artifacts}: cannot make the artifacts folder: " in line
    assert "--artifacts" in line


@pytest.mark.fresh_interpreter
@pytest.mark.parametrize("command", ["release", "pytest"])
def test_no_place_for_temporary_files(place: Place, command: str) -> None:
    """As where /tmp and all that Python would take in its place are full: pytest itself ends in a traceback there."""
    place.spec()
    nowhere = "import tempfile\ntempfile._candidate_tempdir_list = lambda: ['/proc/no-such-folder']\n"
    (place.plugins / "sitecustomize.py").write_text(nowhere, encoding="utf-8")
    ended = (place.release if command == "release" else place.pytest)().end()
    line = one_line(ended, INFRASTRUCTURE)
    assert "cannot keep temporary files: No usable temporary directory found in ['/proc/no-such-folder']" in line
    assert line.endswith("free some space there, or name another folder with TMPDIR")
    assert not ended.folders


def test_temporary_files_that_find_no_room_at_the_end(place: Place) -> None:
    """The report is on another disk, and is written; the command alone cannot be told what it says."""
    place.spec()
    takes = """
import pathlib, shutil

def pytest_configure(config):
    shutil.rmtree(pathlib.Path(config.option.hallmark_decisions).parent)
"""
    ended = place.release("--", "-p", place.plugin("takes_where_it_decides", takes)).end()
    assert ended.code == INFRASTRUCTURE, ended.said
    assert "Traceback" not in ended.said
    assert "INTERNALERROR" not in ended.said
    (line,) = [line for line in ended.said.splitlines() if "decisions.json" in line]
    assert "cannot write: No such file or directory - free some space there, or name another folder with TMPDIR" in line
    assert ended.outcome == "INCONCLUSIVE"


def test_a_full_disk_before_the_run(place: Place) -> None:
    place.spec()
    full = """
import os
from types import SimpleNamespace

os.statvfs = lambda path: SimpleNamespace(f_bavail=1, f_frsize=4096)
"""
    ended = place.release("--", "-p", place.plugin("full_disk", full)).end()
    assert "less than 64 MiB are free for artifacts - free some space" in one_line(ended, INFRASTRUCTURE)


def test_a_disk_that_runs_full_during_the_run(place: Place) -> None:
    """No file may grow beyond a limit that the records reach in the middle of the run."""
    place.spec()
    limit = 9_000
    full = f"""
import resource
import signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def pytest_sessionstart():
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    ended = place.release("--", "-p", place.plugin("fills_disk", full)).end()
    assert ended.code == INFRASTRUCTURE, ended.said
    assert "cannot write" in ended.said
    assert "free some space or choose --artifacts" in ended.said
    assert "Traceback" not in ended.said
    assert not list(ended.folder.glob("*.partial")), "nothing half-written lies about"
    place.require_nobody_left()


def test_a_port_that_is_in_use(place: Place) -> None:
    place.spec()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = place.release(f"--port={port}").end().must_end(INFRASTRUCTURE, "ERROR")
    assert f"127.0.0.1:{port}: port {port} is in use - choose another with --port" in ended.causes
    assert "Traceback" not in ended.said
    assert ended.said.count("is in use") == 2, "once where it happened, once as the cause at the end"


def test_a_path_after_a_blank_is_refused_with_what_to_write(place: Place) -> None:
    """pytest would take it for a test path and lose its ini file: then nothing would be checked, and nothing said."""
    place.spec()
    argv = ["pytest", f"--model={MODEL}", "--spec-dir", str(place.specs)]
    ended = place.start(argv, cwd=Path(__file__).resolve().parents[2]).end()
    assert ended.code == pytest.ExitCode.USAGE_ERROR
    assert "write --spec-dir=PATH" in ended.err


@pytest.mark.long
def test_a_python_without_assertions_is_refused(place: Place) -> None:
    """Most checks are assertions: under -O, and unless pytest rewrites them, they are not there."""
    place.spec(faults="accepts-bad-requests")
    ended = place.release("--", "--assert=plain", "-p", "no:schemathesis", PYTHONOPTIMIZE="1").end()
    assert ended.code == 2, ended.said
    assert "assertions are switched off" in ended.err
    assert not ended.folders
