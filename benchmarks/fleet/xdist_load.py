"""pytest-xdist's own LoadScheduling on a simulated clock: the same cells, as tests of so many equal workers.

It knows neither kinds of boards nor how many a test needs, nor how long one takes. A worker begins a test when it has been sent
the one after it, or been told that there is none; that is xdist's (`xdist/remote.py`).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from xdist.scheduler import LoadScheduling


@dataclass(eq=False, slots=True)
class _Worker:
    gateway: Any
    waiting: deque[int] = field(default_factory=deque)
    under_way: int | None = None
    shutting_down: bool = False

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        self.waiting.extend(indices)

    def shutdown(self) -> None:
        self.shutting_down = True

    def begins(self) -> int | None:
        """The test that it begins now, if it is idle and may."""
        if self.under_way is not None or len(self.waiting) < (1 if self.shutting_down else 2):
            return None
        self.under_way = self.waiting.popleft()
        return self.under_way


def makespan(takes: Mapping[str, float], workers: int) -> float:
    """When the last test ends; they are collected in this order. Seconds."""
    options = {"tx": [f"{workers}*popen"], "maxschedchunk": None}
    config: Any = SimpleNamespace(getvalue=options.__getitem__, getoption=options.__getitem__)
    log: Any = SimpleNamespace(loadsched=lambda *_: None)
    scheduling = LoadScheduling(config, log)
    tests = list(takes)
    own = [_Worker(gateway=SimpleNamespace(id=f"gw{i}")) for i in range(workers)]
    for worker in own:
        scheduling.add_node(worker)
    for worker in own:
        scheduling.add_node_collection(worker, tests)
    scheduling.schedule()
    now_s, ends = 0.0, list[tuple[float, int]]()
    while True:
        for place, worker in enumerate(own):
            if (test := worker.begins()) is not None:
                heapq.heappush(ends, (now_s + takes[tests[test]], place))
        if not ends:
            assert scheduling.tests_finished
            return now_s
        now_s, place = heapq.heappop(ends)
        ended, own[place].under_way = own[place].under_way, None
        scheduling.mark_test_complete(own[place], ended, takes[tests[ended]])
