"""`--workflow server`: up until it is told to end, gone without trace, and its plan shown without doing anything."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from hallmark.core.tokens import DAY_S, sign_token
from hallmark.serving.listener import listeners_at
from hallmark_services.gateway.admission import Admission
from hallmark_services.gateway.heads import parse_request_head
from hallmark_services.gateway.refusals import Refusal
from hallmark_services.gateway.settings import read_settings
from selftests.gateway.gateways import SECRET
from selftests.gateway.streams import Streams
from selftests.plugin.commands import Command, wait_for
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import MODEL

URL = re.compile(r"url:\s+(http://\S+)/v1")


def serving(place: Place, *more: str, **environ: str) -> tuple[Command, str]:
    """The command and the server's base URL, once it says where it serves."""
    command = place.release(*more, workflow="server", **environ)

    def said() -> str:
        assert command.process.poll() is None, command.end().said
        return found[1] if (found := URL.search("".join(command.lines("out")))) else ""

    return command, wait_for(said, "URL")


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.parametrize("numbers", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM, signal.SIGINT]], ids=["one", "three"])
def test_it_serves_until_it_is_told_to_end(place: Place, numbers: list[signal.Signals]) -> None:
    place.spec(faults="ignore-sigterm" if len(numbers) > 1 else "")
    command, url = serving(place)
    assert httpx.get(f"{url}/health").status_code == 200
    for number in numbers:
        command.process.send_signal(number)
    ended = command.end()
    assert ended.code == 0, ended.said
    assert ended.out.splitlines()[-1] == f"stopped; the log is {ended.folders[0]}/server.log"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")
    place.require_nobody_left()


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.parametrize(("grace_s", "whole"), [("", 32), ("1", 0)])
def test_a_stop_lets_running_answers_come_to_their_end(place: Place, grace_s: str, whole: int) -> None:
    """The streams go on for longer than a server gets that is not waited for; the twin has too short a grace for them."""
    place.spec(engine_args={"itl_ms": 100})
    command, url = serving(place, JWT_SECRET=SECRET, STOP_GRACE_S=grace_s)
    streams = Streams(url, model=MODEL, tokens=60, key=sign_token(SECRET))
    command.process.send_signal(signal.SIGTERM)
    assert streams.whole() == whole
    ended = command.end()
    assert ended.code == 0, ended.said
    assert "stopping" in ended.out
    place.require_nobody_left()


@pytest.mark.long
@pytest.mark.e2e
def test_an_engine_without_a_gateway_is_left_alone_until_its_answers_are_whole(place: Place) -> None:
    place.spec(engine_args={"itl_ms": 100})
    command, url = serving(place)
    streams = Streams(url, model=MODEL, tokens=60)
    command.process.send_signal(signal.SIGTERM)
    assert streams.whole() == 32
    assert command.end().code == 0


@pytest.mark.long
@pytest.mark.e2e
def test_a_second_signal_does_not_wait_for_answers(place: Place) -> None:
    place.spec(engine_args={"itl_ms": 1000})
    command, url = serving(place, JWT_SECRET=SECRET, STOP_GRACE_S="3600")
    streams = Streams(url, model=MODEL, tokens=400, count=2, key=sign_token(SECRET))
    command.process.send_signal(signal.SIGINT)
    wait_for(lambda: command.arrived("stopping", on="out"), "word of the wait")
    command.process.send_signal(signal.SIGINT)
    assert streams.whole() == 0
    assert command.end().code == 0
    place.require_nobody_left()


@pytest.mark.e2e
def test_a_grace_that_is_none_is_refused_before_anything_starts(place: Place) -> None:
    place.spec()
    ended = place.release(workflow="server", STOP_GRACE_S="soon").end()
    assert ended.code == 2
    assert "STOP_GRACE_S: not a number of seconds above 0: 'soon'" in ended.err
    assert ended.folders == ()


@pytest.mark.e2e
def test_a_server_that_dies_ends_it(place: Place) -> None:
    place.spec(faults="dies-on-bad-request")
    command, url = serving(place)
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"{url}/v1/completions", content=b"{")
    ended = command.end()
    assert ended.code == 3
    assert "the server died (exit code 17); the log is" in ended.out.splitlines()[-1]


