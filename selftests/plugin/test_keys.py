"""Keys and tokens: demanded where they are given, by the engine itself or by the gateway before it, and never written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selftests.plugin.commands import Ended
from selftests.plugin.conftest import Place

pytestmark = pytest.mark.e2e

KEY = {"HALLMARK_API_KEY": "canary-key-of-the-server"}
SECRET = {"JWT_SECRET": "canary-secret-that-signs-tokens-32-bytes"}


def leaks(ended: Ended, secret: str) -> list[Path]:
    found = [path for path in ended.folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    return [*found, *([Path("terminal")] if secret in ended.said else [])]


@pytest.mark.parametrize("given", [KEY, SECRET], ids=["key", "token"])
def test_a_server_that_demands_it_is_accepted_and_it_is_written_nowhere(place: Place, given: dict[str, str]) -> None:
    place.whole_spec()
    ended = place.release(**given).end().must_end(0, "ACCEPTED")
    assert ended.rows["server.auth"]["verdict"] == "PASS"
    assert leaks(ended, *given.values()) == []
    place.require_nobody_left()


def test_without_a_key_nothing_is_asked(clean: Ended) -> None:
    assert "server.auth" not in clean.rows


def test_a_server_that_lets_everybody_in_is_rejected(place: Place) -> None:
    place.spec(faults="open-door")
    ended = place.release(**KEY).end().must_end(1, "REJECTED")
    assert ended.rows["server.auth"]["verdict"] == "FAIL"
    assert "answered 200 instead of 401" in ended.rows["server.auth"]["reason"]


def test_behind_the_gateway_the_engine_has_a_key_of_its_own(place: Place) -> None:
    """Whoever finds the engine's port still gets nothing; an engine that lets everybody in is not seen by clients."""
    place.whole_spec(faults="open-door")
    ended = place.release(**SECRET).end().must_end(0, "ACCEPTED")
    plan = json.loads((ended.folder / "launch_plan.json").read_text())
    assert plan["base_url"] not in plan["command"]


def test_a_gateway_that_is_killed_is_a_server_that_is_lost(place: Place) -> None:
    place.whole_spec(evals=[], perf=[], faults="slow-start=0.5")
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
    if "chat" in request.node.name or "sentence" in request.node.name:
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                ours, words = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
                if {mark!r}.encode() in ours and b"hallmark.gateway" in words and b"keeper" not in words:
                    os.kill(int(folder.name), signal.SIGKILL)
            except OSError:
                continue
    yield
"""
