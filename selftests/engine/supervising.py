"""Runs the supervisor of the image over small programs, and hears what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
