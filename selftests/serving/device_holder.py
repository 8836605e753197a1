"""A program for selftests: holds a device until its standard input ends, or leaves a child behind that does."""

from __future__ import annotations

import subprocess
import sys

from hallmark.serving.lease import hold

if __name__ == "__main__":
    lease = hold(sys.argv[1], holder="the other run", progress=lambda _: None, wait_s=0)
    if "leaves-a-child" in sys.argv:
        quiet = subprocess.DEVNULL
        child = subprocess.Popen(["sleep", "600"], pass_fds=lease.descriptors, stdin=quiet, stdout=quiet, stderr=quiet)
        print(child.pid)
    else:
        print("held", flush=True)
        sys.stdin.read()
