"""How a server ends: in time, with all of its processes, and without an answer that only looks whole.

These checks end the server, so they run behind all others of a cell, and only on one that this run started. A spec names them
(`checks:`): vLLM 0.32 by itself (--shutdown-timeout 0) leaves clients waiting for what was under way, and does not end.
"""

from __future__ import annotations

import time

import pytest

from hallmark.client.cut_answers import Askers, meet
from hallmark.core.errors import CheckFailed

pytestmark = pytest.mark.server

CLIENTS = 4
LENGTHS = (400, 64, 16)
SPARE = 112
"""Tokens of the context that a prompt may have."""
ENDS_WITHIN_S = 30.0
"""As long as Kubernetes waits where nobody says otherwise; and what the spec's own --shutdown-timeout adds."""
STILL_NEW_S = 1.0
"""So long after the signal a request may still be taken: the server has to notice it first."""
ASKED_EVERY_S = 0.25
TAKEN_WITHIN_S = 0.25
"""A request that left so shortly before the signal may not have been taken yet, and is none of those that were running."""


def declared_s(cell):
    """For how long the spec lets running answers go on."""
    told = cell.entry.engine_args.get("shutdown_timeout")
    return float(told) if isinstance(told, int | float) else 0.0


def ask_while_it_ends(server, client, body, within_s):
    """(whether it ended, the requests that were made meanwhile)."""
    met, deadline = [], time.monotonic() + within_s
    while time.monotonic() < deadline:
        if server.ended_within(min(ASKED_EVERY_S, max(0.0, deadline - time.monotonic()))):
            return True, met
        met.append(meet(client, body, streamed=False))
    return server.ended_within(0.0), met


def require_seen(running, alone, what):
    """CheckFailed where a client cannot see that its answer broke off."""
    for met in running:
        how = "streamed" if met.streamed else "whole"
        if met.left_waiting:
            raise CheckFailed(f"{what}, a client was left waiting for its answer ({how}): {met.error}")
        if met.looks_whole() and met.is_cut(alone):
            raise CheckFailed(
                f"{what}, an answer ({how}) looks as if it had come to its end, with finish_reason {met.reason!r}: it says "
                f"{len(met.text)} characters of the {len(alone)} that it has otherwise, and breaks off at {met.text[-40:]!r}"
            )


@pytest.mark.check(
    "server.life.told-to-end",
    title="Told to end, a server finishes what is running or says that it broke off, takes nothing new, and is gone in time",
    needs=["completions", "started", "spec"],
    source="vllm #24885, #36666; gateway-api-inference-extension #549; Kubernetes: terminationGracePeriodSeconds",
    covers="M07",
    fault="ends-as-if-whole",
    ends_server=True,
)
def test_a_server_that_is_told_to_end(client, cell, server, longest, check):
    """That an answer broke off is seen by an error, a broken connection, or a finish_reason that is none of an answer's own."""
    fields, tokens = longest((min(LENGTHS[0], cell.entry.max_context - SPARE), *LENGTHS[1:]))
    askers = Askers(client, {**fields, "max_tokens": tokens, "temperature": 0}, number=CLIENTS)
    short = {**askers.body, "max_tokens": 1}
    within_s = ENDS_WITHIN_S + declared_s(cell)
    with askers.asking():
        assert not server.ended_within(TAKEN_WITHIN_S), "the server ended before it was told to"
        server.ask_to_end()
        asked_at = time.monotonic()
        with client.more_patient(min(client.first_s, within_s)) as waiting:
            ended, new = ask_while_it_ends(server, waiting, short, within_s)
        took_s = time.monotonic() - asked_at
        if not ended:
            server.stop()  # whoever still waits is let go by that
    met = [one for one in askers.met if one.ended > asked_at]
    require_seen(met, askers.alone, "when the server was told to end")
    if not ended:
        waited = sum(one.began < asked_at and one.ended > asked_at + took_s for one in met)
        heard = f", and {waited} clients whose answers were under way have heard nothing since" if waited else ""
        raise CheckFailed(f"{within_s:g} s after SIGTERM the server still runs{heard}")
    if taken := [one for one in new if one.began > asked_at + STILL_NEW_S and one.looks_whole()]:
        after_s = taken[-1].began - asked_at
        raise CheckFailed(f"{after_s:.1f} s after SIGTERM the server still takes new requests, and answers them")
    if server.left_behind:
        raise CheckFailed(f"the server ended and left {server.left_behind} of its processes behind")
    running = [one for one in met if one.began < asked_at - TAKEN_WITHIN_S]
    broke = [one for one in running if not one.looks_whole()]
    if broke and took_s < declared_s(cell):
        lets = f"the spec lets them go on for {declared_s(cell):g} s"
        raise CheckFailed(f"{len(broke)} of {len(running)} answers broke off within {took_s:.1f} s; {lets}")
    check.observe("seconds from SIGTERM to the end", round(took_s, 2), unit="s")
    check.observe("answers under way when it was told", len(running), detail={"broke off": [one.told for one in broke]})
    check.observe("new requests meanwhile", len(new), detail={"answered": sum(one.looks_whole() for one in new)})
