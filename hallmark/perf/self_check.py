"""The load generator on trial: what it measures of a server that says when it sent each token.

A client that is slow in taking tokens in makes a server look slow, and one that takes them in late and together makes it look
quick. So before each point it reads streams of known gaps, as many at a time and as long as the point's, and its error stands in
the report. What that error may have decided is VOID.
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
from pathlib import Path

from hallmark.core.errors import HarnessError
from hallmark.core.excused import overruled
from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.core.wording import is_number
from hallmark.perf.connection import Address, TimedRequest
from hallmark.perf.disturbance import is_per_token, time_ms, worst_ms
from hallmark.perf.loops import Bounds, ClosedLoop, no_progress
from hallmark.perf.objectives import OBJECTIVE
from hallmark.perf.runs import events_of
from hallmark.perf.sample import PointResult
from hallmark.perf.workload import COMPLETIONS
from hallmark.specs.model import Metric, PerfPoint

ERROR, BUSY = "client_error_p99_ms", "client_cpu_share"
MOST_MS = 1.0
"""What the client may add to the moment of a token, at p99 ..."""
_OF_LIMIT, _OF_DISTANCE = 0.01, 0.1
"""... or so much of the time that it is to judge, or of what lies between that time and what was measured, if that is more."""
MOST_BUSY = 0.7
"""So much of a core a closed loop's client may use: beyond it, answers wait. An open loop's waits awake, and its lag tells."""
_LEAST_WINDOW_S = 1.0
"""A shorter window says nothing of how busy the client was."""
_TRIES = 3
"""What else a machine does for a moment is not the client's error: the best of so many trials counts."""
TTFT_S = 0.01
_LEAST_GAP_S, _GAP_OF_A_USER_S = 0.002, 0.00016
"""Between two tokens of a stream: many streams take turns, so that all together are 6,000 tokens a second at most."""
_LEAST_TOKENS = 512
"""So many tokens in all, at least: of fewer the largest error would be the 99th percentile."""
_MOST_TOKENS, _MOST_USERS = 64, 256
_LIMIT_S = 20.0
_METRICS = frozenset(metric.value for metric in Metric)


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


def check_client(point: PerfPoint, *, tls: bool = False) -> ClientCheck:
    """Read paced streams as the point's are read, by TLS where those are. HarnessError where they cannot be."""
    best = _tried(point, tls=tls)
    for _ in range(_TRIES - 1):
        if 1000 * best.p99_s <= MOST_MS:
            break
        best = min(best, _tried(point, tls=tls), key=lambda tried: tried.p99_s)
    return best


def _tried(point: PerfPoint, *, tls: bool) -> ClientCheck:
    users, tokens = min(point.concurrency, _MOST_USERS), min(point.osl, _MOST_TOKENS)
    body = json.dumps({"max_tokens": tokens, "prompt": [0] * point.isl}).encode()
    bounds = Bounds(limit_s=_LIMIT_S, during=nullcontext(), should_stop=lambda: None)
    requests = users * math.ceil(_LEAST_TOKENS / (users * tokens))
    with _paced(max(_LEAST_GAP_S, users * _GAP_OF_A_USER_S), tls=tls) as address:
        loop = ClosedLoop(address, users, bounds)
        asyncio.run(loop.run([], [body] * requests, progress=no_progress))
    late = sorted(moment for timed in loop.window_sent for moment in _late(timed))
    if len(late) != requests * tokens:
        lost = next((timed.lost for timed in loop.window_sent if timed.lost), "")
        raise HarnessError(f"the load generator took in {len(late)} of {requests * tokens} tokens of a server of its own: {lost}")
    return ClientCheck(late_s=tuple(late))


def _late(timed: TimedRequest) -> Iterator[float]:
    if not timed.lost:
        yield from (moment - float(event["sent"]) for moment, event in events_of(timed.pieces))


@contextmanager
def _paced(gap_s: float, *, tls: bool) -> Iterator[Address]:
    """Where a server of known gaps listens."""
    with _certificate() if tls else nullcontext() as certificate, _paced_with(gap_s, certificate) as port:
        address = Address.of(f"{'https' if tls else 'http'}://127.0.0.1:{port}", COMPLETIONS)
        yield replace(address, trusted=certificate)


