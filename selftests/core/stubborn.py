"""A command that is hard to end, for the tests of the keeper: `python stubborn.py MARKER PATH BEHAVIOUR...`

It starts one child for each of `child`, `session` (in a session of its own), `deaf` (ignores SIGTERM) and `orphan`
(its parent is gone at once); with `deaf-itself` it ignores SIGTERM, too. When all of them run, PATH is written.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

WAIT = "import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
# Leaves a grandchild behind that nobody here is the parent of, in a session of its own.
ORPHAN = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[2], sys.argv[1]], start_new_session=True)"


def main(marker: str, ready: Path, behaviours: set[str]) -> None:
    python = [sys.executable, "-S", "-E", "-c"]
    if "deaf-itself" in behaviours:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "child" in behaviours:
        subprocess.Popen([*python, WAIT, marker])
    if "session" in behaviours:
        subprocess.Popen([*python, WAIT, marker], start_new_session=True)
    if "deaf" in behaviours:
        deaf = subprocess.Popen([*python, DEAF, marker], stdout=subprocess.PIPE, start_new_session=True)
        assert deaf.stdout is not None
        deaf.stdout.readline()
    if "orphan" in behaviours:
        subprocess.run([*python, ORPHAN, marker, WAIT], check=True)
    ready.write_text("all are there")
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), set(sys.argv[3:]))
