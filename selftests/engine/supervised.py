"""A program for selftests: the supervisor over Python programs given as arguments, `name=CODE`; the last line tells how it ended.

It is process 1 of nothing here, so it adopts orphans by being a subreaper, as process 1 does by being first.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "engine"))

from hallmark_engine.commands import Command
from hallmark_engine.supervise import Supervisor, exit_code


def say(line: str) -> None:
    print(f"engine: {line}", flush=True)


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    supervisor = Supervisor(stop_grace_s=float(sys.argv[1]), say=say, write=lambda raw: os.write(1, raw) and None)
    for argument in sys.argv[2:]:
        name, _, code = argument.partition("=")
        child = supervisor.start(Command(name, (sys.executable, "-S", "-c", code), os.environ), needed=name != "spare")
        say(f"{name} is {child.process.pid}")
    ended = supervisor.run()
    print(f"ended: {ended.command.name} {exit_code(ended)}" if ended else "ended: by a signal", flush=True)
