"""Who listens: the processes behind a port of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from hallmark.serving.listener import Listener, listeners, strangers
from hallmark.serving.ports import free_port
from selftests.core.polling import comes_true
from selftests.faulty import SERVER, running

PYTHON = Path(sys.executable)


def only(port: int) -> Listener:
    (found,) = listeners(port)
    return found


def test_the_process_that_listens_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = only(server.getsockname()[1])
    assert (found.pid, found.program) == (os.getpid(), PYTHON.resolve())
    assert found.environ()


def test_nobody_listens() -> None:
    assert listeners(free_port("127.0.0.1")) == ()


def test_a_connection_is_no_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert listeners(client.getsockname()[1]) == ()


@pytest.mark.long
def test_a_process_that_opens_and_closes_files_is_not_overlooked() -> None:
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            files = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
            for file in files:
                os.close(file)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            assert [len(listeners(server.getsockname()[1])) for _ in range(40)] == [1] * 40
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize(
    ("at", "asked", "there"), [("127.0.0.1", "127.0.0.1", 1), ("0.0.0.0", "127.0.0.1", 1), ("127.0.0.2", "127.0.0.1", 0)]
)
def test_a_listener_at_another_address_takes_nothing_away(at: str, asked: str, there: int) -> None:
    with socket.create_server((at, 0)) as server:
        assert len(listeners(server.getsockname()[1], host=asked)) == there


def test_a_stranger_is_whoever_does_not_descend_from_the_keeper() -> None:
    with running() as server:
        for keeper, found in ((os.getpid(), 0), (server.process.pid, 0), (os.getppid(), 0), (2**22 + 1, 1)):
            assert len(strangers(server.port, host="127.0.0.1", keeper=keeper)) == found


def test_two_environments_of_one_interpreter_are_told_apart(tmp_path: Path) -> None:
    """Both link to the same executable; the packages that the server has are those of one of them."""
    mine, other = (tmp_path / name / "bin" / "python" for name in ("mine", "other"))
    for python in (mine, other):
        python.parent.mkdir(parents=True)
        python.symlink_to(PYTHON.resolve())
    port = free_port("127.0.0.1")
    process = subprocess.Popen([mine, "-S", "-E", SERVER, "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        assert comes_true(lambda: bool(listeners(port)))
        found = only(port)
        assert found.runs(mine)
        assert not found.runs(other)
        # A process that calls itself something else is known by the packages that it has loaded.
        assert not replace(found, command=("VLLM::APIServer",)).runs(mine)
    finally:
        process.kill()
        process.wait()


def test_a_process_of_another_title_is_known_by_its_packages() -> None:
    import pydantic_core  # a library that lies in this environment

    assert pydantic_core
    with socket.create_server(("127.0.0.1", 0)) as server:
        titled = replace(only(server.getsockname()[1]), command=("a title",))
    assert titled.runs(PYTHON)