@contextmanager
def _certificate() -> Iterator[Path]:
    """A file with a certificate for this machine and its key, that nobody else trusts."""
    import trustme  # imported where a server speaks TLS: it brings the cryptography

    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    with trustme.Blob(own.bytes() + authority.cert_pem.bytes()).tempfile() as path:
        yield Path(path)


@contextmanager
def _paced_with(gap_s: float, certificate: Path | None) -> Iterator[str]:
    """The port of a server of known gaps."""
    command = [
        sys.executable,
        "-m",
        "hallmark.perf.paced_server",
        str(TTFT_S),
        str(gap_s),
        *([str(certificate)] if certificate else []),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise HarnessError("the load generator's own paced server did not start")
            yield port
        finally:
            process.stdin.close()
            process.terminate()


def judge_client(evidence: Sequence[Evidence], checked: ClientCheck, result: PointResult, point: PerfPoint) -> list[Evidence]:
    """The evidence of a point with that of its client; VOID is what a client's error or want of time may have made."""
    p99 = 1000 * checked.p99_s
    late = f"on a paced server the client stamped tokens {p99:.2f} ms late at p99 ({1000 * checked.bias_s:.2f} ms on average)"
    busy = _busy(result, point)
    found = [overruled(item, busy.reason) if busy.verdict is Verdict.VOID and item.target else item for item in evidence]
    found = [overruled(item, late) if p99 > _borne_ms(item, result) else item for item in found]
    is_late = p99 > MOST_MS
    off = is_late and found != list(evidence)
    target = Target(relation="<=", limit=MOST_MS, source="a client that is late measures itself")
    error = Evidence(
        name=ERROR,
        value=round(p99, 3),
        unit="ms",
        n=len(checked.late_s),
        verdict=Verdict.VOID if off else Verdict.PASS,
        reason=f"{late}, which decides none of its targets" if is_late and not off else late,
        # What decides nothing is only observed: there is no PASS beyond a target.
        target=target if off or not is_late else None,
        detail={"bias_ms": round(1000 * checked.bias_s, 4), "most_ms": round(1000 * checked.late_s[-1], 3)},
    )
    return [*found, error, busy]


def _borne_ms(item: Evidence, result: PointResult) -> float:
    """How late at p99 a client may be whose word on this is taken; without bound for what is no time."""
    if item.name.startswith(OBJECTIVE):
        fewest = min((sample.output_tokens for sample in result.samples), default=2) - 1
        limits = (float(ms) * (fewest if what == "tpot" else 1) for what, ms in item.detail["limits_ms"].items())
        return max(MOST_MS, _OF_LIMIT * min(limits))
    if item.name not in _METRICS or item.target is None or not (is_number(item.value) and is_number(item.target.limit)):
        return math.inf
    limit, found = _compared_ms(Metric(item.name), item, result)
    return max(MOST_MS, _OF_LIMIT * limit, _OF_DISTANCE * abs(limit - found))


def _compared_ms(metric: Metric, item: Evidence, result: PointResult) -> tuple[float, float]:
    """The limit and what was measured, as times of which the client's error is a part."""
    assert item.target
    limit, value = float(item.target.limit), float(item.value)
    if metric in (Metric.TOKENS, Metric.REQUESTS):
        whole = 1000 * statistics.fmean(sample.e2e_s for sample in result.samples)
        return whole * value / limit, whole
    # An error at an end of an answer is shared by all its tokens, in the shortest by the fewest.
    tokens = statistics.harmonic_mean([sample.output_tokens - 1 for sample in result.samples]) if is_per_token(metric) else 1.0
    return tokens * time_ms(metric, limit), tokens * worst_ms(metric, item.interval, value)


def _busy(result: PointResult, point: PerfPoint) -> Evidence:
    """How much of a core the client used; VOID where it had hardly time to wait in."""
    share = result.client_cpu_s / max(result.window_s, 1e-9)
    judged = point.arrivals is None and result.window_s >= _LEAST_WINDOW_S
    over = judged and share > MOST_BUSY
    return Evidence(
        name=BUSY,
        value=round(share, 3),
        n=len(result.samples),
        verdict=Verdict.VOID if over else Verdict.PASS,
        reason=f"the client used {share:.0%} of a core, so that answers waited for it" if over else "",
        target=Target(relation="<=", limit=MOST_BUSY, source="a client without time measures itself") if judged else None,
        detail={"processes": result.client_processes},
    )
