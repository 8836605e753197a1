"""A server that is asked for more than it can do at once loses nothing, and is afterwards as it was before."""

from __future__ import annotations

import time
from functools import partial

import pytest

from hallmark.client.asking import COMPLETIONS, together
from hallmark.client.recovery import Recovery
from hallmark.client.text import part
from hallmark.core.errors import CheckFailed, Inconclusive

pytestmark = pytest.mark.server

TIMES = 4
USUAL_SEATS, MOST, FEWEST = 64, 256, 16
TAKES_S = 60.0
"""A burst is smaller where a server that answers one request after the other would need more than this."""
TOKENS = 8
REFUSALS = (429, 503)


def seats(cell):
    """How many requests the server answers at the same time, as its spec says; as usual where it says nothing."""
    told = (cell.entry.engine_args.get(name) for name in ("max_num_seqs", "max_running_requests"))
    return next((int(value) for value in told if isinstance(value, int | float)), USUAL_SEATS)


def outcome(client, body):
    """`answered`, `refused`, or what is wrong with the answer; whatever went wrong is returned."""
    try:
        answer = client.post(COMPLETIONS, body)
        if answer.status in REFUSALS:
            return "refused"
        answer.require(200)
        if not body["stream"]:
            part(answer.json(), "choices", 0, "finish_reason")
        elif not answer.body_text.rstrip().endswith("data: [DONE]"):
            return answer.failure(f"a stream ends by {answer.body_text[-80:]!r} and not by [DONE]")
    except CheckFailed as exc:
        return exc
    return "answered"


@pytest.mark.check(
    "server.overload",
    title="Asked for more than it can do at once, a server answers or refuses each request, and recovers",
    needs="completions",
    source="MLPerf Inference, server scenario; vllm #10087; RFC 9110: 503, RFC 6585: 429",
    covers="M10",
    fault="overload-breaks",
)
def test_a_burst_is_answered_or_refused(client, cell, offers, check):
    """Four times what runs at the same time. How long it may take follows from one answer, if all came one by one."""
    asked = client.body(prompt="12+34=", max_tokens=TOKENS, temperature=0, **offers.only(ignore_eos=True))
    began = time.perf_counter()
    client.post(COMPLETIONS, asked).require(200)
    lone_s = time.perf_counter() - began
    recovery = Recovery(client, counts=offers.has("extension:counters"))
    number = max(FEWEST, min(MOST, TIMES * seats(cell), int(TAKES_S / lone_s)))
    with client.more_patient(client.first_s + 3 * number * lone_s) as patient:
        bodies = [{**asked, "stream": place % 2 == 0} for place in range(number)]
        found = together([partial(outcome, patient, body) for body in bodies], at_once=number)
    lost = [one for one in found if isinstance(one, CheckFailed)]
    check.observe("requests answered", found.count("answered"), n=number, detail={"refused": found.count("refused")})
    if lost:
        failure = CheckFailed(f"{len(lost)} of {number} requests at the same time were neither answered nor refused: {lost[0]}")
        failure.late_s = max(one.late_s for one in lost)
        raise failure
    if "answered" not in found:
        raise Inconclusive(f"all of {number} requests at the same time were refused")
    what = f"{number} requests at the same time"
    recovery.growth(asked=number, what=what)
    check.observe("time to a first token afterwards", recovery.require_as_before(what), unit="s")
