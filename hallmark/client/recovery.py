"""How a server was before something hard was asked of it, and whether it is so again afterwards.

Seen from outside by the next answer: the same text, its first token about as early. And by its own gauges, where it has some:
nothing runs or waits any more, and no more of the KV cache is in use than was.
"""

from __future__ import annotations

import statistics
import time
from contextlib import closing

from hallmark.client.asking import COMPLETIONS
from hallmark.client.canary import PROMPT, Canary
from hallmark.client.counters import Growth, Reading, at_rest, read_until
from hallmark.client.errors import TooLate
from hallmark.client.wire import WireClient
from hallmark.core.errors import CheckFailed, Inconclusive

_TIMES = 3
SLOWER, LATER_S = 5.0, 1.0
"""A first token may come so many times later than before, and so many seconds: more is another kind of server."""


def first_token_s(client: WireClient) -> float:
    """Seconds to the first token of a short stream; the median of some."""
    return statistics.median(_first_token_s(client) for _ in range(_TIMES))


def _first_token_s(client: WireClient) -> float:
    body = client.body(prompt=PROMPT, temperature=0, max_tokens=4, stream=True)
    began = time.perf_counter()
    with closing(client.stream(COMPLETIONS, body)) as events:
        for event in events:
            if event.get("choices"):
                break
        found = time.perf_counter() - began
        for _ in events:
            pass  # to its end: a stream that is left would be what is looked for
    return found


class Recovery:
    """Of one server; made before."""

    def __init__(self, client: WireClient, *, counts: bool) -> None:
        """`counts`: the server has counters that are known."""
        self._client = client
        self._canary = Canary(client, COMPLETIONS)
        self.first_s = first_token_s(client)
        self._before = at_rest(client) if counts else None

    def growth(self, *, asked: int, what: str) -> Growth | None:
        """What was counted of `asked` requests, once nothing is left of them; None where nothing is counted.

        CheckFailed where something is left; Inconclusive where it may be of others.
        """
        if self._before is None:
            return None
        before = self._before
        after = read_until(self._client, self._is_as_before, within_s=self._client.first_s + before.names.late_s)
        growth = Growth(before, after)
        if not growth.of_one_process:
            raise Inconclusive("more than one server answers at this address, each with counters of its own")
        if before.under_way or growth.ended > asked:
            raise Inconclusive("others use the server: what its gauges tell may be theirs")
        if after.under_way:
            raise CheckFailed(
                f"{self._client.first_s:g} s after {what}, the server says that {after.under_way:g} requests run or wait: "
                "it holds what nobody waits for"
            )
        if not self._is_as_before(after):
            told = f"{after.cache:.4g} of the KV cache is in use, though nothing runs; before it was {before.cache:.4g}"
            raise CheckFailed(f"after {what}, {told}")
        return growth

    def _is_as_before(self, reading: Reading) -> bool:
        assert self._before is not None
        was, now = self._before.cache, reading.cache
        return not reading.under_way and (was is None or now is None or now <= was + 1e-9)

    def require_as_before(self, what: str) -> float:
        """The time to a first token now, in seconds. CheckFailed where the answer is another, TooLate where it comes too late."""
        self._canary.same_after(what)
        now = first_token_s(self._client)
        limit = max(SLOWER * self.first_s, self.first_s + LATER_S)
        if now > limit:
            told = f"after {what}, a first token takes {now:.3g} s; before it took {self.first_s:.3g} s"
            raise TooLate(told, late_s=_TIMES * (now - limit))
        return now
