"""A program for selftests: has the docker launcher start a stand-in, says so, and waits to be killed."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from hallmark.serving.docker.launcher import DockerLauncher
from selftests.serving.containers import contained

if __name__ == "__main__":
    DockerLauncher().start(contained(Path(sys.argv[1])), lambda _: None)
    print("ready", flush=True)
    threading.Event().wait()
