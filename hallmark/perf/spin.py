"""A fixed piece of work, done again and again on one core: `python spin.py`; by how long it takes, the core's speed is told.

It prints a line for each: when (seconds of the clock that all processes of a machine share), and the CPU time in nanoseconds. It
does COUNT of them, APART_S from each other, says `ready`, one each EVERY_S until its standard input ends, `done`, COUNT again.
Done one right after the other they would tell of one moment alone: a core that other machines share is half as fast in the next.
It is one text of the standard library, so that it starts at once.
"""

import os
import select
import sys
import time

COUNT, APART_S = 20, 0.04
EVERY_S = 0.2
_STEPS = 15_000
"""About a millisecond."""


def spin() -> int:
    """CPU time of the work, in nanoseconds: what the core was lent to others meanwhile is not in it."""
    began, total = time.thread_time_ns(), 0
    for step in range(_STEPS):
        total += step * step
    return time.thread_time_ns() - began


def told() -> str:
    return f"{time.perf_counter():.6f} {spin()}\n"


def some_told() -> str:
    lines = []
    for _ in range(COUNT):
        time.sleep(APART_S)
        lines.append(told())
    return "".join(lines)


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(some_told(), "ready", sep="", flush=True)
    while not select.select([sys.stdin], [], [], EVERY_S)[0]:
        print(told(), end="", flush=True)
    print(f"done\n{some_told()}", end="", flush=True)


if __name__ == "__main__":
    main()
