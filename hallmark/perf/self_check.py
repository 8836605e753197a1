"""The load generator on trial: what it measures of a server that says when it sent each token.

A client that is slow in taking tokens in makes a server look slow, and one that takes them in late and together makes it look
quick. So before each point it reads streams of known gaps, as many at a time and as long as the point's, and its error stands in
the report. A point whose client is off is VOID.
"""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

from hallmark.core.errors import HarnessError
from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.perf.connection import Address, TimedRequest
from hallmark.perf.loops import Bounds, ClosedLoop, no_progress
from hallmark.perf.reading import events_of
from hallmark.perf.workload import COMPLETIONS
from hallmark.specs.model import PerfPoint

ERROR = "client_error_p99_ms"
MOST_MS = 1.0
"""What the client may add to the moment of a token, at p99."""
TTFT_S = 0.01
_LEAST_GAP_S, _GAP_OF_A_USER_S = 0.002, 0.00016
"""Between two tokens of a stream: many streams take turns, so that all together are 6,000 tokens a second at most."""
_LEAST_TOKENS = 512
"""So many tokens in all, at least: of fewer the largest error would be the 99th percentile."""
_MOST_TOKENS, _MOST_USERS = 64, 256
_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCheck:
    """By how much later than they were sent the client stamped tokens, in seconds, sorted."""

    late_s: tuple[float, ...]

    @property
    def bias_s(self) -> float:
        return statistics.fmean(self.late_s)

    @property
    def p99_s(self) -> float:
        return self.late_s[math.ceil(0.99 * len(self.late_s)) - 1]


def check_client(point: PerfPoint) -> ClientCheck:
    """Read paced streams as the point's are read. HarnessError where they cannot be."""
    users, tokens = min(point.concurrency, _MOST_USERS), min(point.osl, _MOST_TOKENS)
    body = json.dumps({"max_tokens": tokens, "prompt": [0] * point.isl}).encode()
    bounds = Bounds(limit_s=_LIMIT_S, during=nullcontext(), should_stop=lambda: None)
    requests = users * math.ceil(_LEAST_TOKENS / (users * tokens))
    with _paced(max(_LEAST_GAP_S, users * _GAP_OF_A_USER_S)) as url:
        loop = ClosedLoop(Address.of(url, COMPLETIONS), users, bounds)
        asyncio.run(loop.run([], [body] * requests, progress=no_progress))
    late = sorted(moment for timed in loop.window_sent for moment in _late(timed))
    if len(late) != requests * tokens:
        raise HarnessError(f"the load generator took in {len(late)} of {requests * tokens} tokens of a server of its own")
    return ClientCheck(late_s=tuple(late))


def _late(timed: TimedRequest) -> Iterator[float]:
    if not timed.lost:
        yield from (moment - float(event["sent"]) for moment, event in events_of(timed.pieces))


@contextmanager
def _paced(gap_s: float) -> Iterator[str]:
    """The base URL of a server of known gaps."""
    command = [sys.executable, "-m", "hallmark.perf.paced_server", str(TTFT_S), str(gap_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise HarnessError("the load generator's own paced server did not start")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stdin.close()
            process.terminate()


def judge_client(evidence: Sequence[Evidence], checked: ClientCheck) -> list[Evidence]:
    """The evidence of a point with that of its client; VOID where the client is off."""
    p99, bias = 1000 * checked.p99_s, 1000 * checked.bias_s
    off = p99 > MOST_MS
    reason = f"on a paced server the client stamped tokens {p99:.2f} ms late at p99 ({bias:.2f} ms on average)"
    own = Evidence(
        name=ERROR,
        value=round(p99, 3),
        unit="ms",
        n=len(checked.late_s),
        verdict=Verdict.VOID if off else Verdict.PASS,
        reason=reason,
        target=Target(relation="<=", limit=MOST_MS, source="a client that is late measures itself"),
        detail={"bias_ms": round(bias, 4), "most_ms": round(1000 * checked.late_s[-1], 3)},
    )
    if not off:
        return [*evidence, own]
    return [
        *(replace(item, verdict=Verdict.VOID, reason=f"{reason}; {item.reason}") if item.target else item for item in evidence),
        own,
    ]
