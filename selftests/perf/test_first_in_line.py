"""A thread that goes first while it needs little of a core; on a system that does not allow it nothing changes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from hallmark.perf.first_in_line import FirstInLine
from hallmark.perf.schedule import judge_schedule
from selftests.perf.made_up import a_point, always, open_loop
from selftests.perf.test_disturbance import QUIET

_TELLS = "import os; print(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK)"
_UNPRIVILEGED = """
import os
from hallmark.perf.first_in_line import FirstInLine
if os.geteuid() == 0:
    os.setuid(65534)
with FirstInLine() as line:
    print(line.kept, os.sched_getscheduler(0) == os.SCHED_OTHER)
    line.look()
"""


def is_allowed() -> bool:
    command = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))"
    return subprocess.run([sys.executable, "-c", command], stderr=subprocess.DEVNULL, check=False).returncode == 0


def policy() -> int:
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK


def test_a_thread_goes_first_until_it_leaves_and_what_it_starts_does_not() -> None:
    with FirstInLine() as line:
        assert line.kept is is_allowed()
        assert policy() == (os.SCHED_RR if line.kept else os.SCHED_OTHER)
        child = subprocess.run([sys.executable, "-c", _TELLS], capture_output=True, text=True, check=True)
        assert int(child.stdout) == os.SCHED_OTHER
        line.look()
    assert line.kept is is_allowed()
    assert policy() == os.SCHED_OTHER


def test_other_threads_let_go_of_the_interpreter_sooner_as_long_as_it_lasts() -> None:
    """One that computes all the time would keep it for 5 ms at a stretch, in which no request is sent."""
    usual = sys.getswitchinterval()
    with FirstInLine():
        assert sys.getswitchinterval() < usual / 5
    assert sys.getswitchinterval() == usual


def test_one_that_needs_a_whole_core_gives_its_place_back() -> None:
    with FirstInLine() as line:
        begun = time.thread_time()
        while time.thread_time() - begun < 0.05:
            pass
        line.look()
        assert not line.kept
        assert policy() == os.SCHED_OTHER
    assert policy() == os.SCHED_OTHER


def test_who_may_not_go_first_goes_on_as_before() -> None:
    """A user without privileges; without the limit that would allow it, which is 0 by default."""
    told = subprocess.run([sys.executable, "-c", _UNPRIVILEGED], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("went_first", [True, False])
def test_a_late_schedule_says_how_the_client_could_go_first(went_first: bool) -> None:
    result = open_loop(60, 10, ttft=always(0.05))
    late = tuple(replace(one, taken_up=one.start + 0.02) for one in result.samples)
    (lag,) = judge_schedule([], replace(result, samples=late, client_went_first=went_first), a_point(result, rate=10), load=QUIET)
    assert ("CAP_SYS_NICE" in lag.reason) is not went_first
