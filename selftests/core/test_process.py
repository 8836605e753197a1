"""Real processes, ended whole: however stubborn the command is, and whoever is killed, nobody is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hallmark.core import process as module
from hallmark.core.process import KeptProcess, tail
from selftests.core.polling import alive, comes_true, marked

STUBBORN = str(Path(__file__).with_name("stubborn.py"))
ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = ("child", "session", "deaf", "orphan", "deaf-itself")
FEW_S = 0.15


@pytest.fixture
def marker() -> Iterator[str]:
    """A word on the command line of each process that a test starts; none may be left, and none is left here."""
    word = f"hallmark-selftest-{uuid.uuid4().hex}"
    yield word
    for pid in marked(word):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Callable[..., KeptProcess]]:
    """Starts a kept process with this environment and a log in `tmp_path`; ends it after the test."""
    kept: list[KeptProcess] = []

    def start(*argv: str, grace_s: float = FEW_S) -> KeptProcess:
        kept.append(KeptProcess(argv, env=os.environ, log_path=tmp_path / "log", grace_s=grace_s))
        return kept[-1]

    yield start
    for process in kept:
        process.stop()


def python(code: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-E", "-c", code, *arguments)


def await_stubborn(ready: Path, marker: str, *, at_least: int) -> None:
    assert comes_true(ready.exists), "the stubborn command did not start"
    assert len(marked(marker)) >= at_least


@pytest.mark.parametrize("behaviours", [(), ("child",), ("session",), ("orphan",), ("deaf-itself",), EVERYTHING], ids="+".join)
def test_stop_ends_all_of_it(tmp_path: Path, keep: Callable[..., KeptProcess], marker: str, behaviours: tuple[str, ...]) -> None:
    """Planted: children, children in sessions of their own, orphans, and processes that ignore SIGTERM."""
    process = keep(sys.executable, "-S", "-E", STUBBORN, marker, str(tmp_path / "ready"), *behaviours)
    # The keeper's own command line holds the marker, too; `deaf-itself` is no process of its own.
    await_stubborn(tmp_path / "ready", marker, at_least=2 + len({*behaviours} - {"deaf-itself"}))
    code = process.stop()
    assert marked(marker) == []
    assert code == (-signal.SIGKILL if "deaf-itself" in behaviours else -signal.SIGTERM)
    assert process.ended.is_set()


PATIENT = """
import signal
asked = {signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, asked)
print("up", flush=True)
signal.sigwait(asked)
print("asked", flush=True)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
signal.sigtimedwait({signal.SIGUSR1}, 20)
raise SystemExit(7)
"""


def test_who_is_asked_to_end_may_take_longer_than_the_grace(tmp_path: Path, keep: Callable[..., KeptProcess]) -> None:
    """And ends as it wishes; `stop` still does not wait for it."""
    process, hurried = (keep(*python(PATIENT.replace("up", f"up {number}")), grace_s=FEW_S) for number in (1, 2))
    log = tmp_path / "log"
    assert comes_true(lambda: log.exists() and log.read_text().count("up") == 2)
    for one in (process, hurried):
        one.ask_to_end()
    assert comes_true(lambda: log.read_text().count("asked") == 2)
    assert not process.ended.wait(10 * FEW_S)
    assert hurried.stop() == -signal.SIGKILL
    assert process.pid
    os.kill(process.pid, signal.SIGUSR1)
    assert process.ended.wait(10)
    process.ask_to_end()
    assert process.stop() == 7


PARENT = """
import os, signal, sys
from pathlib import Path
from hallmark.core.process import KeptProcess
KeptProcess(sys.argv[2:], env=os.environ, log_path=Path(sys.argv[1]), grace_s=0.15)
signal.pause()
"""


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_nothing_outlives_a_parent_that_is_killed(tmp_path: Path, marker: str, how: signal.Signals) -> None:
    command = [sys.executable, "-S", "-E", STUBBORN, marker, str(tmp_path / "ready"), *EVERYTHING]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log"), *command],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        await_stubborn(tmp_path / "ready", marker, at_least=7)
        parent.send_signal(how)
        parent.wait(10)
        assert comes_true(lambda: not marked(marker), within_s=5), f"left: {marked(marker)}"
    finally:
        parent.kill()
        parent.wait()


def test_the_grace_leaves_time_to_end_a_stubborn_server_within_five_seconds() -> None:
    assert 1 <= module.GRACE_S <= 4.5


def test_a_killed_keeper_is_noticed_and_takes_the_command_along(
    tmp_path: Path, keep: Callable[..., KeptProcess], marker: str
) -> None:
    """Who kills the keeper by mistake must not leave a server behind that nobody watches."""
    process = keep(sys.executable, "-S", "-E", STUBBORN, marker, str(tmp_path / "ready"), "child", "deaf-itself")
    await_stubborn(tmp_path / "ready", marker, at_least=3)
    keeper = next(pid for pid in marked(marker) if b"keeper.py" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(keeper, signal.SIGKILL)
    assert process.ended.wait(5)
    assert process.exit_code == -signal.SIGKILL
    assert comes_true(lambda: not marked(marker)), f"left: {marked(marker)}"
    assert process.stop() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("code", "expected"),
    [("pass", 0), ("raise SystemExit(17)", 17), ("import os; os.kill(os.getpid(), 9)", -9), ("import os; os.abort()", -6)],
)
def test_the_end_is_noticed_with_its_exit_code(keep: Callable[..., KeptProcess], code: str, expected: int) -> None:
    process = keep(*python(code))
    assert process.ended.wait(10)
    assert process.exit_code == expected
    assert process.stop() == expected


def test_while_it_runs_it_has_no_exit_code(keep: Callable[..., KeptProcess]) -> None:
    """The twin of the test above."""
    process = keep(*python("import signal; signal.pause()"))
    assert comes_true(lambda: process.pid is not None)
    assert process.pid is not None
    assert alive(process.pid)
    assert not process.ended.is_set()
    assert process.exit_code is None
    process.stop()
    assert not alive(process.pid)


def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path, keep: Callable[..., KeptProcess], marker: str) -> None:
    """A server that crashed while its workers go on would hold the device."""
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()', {marker!r}])"
    process = keep(*python(f"{code}; raise SystemExit(3)"))
    assert process.ended.wait(10)
    assert process.exit_code == 3
    assert comes_true(lambda: not marked(marker))


def test_a_command_that_does_not_exist_is_said_in_the_log(tmp_path: Path, keep: Callable[..., KeptProcess]) -> None:
    process = keep("/no/such/engine", "--flag")
    assert process.ended.wait(10)
    assert process.exit_code == 127
    assert "/no/such/engine" in tail(tmp_path / "log")
    assert "Traceback" not in tail(tmp_path / "log")


def test_stopping_twice_is_harmless(keep: Callable[..., KeptProcess]) -> None:
    process = keep(*python("import signal; signal.pause()"))
    assert process.stop() == process.stop()


def test_stopping_at_once_after_the_start_leaves_nothing(keep: Callable[..., KeptProcess], marker: str) -> None:
    for _ in range(3):
        keep(*python("import signal; signal.pause()", marker)).stop()
    assert marked(marker) == []


def test_it_has_the_environment_that_is_given_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONLY_OF_THE_TEST", "1")
    code = "import os; print(sorted(os.environ))"
    process = KeptProcess(python(code), env={"GIVEN": "1"}, log_path=tmp_path / "log")
    assert process.ended.wait(10)
    process.stop()
    assert "'GIVEN'" in tail(tmp_path / "log")
    assert "ONLY_OF_THE_TEST" not in tail(tmp_path / "log")


def test_both_of_its_streams_are_in_the_log_and_input_is_closed(tmp_path: Path, keep: Callable[..., KeptProcess]) -> None:
    process = keep(*python("import sys; print('out', flush=True); print('err', file=sys.stderr); sys.stdin.read(); print('end')"))
    assert process.ended.wait(10)
    assert tail(tmp_path / "log").split() == ["out", "err", "end"]


def test_the_tail_is_the_end_of_a_file_that_need_not_be_there(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    assert tail(path) == ""
    path.write_bytes(b"\xff\xfe first\n" + b"".join(b"line %d\n" % i for i in range(5000)))
    assert tail(path, lines=2) == "line 4998\nline 4999"
    assert len(tail(path).splitlines()) == 30
