"""Keys and tokens: demanded where they are given, by the engine itself or by the gateway before it, and never written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selftests.faulty import running
from selftests.plugin.commands import Ended
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import MODEL, WEIGHTS

pytestmark = [pytest.mark.e2e, pytest.mark.long]

KEY = {"HALLMARK_API_KEY": "canary-key-of-the-server"}
SECRET = {"JWT_SECRET": "canary-secret-that-signs-tokens-32-bytes"}


def leaks(ended: Ended, secret: str) -> list[Path]:
    found = [path for path in ended.folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    return [*found, *([Path("terminal")] if secret in ended.said else [])]


@pytest.mark.parametrize("given", [pytest.param(KEY, id="key", marks=pytest.mark.real_evals), pytest.param(SECRET, id="token")])
def test_a_server_that_demands_it_is_accepted_and_it_is_written_nowhere(place: Place, given: dict[str, str]) -> None:
    place.whole_spec()
    ended = place.release(**given).end().must_end(0, "ACCEPTED")
    assert ended.rows["server.auth"]["verdict"] == "PASS"
    assert leaks(ended, *given.values()) == []
    place.require_nobody_left()


def test_without_a_key_nothing_is_asked(clean: Ended) -> None:
    assert "server.auth" not in clean.rows


@pytest.mark.parametrize(
    ("fault", "verdict", "reason"),
    [
        ("", "PASS", ""),
        ("open-door", "FAIL", "answered 200 instead of 401"),
        ("open-route=/invocations", "FAIL", "POST /invocations without a key: 200"),
    ],
)
def test_a_server_that_runs_already_is_asked_what_it_leaves_open(place: Place, fault: str, verdict: str, reason: str) -> None:
    place.spec()
    options = {"model": WEIGHTS, "served_model_name": MODEL, "ttft_ms": 2, "api_key": KEY["HALLMARK_API_KEY"]}
    with running(*filter(None, [fault]), environ=place.environ, **options) as server:
        ended = place.release(f"--server-url={server.base_url}", workflow="tests", **KEY).end()
    assert ended.rows["server.auth"]["verdict"] == verdict
    assert reason in ended.rows["server.auth"]["reason"]
    assert leaks(ended, KEY["HALLMARK_API_KEY"][2:-2]) == [], "nor what is nearly the key"


@pytest.mark.parametrize("given", [KEY, SECRET], ids=["key", "token"])
def test_what_an_engine_leaves_open_is_behind_the_gateway(place: Place, given: dict[str, str]) -> None:
    """The engine listens on another port, on the loopback, and has a key of its own."""
    place.spec(faults="open-door")
    ended = place.release(workflow="tests", **given).end()
    assert ended.rows["server.auth"]["verdict"] == "PASS"
    plan = json.loads((ended.folder / "launch_plan.json").read_text())
    assert plan["base_url"] not in plan["command"]
    assert "--host 127.0.0.1" in plan["command"]


@pytest.mark.parametrize(
    ("workflow", "given", "told"),
    [
        ("release", {"JWT_SECRET": "31-bytes-are-one-fewer-than-32."}, "JWT_SECRET: the secret is shorter than 32 bytes"),
        ("server", {"JWT_SECRET": "31-bytes-are-one-fewer-than-32."}, "JWT_SECRET: the secret is shorter than 32 bytes"),
        ("release", {"HALLMARK_API_KEY": "two words"}, "HALLMARK_API_KEY: no header can hold it"),
        ("server", {"HALLMARK_API_KEY": "one,two"}, "HALLMARK_API_KEY: the gateway parts keys by commas"),
    ],
)
def test_a_key_that_cannot_be_meant_is_one_line(place: Place, workflow: str, given: dict[str, str], told: str) -> None:
    place.spec()
    ended = place.release(workflow=workflow, **given).end()
    assert (ended.code, ended.folders) == (2, ())
    assert [line for line in ended.said.splitlines() if told in line and " - " in line]
    assert "Traceback" not in ended.said
    assert not [value for value in given.values() if value in ended.said]


def test_a_gateway_that_is_killed_is_a_server_that_is_lost(place: Place) -> None:
    place.spec(faults="slow-start=0.5")
    plugin = place.plugin("killer", KILLER.format(mark=place.mark))
    ended = place.release("--", "-p", plugin, **SECRET).end()
    assert ended.code == 1, ended.said
    assert "the gateway died (signal 9)" in ended.causes
    place.require_nobody_left()


KILLER = """
import os, pathlib, signal
import pytest

@pytest.fixture(autouse=True)
def killed_gateway(request):
    if "seed" in request.node.name or "stop" in request.node.name:
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                ours, words = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
                if {mark!r}.encode() in ours and b"hallmark_services.gateway" in words and b"keeper" not in words:
                    os.kill(int(folder.name), signal.SIGKILL)
            except OSError:
                continue
    yield
"""
