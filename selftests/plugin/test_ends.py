"""A server that dies is told at once and once; whatever ends pytest leaves nothing behind."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from selftests.faulty import running
from selftests.plugin.commands import LONGEST_S, Command, wait_for
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import MODEL, ROOT, eval_target, perf_point

pytestmark = [pytest.mark.e2e, pytest.mark.fresh_interpreter, pytest.mark.long]

BOUND_S = 1.0
SLOW = {"ttft_ms": 250}
"""Slow enough for a signal to arrive while a check is waiting for its answer."""


def in_the_middle(command: Command) -> Path:
    """The run's folder, once the server has answered some of the checks."""
    folder = command.folder()
    records = folder / "records.jsonl"
    wait_for(lambda: records.exists() and records.read_text().count('"kind": "server"') >= 2, "record of a server check")
    return folder


def port_of(folder: Path) -> int:
    said = (folder / "launch_plan.json").read_text(encoding="utf-8")
    found = re.search(r'"base_url": "http://127\.0\.0\.1:(\d+)"', said)
    assert found
    return int(found[1])


def is_held(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


# -- the server ends by itself ---------------------------------------------------------------------------------------


def test_a_death_is_told_within_a_second_and_once(place: Place) -> None:
    place.whole_spec(faults="die-after=3")
    command = place.release()
    ended = command.end().must_end(1, "REJECTED")
    (told,) = command.arrived("SERVER LOST")
    died = re.search(r"dies on purpose at ([\d.]+)", (ended.folder / "server.log").read_text(encoding="utf-8"))
    assert died
    assert told - float(died[1]) < BOUND_S
    assert "the server died (exit code 17)" in ended.err
    assert "dies on purpose" in ended.err, "the last lines of its log stand below the announcement"
    assert [row["verdict"] for row in ended.rows.values()].count("FAIL") == 1


def test_after_a_death_the_other_checks_do_not_wait(place: Place) -> None:
    place.whole_spec(faults="die-after=3")
    ended = place.release().end().must_end(1, "REJECTED")
    (blamed,) = [row for row in ended.rows.values() if row["verdict"] == "FAIL"]
    assert blamed["log"].strip()
    lost = [record for record in ended.records if record["reason"].startswith("server lost")]
    assert {record["reason"] for record in lost} == {f"server lost (see {blamed['check']})"}
    assert {"evals.addition", "server.model"} <= {record["check"] for record in lost}
    assert max(record["duration_s"] for record in lost) < BOUND_S
    assert ended.out.count("the server died") == 2, "in full where it happened, and as the cause at the end"


def test_a_server_killed_between_two_requests_is_told_too(place: Place) -> None:
    """Nobody was waiting for an answer; the next check finds it gone, and says by what signal."""
    place.spec(perf=[perf_point()], engine_args=SLOW)
    command = place.release()
    folder = in_the_middle(command)
    server = wait_for(lambda: listening_on(port_of(folder)), "server process")
    os.kill(server, signal.SIGKILL)
    ended = command.end().must_end(1, "REJECTED")
    assert "the server died (signal 9)" in ended.causes
    assert len(command.arrived("SERVER LOST")) == 1


def listening_on(port: int) -> int | None:
    """The process of this user that was started for `port`, itself and not its keeper."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(port).encode() in words and b"selftests.faulty.server" in words and b"-I" not in words:
            return int(folder.name)
    return None


def test_an_attached_server_that_goes_away_is_told(place: Place) -> None:
    place.spec(perf=[perf_point()])
    with running("die-after=3", model=MODEL) as server:
        command = place.release(f"--server-url={server.base_url}")
        ended = command.end().must_end(1, "REJECTED")
    assert len(command.arrived("SERVER LOST")) == 1
    assert "the server is gone (its port refuses connections)" in ended.causes


# -- pytest is ended -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["SIGINT to the group", "SIGTERM to the command", "SIGTERM to the group"])
def test_an_interrupted_run_reports_and_leaves_nothing(place: Place, how: str) -> None:
    place.whole_spec(engine_args=SLOW, faults="spawn-child")
    command = place.release()
    folder = in_the_middle(command)
    number = signal.Signals[how.split()[0]]
    if how.endswith("group"):
        command.signal_all(number)
    else:
        command.process.send_signal(number)
    place.require_nobody_left()
    assert not is_held(port_of(folder))
    ended = command.end().must_end(130, "INTERRUPTED")
    assert "interrupted before the end" in ended.causes
    assert {"evals.addition", "server.model"} <= set(ended.report["missing"])
    assert "Traceback" not in ended.said


def test_a_run_whose_terminal_is_gone_reports_and_leaves_nothing(place: Place) -> None:
    """A connection that breaks, a window that is closed: SIGHUP comes, and whoever still writes there gets an error."""
    place.whole_spec(engine_args=SLOW)
    terminal, own = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, os.ttyname(own), sys.executable, "-m", *place.release_words()],
        cwd=ROOT,
        env=place.environ,
        start_new_session=True,
    )
    os.close(own)
    try:
        records = wait_for(lambda: next(iter(place.artifacts.glob("*/records.jsonl")), None), "record")
        wait_for(lambda: read_some(terminal) and records.read_text().count('"kind": "server"') >= 2, "record of a server check")
    finally:
        os.close(terminal)
    assert process.wait(LONGEST_S) == 130
    place.require_nobody_left()
    report = json.loads((records.parent / "report.json").read_text(encoding="utf-8"))
    assert report["decision"]["outcome"] == "INTERRUPTED"


IN_A_TERMINAL = """
import fcntl, os, sys, termios
terminal = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
for stream in range(3):
    os.dup2(terminal, stream)
os.close(terminal)
os.execv(sys.argv[2], sys.argv[2:])
"""


def read_some(terminal: int) -> bool:
    """Take what was written to the terminal, or the writer would wait; always true."""
    while select.select([terminal], [], [], 0)[0]:
        os.read(terminal, 65536)
    return True


def test_an_interrupted_run_ends_a_server_that_ignores_sigterm(place: Place) -> None:
    place.spec(engine_args=SLOW, faults="ignore-sigterm spawn-child")
    command = place.release()
    folder = in_the_middle(command)
    command.signal_all(signal.SIGINT)
    command.end().must_end(130, "INTERRUPTED")
    place.require_nobody_left()
    assert not is_held(port_of(folder))


@pytest.mark.real_evals
def test_an_interruption_while_lm_eval_works(place: Place) -> None:
    place.whole_spec(evals=[eval_target(num_concurrent=1, batch_size=1)], impl={"features": []}, engine_args=SLOW)
    command = place.release()
    folder = command.folder()
    records = folder / "records.jsonl"
    wait_for(lambda: records.exists() and '"server.model"' in records.read_text(), "last record of a server check")
    command.signal_all(signal.SIGINT)
    ended = command.end().must_end(130, "INTERRUPTED")
    place.require_nobody_left()
    assert "evals.addition" in ended.report["missing"]


def test_a_killed_pytest_leaves_nothing(place: Place) -> None:
    place.whole_spec(engine_args=SLOW)
    command = place.release()
    folder = in_the_middle(command)
    port = port_of(folder)
    assert is_held(port), "else the assertion below would prove nothing"
    (child,) = command.children()
    os.kill(child, signal.SIGKILL)
    place.require_nobody_left()
    assert not is_held(port)
    assert command.end().code not in (0, 1), "killed is neither accepted nor rejected"


def test_a_run_that_was_killed_is_not_accepted_when_it_is_rendered(place: Place) -> None:
    place.whole_spec(engine_args=SLOW)
    command = place.release()
    folder = in_the_middle(command)
    command.signal_all(signal.SIGKILL)
    command.end()
    place.require_nobody_left()
    again = place.start(["hallmark.checkout", "--workflow=reports", f"--run={folder}"]).end()
    assert again.code == 4
    assert "were measured; what was not measured is not accepted" in again.out
