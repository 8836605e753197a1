"""Process 1 of the image over real processes: exit codes, signals passed on, orphans reaped, nothing left."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from selftests.core.polling import comes_true
from selftests.engine.supervising import POLITE, STUBBORN, WAIT, supervised

PROMPT_S = 8.0


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
