"""One of several processes that send a point's requests: `python -m hallmark.perf.client_process FILE`.

It gets its share on standard input, sends the warm-up, says that it is warm, and waits for the moment at which the windows of
all begin, by the clock that the processes of a machine share. What came is taken apart and written to FILE when its window is
over. Standard input also says when to stop; where it ends, whoever asked is gone.
"""

from __future__ import annotations

import asyncio
import pickle
import select
import sys
import time
from contextlib import suppress
from pathlib import Path

from hallmark.core.errors import CheckFailed
from hallmark.perf.loops import Bounds, no_garbage_collection
from hallmark.perf.process_share import OVER, SIZE, WARM, Outcome, Share
from hallmark.perf.runs import runs_of

_WAKES_BEFORE_S = 0.002
_GONE = "whoever asked for the measurement is gone"


class Asker:
    """Who started this process; entered for the window."""

    def __init__(self) -> None:
        self._in = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115 - it lives as long as the process
        self._done = self._told = 0
        self._reason = ""

    def share(self) -> Share:
        share = pickle.loads(self._exactly(int.from_bytes(self._exactly(SIZE))))  # noqa: S301 - of the process that started this one
        assert isinstance(share, Share)
        return share

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size and (piece := self._in.read(size - len(data))):
            data += piece
        return bytes(data)

    def __enter__(self) -> None:
        print(WARM, flush=True)
        line = self._reason or self._line()  # a reason may have come as the warm-up ended
        try:
            begins = float(line)
        except ValueError:
            self._reason = line
            return
        time.sleep(max(0.0, begins - time.perf_counter() - _WAKES_BEFORE_S))
        while time.perf_counter() < begins:
            pass  # a sleep would end when the machine likes

    def __exit__(self, *_: object) -> None:
        print(OVER, flush=True)

    def should_stop(self) -> str | None:
        if self._done != self._told:
            self._told = self._done
            print(self._told, flush=True)
        if not self._reason and select.select([self._in], [], [], 0)[0]:
            self._reason = self._line()
        return self._reason or None

    def _line(self) -> str:
        return self._in.readline().decode().strip() or _GONE

    def progress(self, done: int, _: int) -> None:
        self._done = done


def main(file: Path) -> None:
    asker = Asker()
    share = asker.share()
    loop = share.loop(Bounds(limit_s=share.limit_s, during=asker, should_stop=asker.should_stop))
    with no_garbage_collection():
        asyncio.run(loop.run(share.warmup, share.window, progress=asker.progress))
    for timed in (*loop.warmup_sent, *loop.window_sent):
        if timed.completed and timed.answer.status == 200:
            with suppress(CheckFailed):  # what is wrong with it is said by who reads it
                timed.runs, timed.pieces = timed.runs or list(runs_of(timed.pieces)), []
    outcome = Outcome(
        warmup_sent=loop.warmup_sent,
        window_sent=loop.window_sent,
        delays=loop.delays,
        stopped=loop.stopped,
        cpu_s=loop.cpu_s,
        went_first=loop.went_first,
    )
    file.write_bytes(pickle.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
