"""A client that goes away takes its request with it."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial

import pytest

from hallmark.client.asking import COMPLETIONS, together
from hallmark.client.recovery import Recovery
from hallmark.core.errors import CheckFailed, Inconclusive

pytestmark = pytest.mark.server

LONGEST = 400
SPARE = 112
"""Tokens of the context that a prompt may have."""
TELLING_S = 0.3
"""An answer that takes less may be over before a server can notice that nobody waits for it."""
ALL_OF_IT = 0.9
STORM = 64
UNTOLD = "it has no counters that are known: judged by its next answer alone"


def long_request(cell, longest):
    """(the fields of a request for a long answer, how many tokens it has)."""
    fields, tokens = longest((min(LONGEST, cell.entry.max_context - SPARE), 64, 16))
    return {**fields, "max_tokens": tokens, "temperature": 0}, tokens


class Times:
    """When the first token of a request came, and the last, in seconds."""

    def __init__(self, client, fields):
        began = time.perf_counter()
        self.first_s = 0.0
        for event in client.stream(COMPLETIONS, client.body(**fields, stream=True)):
            if event.get("choices") and not self.first_s:
                self.first_s = time.perf_counter() - began
        self.whole_s = time.perf_counter() - began

    def moments(self, number):
        """So many, from before the answer's head to a quarter of what follows the first token."""
        last = self.first_s + (self.whole_s - self.first_s) / 4
        return [last * place / (number - 1) for place in range(number)]


def leave_after_the_first_token(client, body):
    with closing(client.stream(COMPLETIONS, body)) as events:
        next(events)


def require_abandoned(check, growth, *, gone, answered, tokens):
    """That what nobody waited for was not computed, nor counted as if it had come to its end."""
    made = growth.generated_tokens - answered * tokens
    check.observe("tokens generated for clients that were gone", made, n=gone, detail={"asked for": gone * tokens})
    if made >= ALL_OF_IT * gone * tokens:
        raise CheckFailed(f"{gone} clients went away early, and the server generated {made} of their {gone * tokens} tokens")
    if growth.after.names.aborted:
        reasons = growth.reasons()
        check.observe("requests counted as given up", reasons.get(growth.after.names.aborted, 0), n=gone)
        others = sum(number for reason, number in reasons.items() if reason != growth.after.names.aborted)
        check.at_most("requests counted as ended by themselves", others, answered + max(0, made) // tokens, n=gone + answered)


@pytest.mark.parametrize("way", ["streamed", "whole"])
@pytest.mark.check(
    "server.client-gone.{way}",
    title="What clients asked for that went away is computed no further, and leaves nothing behind: {way}",
    needs="completions",
    source="vLLM's own tests of its metrics; sglang #36333, #37833; vllm #10087, #23697, #31503",
    covers=["I07", "I09", "M03"],
    fault="runs-on",
)
def test_a_request_ends_with_its_client(way, client, cell, offers, longest, check):
    """Before the head of the answer, while the prompt is read, and while tokens come; some at the same time.

    Of requests that were given up vLLM 0.32 counts none as such; what it must not do is count them as if they had ended.
    """
    fields, tokens = long_request(cell, longest)
    times = Times(client, fields)
    body = client.body(**fields, stream=way == "streamed")
    recovery = Recovery(client, counts=offers.has("extension:counters"))
    moments = times.moments(6)
    answers = together([partial(client.give_up, COMPLETIONS, body, after_s=moment) for moment in moments])
    if way == "streamed":
        together([partial(leave_after_the_first_token, client, body)] * 2)
    answered = [answer.require(200) for answer in answers if answer]
    gone = len(moments) - len(answered) + (2 if way == "streamed" else 0)
    if not gone:
        raise Inconclusive("every answer was there before its client could go")
    asked, what = gone + len(answered), f"{gone} clients that went away"
    growth = recovery.growth(asked=asked, what=what)
    check.observe("clients that went away", gone, n=asked, detail={} if growth else {"gauges": UNTOLD})
    if growth and times.whole_s >= TELLING_S:
        require_abandoned(check, growth, gone=gone, answered=len(answered), tokens=tokens)
    check.observe("time to a first token afterwards", recovery.require_as_before(what), unit="s")


@pytest.mark.check(
    "server.client-storm",
    title="Many clients that go away at the same time leave nothing behind",
    needs="completions",
    source="vllm #22545, #29928",
    covers="I08",
    fault="storms-leak",
)
def test_a_storm_of_clients_that_go_away(client, cell, offers, longest, check):
    """A server may refuse some of so many (429, 503); then those leave nothing either."""
    fields, _ = long_request(cell, longest)
    times = Times(client, fields)
    recovery = Recovery(client, counts=offers.has("extension:counters"))
    calls = [
        partial(client.give_up, COMPLETIONS, client.body(**fields, stream=place % 2 == 0), after_s=moment)
        for place, moment in enumerate(times.moments(STORM))
    ]
    answers = [answer for answer in together(calls, at_once=STORM) if answer]
    for answer in answers:
        if answer.status not in (200, 429, 503):
            raise answer.failure(f"one of {STORM} at the same time is answered {answer.status}")
    if not (gone := STORM - len(answers)):
        raise Inconclusive("every answer was there before its client could go")
    what = f"a storm of {gone} clients that went away"
    growth = recovery.growth(asked=STORM, what=what)
    check.observe("clients that went away", gone, n=STORM, detail={} if growth else {"gauges": UNTOLD})
    check.observe("time to a first token afterwards", recovery.require_as_before(what), unit="s")
