"""Process 1 of the image over real processes: exit codes, signals passed on, orphans reaped, nothing left."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from selftests.core.polling import alive, comes_true

PROGRAM = Path(__file__).with_name("supervised.py")
WAIT = "import signal; print('up', flush=True); signal.pause()"
POLITE = """
import signal
heard = {signal.SIGTERM, signal.SIGUSR1}
signal.pthread_sigmask(signal.SIG_BLOCK, heard)
print('up', flush=True)
while (number := signal.sigwait(heard)) != signal.SIGTERM:
    print('heard', int(number), flush=True)
print('bye', int(number), flush=True)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
PROMPT_S = 8.0


class Supervised:
    """A running supervisor and what it has said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []

    def hear(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Read on until `pattern` was said so often."""
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline()
            assert line, f"it ended without saying {pattern}: {self.said}"
            self.said.append(line)
            if (match := re.search(pattern, line)) and not (times := times - 1):
                return match

    def rest(self) -> str:
        text = self.process.communicate(timeout=30)[0]
        return "".join(self.said) + text

    @property
    def pids(self) -> list[int]:
        return [int(pid) for line in self.said for pid in re.findall(r"is (\d+)", line)]


@contextmanager
def supervised(*programs: str, grace_s: float = 5) -> Iterator[Supervised]:
    command = [sys.executable, "-S", str(PROGRAM), str(grace_s), *programs]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    held = Supervised(process)
    try:
        yield held
        process.wait(30)
        assert comes_true(lambda: not [pid for pid in held.pids if alive(pid)]), "a child was left"
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import sys; sys.exit(7)", "vLLM 7"),
        ("pass", "vLLM 1"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "vLLM 137"),
    ],
)
def test_a_child_that_ends_ends_the_rest_and_its_code_counts(code: str, told: str) -> None:
    with supervised(f"gateway={WAIT}", f"vLLM={code}") as held:
        assert f"ended: {told}\n" in held.rest()


def test_a_child_that_is_not_needed_may_end() -> None:
    with supervised("spare=pass", f"vLLM={POLITE}") as held:
        held.hear("up")
        held.process.send_signal(signal.SIGTERM)
        assert "ended: by a signal" in held.rest()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_passed_on_and_the_last_words_are_heard(number: int) -> None:
    with supervised(f"vLLM={POLITE}", f"gateway={POLITE}") as held:
        held.hear("up", times=2)
        held.process.send_signal(number)
        text = held.rest()
        assert text.count("bye 15") == 2
        assert "ended: by a signal" in text


def test_other_signals_are_passed_on() -> None:
    with supervised(f"vLLM={POLITE}") as held:
        held.hear("up")
        held.process.send_signal(signal.SIGUSR1)
        held.hear("heard 10")
        held.process.send_signal(signal.SIGTERM)
        held.rest()


def test_who_ignores_sigterm_is_killed_after_the_grace() -> None:
    with supervised(f"vLLM={STUBBORN}", grace_s=0.3) as held:
        held.hear("up")
        began = time.monotonic()
        held.process.send_signal(signal.SIGTERM)
        held.rest()
        assert 0.3 <= time.monotonic() - began < 0.3 + PROMPT_S


def test_a_second_stop_does_not_wait() -> None:
    with supervised(f"vLLM={STUBBORN}", grace_s=300) as held:
        held.hear("up")
        held.process.send_signal(signal.SIGTERM)
        held.hear("stopping")
        held.process.send_signal(signal.SIGTERM)
        held.rest()


def test_orphans_are_reaped() -> None:
    """A child of a child whose parent is gone must not stay as a zombie: a container has few pids."""
    child = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-S', '-c', '']).pid, flush=True)"
    code = f"import signal, subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {child!r}]); signal.pause()"
    with supervised(f"vLLM={code}") as held:
        pid = int(held.hear(r"^(\d+)$")[1])
        assert comes_true(lambda: not Path(f"/proc/{pid}").exists())
        held.process.send_signal(signal.SIGTERM)
        held.rest()