@pytest.mark.e2e
def test_its_key_is_demanded_and_never_shown(place: Place) -> None:
    place.spec()
    command, _ = serving(place, HALLMARK_API_KEY="canary-of-the-server")
    command.process.send_signal(signal.SIGTERM)
    ended = command.end()
    assert "HALLMARK_API_KEY" in ended.out
    left = [path for path in ended.folders[0].rglob("*") if path.is_file() and b"canary-of-the-server" in path.read_bytes()]
    assert left == []
    assert "canary-of-the-server" not in ended.said


@pytest.mark.e2e
@pytest.mark.long
def test_its_token_is_good_as_long_as_the_server_and_no_longer(place: Place) -> None:
    """Ten years on by the clock of its own gateway, whose settings are read from the process that runs."""
    place.spec()
    secret = "canary-secret-that-signs-tokens-32-bytes"
    command, url = serving(place, JWT_SECRET=secret)
    (kept,) = [Path(found[1]) for line in command.lines("out") if (found := re.search(r"key:\s+in (\S+); good until", line))]
    assert kept.stat().st_mode & 0o777 == 0o600
    token = kept.read_text().strip()
    assert httpx.get(f"{url}/v1/models", headers={"authorization": f"Bearer {token}"}).status_code == 200
    (gateway,) = listeners_at(url)
    settings = read_settings([], gateway.environ() or {})
    head = parse_request_head(f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}".encode())

    def in_ten_years() -> float:
        return time.time() + 10 * 365 * DAY_S

    Admission(settings, now_s=in_ten_years).check(head)
    with pytest.raises(Refusal, match="ended with the server"):
        Admission(replace(settings, server_id="the-next-server")).check(head)
    with pytest.raises(Refusal, match="expired"):
        days = sign_token(secret, lifetime_s=DAY_S)
        Admission(settings, now_s=in_ten_years).check(replace(head, fields=((b"authorization", b"Bearer " + days.encode()),)))
    command.process.send_signal(signal.SIGTERM)
    ended = command.end()
    assert not kept.exists()
    assert token not in ended.said


@pytest.mark.e2e
def test_an_engine_argument_of_the_command_line_wins_and_is_on_record(place: Place) -> None:
    place.spec(engine_args={"ttft_ms": 1})
    command, _ = serving(place, "--workflow-args", "ttft_ms=3")
    command.process.send_signal(signal.SIGTERM)
    ended = command.end()
    plan = json.loads((ended.folders[0] / "launch_plan.json").read_text())
    (value,) = [v for v in plan["values"] if v["name"] == "ttft_ms"]
    assert value == {"name": "ttft_ms", "value": "3", "origin": "command line", "overrode": "spec: 1"}


@pytest.mark.e2e
def test_a_plan_is_shown_and_nothing_is_done(place: Place) -> None:
    place.spec()
    ended = place.release("--print-plan", "--port=8123", workflow="server").end()
    assert ended.code == 0
    assert ended.folders == ()
    command = ended.out.splitlines()[-1]
    assert "#   ttft_ms = 2: spec" in ended.out
    words = shlex.split(command)
    assert words[words.index("--port") + 1] == "8123"
    assert sys.executable in words
    assert words[words.index("-m") + 1] == "selftests.faulty.server"


@pytest.mark.e2e
def test_a_printed_plan_can_be_pasted(place: Place) -> None:
    place.spec()
    command = place.release("--print-plan", workflow="server").end().out.splitlines()[-1]
    process = subprocess.Popen(["bash", "-c", f"exec env {command}"], cwd=place.folder, env=place.environ)
    try:
        url = "http://127.0.0.1:" + shlex.split(command)[shlex.split(command).index("--port") + 1]

        def healthy() -> bool:
            try:
                return httpx.get(f"{url}/health").status_code == 200
            except httpx.HTTPError:
                return False

        assert wait_for(healthy, "healthy server")
    finally:
        process.kill()
        process.wait()


@pytest.mark.long
@pytest.mark.e2e
def test_two_runs_at_once_take_turns_on_one_device(place: Place, tmp_path: Path) -> None:
    place.spec()
    first, _ = serving(place)
    second = place.release("--workflow-args", "ttft_ms=1", workflow="server")
    wait_for(lambda: second.arrived("waiting for cpu: held by"), "word of the wait")
    first.process.send_signal(signal.SIGTERM)
    assert first.end().code == 0
    wait_for(lambda: second.arrived("url:", on="out"), "URL of the second")
    second.process.send_signal(signal.SIGTERM)
    assert second.end().code == 0
