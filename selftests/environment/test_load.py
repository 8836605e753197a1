"""Who used the cores, and who waited for one, told of real processes; held against what these say of themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hallmark.core.load import Load, Place
from hallmark.environment.load import ServerProcesses, between, read_load
from hallmark.environment.load_watch import LoadWatch
from selftests.core.polling import comes_true

HALF_A_SECOND = "import time\nwhile time.process_time() < 0.5: pass\n"
BURN = f"import sys\nsys.stdin.readline()\n{HALF_A_SECOND}print(time.process_time(), flush=True)\nsys.stdin.read()\n"
"""When told to, half a second on a core; then it says so and waits to be ended."""
BURN_IN_CHILDREN = (
    "import os, subprocess, sys\nsys.stdin.readline()\nfor _ in range(2):\n"
    f"    subprocess.run([sys.executable, '-S', '-c', {HALF_A_SECOND!r}])\n"
    "times = os.times()\nprint(times.children_user + times.children_system, flush=True)\nsys.stdin.read()\n"
)
"""The same in two children that are gone when it says so."""
BURN_IN_A_THREAD = f"import sys, threading\nthreading.Thread(target=lambda: exec({BURN!r}, {{}})).start()\n"


@contextmanager
def program(source: str, *, core: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    pinned = f"import os\nos.sched_setaffinity(0, {{{core}}})\n" if core is not None else ""
    process = subprocess.Popen([sys.executable, "-S", "-c", pinned + source], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def account(servers: ServerProcesses, *processes: subprocess.Popen[bytes]) -> tuple[Load, float]:
    """What happened while the processes burnt, and how many seconds of a core they say that they used."""
    first = read_load(servers)
    for process in processes:
        assert process.stdin
        process.stdin.write(b"\n")
        process.stdin.flush()
    burnt = sum(float(process.stdout.readline()) for process in processes if process.stdout)
    return between(first, read_load(servers), client_late_s=0.0, client_late_most_s=0.0), burnt


@pytest.mark.parametrize("source", [BURN, BURN_IN_CHILDREN, BURN_IN_A_THREAD])
def test_what_the_server_burns_is_the_servers(source: str) -> None:
    """However it does: itself, in threads, or in children that live for a moment."""
    with program(source) as server:
        load, burnt = account(ServerProcesses(place=Place.HERE, roots=frozenset({server.pid})), server)
    assert load.server_s >= 0.8 * burnt >= 0.4
    assert load.own_s < burnt
    assert load.seconds > 0
    assert 0 <= load.idle_s <= load.capacity_s * 1.1


def test_what_another_program_burns_is_the_others() -> None:
    """It must not descend from here, or it would be one of ours: its parent ends at once."""
    detach = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-S', '-c', {BURN!r}])\n"
    with program("import sys\nsys.stdin.read()") as server:
        servers = ServerProcesses(place=Place.HERE, roots=frozenset({server.pid}))
        with subprocess.Popen([sys.executable, "-S", "-c", detach], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
            load, burnt = account(servers, starter)
    assert burnt >= 0.5
    assert load.others_s >= 0.4
    assert max(load.server_s, load.own_s) < 0.4


def test_two_on_one_core_wait_for_each_other() -> None:
    core = min(os.sched_getaffinity(0))
    with program(BURN, core=core) as one, program(BURN, core=core) as other:
        servers = ServerProcesses(place=Place.HERE, roots=frozenset({one.pid, other.pid}))
        load, _ = account(servers, one, other)
    assert load.waited_s >= 0.3
    assert load.waited_s > load.client_waited_s


def test_processes_that_are_gone_are_no_error() -> None:
    with program(BURN) as server:
        servers = ServerProcesses(place=Place.HERE, roots=frozenset({server.pid}))
        first = read_load(servers)
    load = between(first, read_load(servers), client_late_s=0.0, client_late_most_s=0.0)
    assert load.server_s == 0.0
    assert load.cores >= 1


def test_a_run_is_watched_row_by_row_and_window_by_window(tmp_path: Path) -> None:
    path = tmp_path / "load.jsonl"
    watch = LoadWatch(path, lambda: ServerProcesses(place=Place.HIDDEN)).start()
    with watch.window() as window:
        assert comes_true(lambda: path.exists() and path.read_text().count("\n") >= 2)
    watch.stop()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) >= 3, "the row that was begun is written when the watch ends"
    assert sum(row["seconds"] for row in rows[:2]) <= window.load.seconds + 0.5
    assert window.load is window.load, "a window that was left does not grow"
    assert all(row["server"] == "hidden" and row["cores"] >= 1 for row in rows)


def test_a_watch_that_cannot_write_ends_nothing(tmp_path: Path) -> None:
    watch = LoadWatch(tmp_path / "no such folder" / "load.jsonl", lambda: ServerProcesses(place=Place.HIDDEN)).start()
    with watch.window() as window:
        pass
    watch.stop()
    watch.stop()
    assert window.load.seconds >= 0
