"""Commands that are forked for the self-tests end with the run that wanted them."""

from __future__ import annotations

import subprocess
import sys

from selftests.core.polling import alive, comes_true
from selftests.forkserver import ROOT

_STARTS_ONE = """
import os, signal
from pathlib import Path
from selftests.forkserver import fork

command = fork(["http.server", "0"], cwd=Path.cwd(), env=dict(os.environ), out=2, err=2)
print(command.pid, flush=True)
signal.pause()
"""


def test_a_command_ends_with_a_run_that_is_killed() -> None:
    process = subprocess.Popen([sys.executable, "-c", _STARTS_ONE], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    with process, process.stdout as told:
        command = int(told.readline())
        assert alive(command)
        process.kill()
    assert comes_true(lambda: not alive(command), within_s=20)
