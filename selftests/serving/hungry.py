"""A STAND-IN FOR SELFTESTS ONLY: the misbehaving server that, once /tmp/eat is there, takes memory until it is killed."""

from __future__ import annotations

import runpy
import sys
import threading
from pathlib import Path

SERVER = Path(__file__).resolve().parents[1] / "faulty" / "server.py"


def eat() -> None:
    while not Path("/tmp/eat").exists():
        threading.Event().wait(0.02)
    eaten = []
    while True:
        eaten.append(bytearray(b"x") * 10_000_000)


if __name__ == "__main__":
    threading.Thread(target=eat, daemon=True).start()
    sys.argv[0] = str(SERVER)
    runpy.run_path(str(SERVER), run_name="__main__")
