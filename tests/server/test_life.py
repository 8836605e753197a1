"""How a server ends, or loses its engine: in time, with all of its processes, and without an answer that only looks whole.

Only for a server that this run started, behind all other checks of its cell, and only where a spec names them (`checks:`): two of
them end the server, so a spec has one or the other. vLLM 0.32 by itself (--shutdown-timeout 0) leaves clients waiting for what
was under way when it is told to end, and says that it is healthy while its engine stands still.
"""

from __future__ import annotations

import time

import pytest

from hallmark.client.asking import complete, text_of
from hallmark.client.cut_answers import Askers, meet
from hallmark.client.errors import ConnectionLost, NoAnswerInTime
from hallmark.client.text import part
from hallmark.core.errors import CheckFailed, Inconclusive

pytestmark = pytest.mark.server

CLIENTS = 4
LENGTHS = (400, 64, 16)
SPARE = 112
"""Tokens of the context that a prompt may have."""
ENDS_WITHIN_S = 30.0
"""As long as Kubernetes waits where nobody says otherwise; and what the spec's own --shutdown-timeout adds."""
STILL_NEW_S = 1.0
"""So long after the signal a request may still be taken: the server has to notice it first."""
SEEN_WITHIN_S = 30.0
"""So long after its engine died, or stopped, a server may look as before: three probes of Kubernetes, ten seconds apart."""
HEALTH = "/health"
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


def ended_after(moment, askers):
    """The requests of `askers` that had not ended then. Of a signal: the moment before it was sent, since an answer may be cut
    before whoever sent it comes to look at the clock; one that came to its own end in between is whole.
    """
    return [one for one in askers.met if one.ended > moment]


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
    askers = long_answers(client, cell, longest)
    short = {**askers.body, "max_tokens": 1}
    within_s = ENDS_WITHIN_S + declared_s(cell)
    with askers.asking():
        assert not server.ended_within(TAKEN_WITHIN_S), "the server ended before it was told to"
        asking_at = time.monotonic()
        server.ask_to_end()
        asked_at = time.monotonic()
        with client.more_patient(min(client.first_s, within_s)) as waiting:
            ended, new = ask_while_it_ends(server, waiting, short, within_s)
        took_s = time.monotonic() - asked_at
        if not ended:
            server.stop()  # whoever still waits is let go by that
    require_seen(ended_after(asking_at, askers), askers.alone, "when the server was told to end")
    met = ended_after(asked_at, askers)
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
    if not running:
        raise Inconclusive(f"none of {CLIENTS} answers was under way when the server was told to end")
    broke = [one for one in running if not one.looks_whole()]
    if broke and took_s < declared_s(cell):
        lets = f"the spec lets them go on for {declared_s(cell):g} s"
        raise CheckFailed(f"{len(broke)} of {len(running)} answers broke off within {took_s:.1f} s; {lets}")
    check.observe("seconds from SIGTERM to the end", round(took_s, 2), unit="s")
    check.observe("answers under way when it was told", len(running), detail={"broke off": [one.told for one in broke]})
    check.observe("new requests meanwhile", len(new), detail={"answered": sum(one.looks_whole() for one in new)})


def health_of(client):
    """The status of /health; 0 where nobody answers."""
    try:
        return client.get(HEALTH).status
    except (ConnectionLost, NoAnswerInTime):
        return 0


def long_answers(client, cell, longest):
    """Clients who ask for long answers."""
    fields, tokens = longest((min(LENGTHS[0], cell.entry.max_context - SPARE), *LENGTHS[1:]))
    return Askers(client, {**fields, "max_tokens": tokens, "temperature": 0}, number=CLIENTS)


def ask_after_death(server, client, askers):
    """(whether it ended, the status of /health, how a request was met), once it has ended, is red, or answers as before."""
    deadline = time.monotonic() + SEEN_WITHIN_S
    while True:
        ended, health = server.ended_within(ASKED_EVERY_S), health_of(client)
        met = meet(client, askers.body, streamed=False)
        is_back = health == 200 and met.looks_whole() and met.text == askers.alone
        if ended or is_back or (health != 200 and met.error) or time.monotonic() > deadline:
            return ended, health, met


@pytest.mark.check(
    "server.life.engine-killed",
    title="When its engine dies, no client is left waiting or takes a part for the whole, and the server is not healthy any more",
    needs=["completions", "started", "spec"],
    source="vllm #57082, #40986, #52852",
    covers=["P04", "M08"],
    fault="engine-death-as-whole",
    ends_server=True,
)
def test_a_server_whose_engine_is_killed(client, cell, server, longest, check):
    """The process that computes is killed while answers come. A server that starts it anew and answers as before is right. What a
    client is told is seen by one whose answer had begun to come and breaks off: who had all of it before shows nothing.
    """
    has_health = health_of(client) == 200
    askers = long_answers(client, cell, longest)
    with askers.asking():
        killing_at = time.monotonic()
        server.kill_engine()
        killed_at = time.monotonic()
        with client.more_patient(min(client.first_s, SEEN_WITHIN_S)) as waiting:
            ended, health, met = ask_after_death(server, waiting, askers)
        took_s = time.monotonic() - killed_at
    met_it = ended_after(killing_at, askers)
    require_seen(met_it, askers.alone, "when its engine was killed")
    if met.left_waiting:
        raise CheckFailed(f"a request after the death of its engine is not answered within {SEEN_WITHIN_S:g} s: {met.error}")
    if met.looks_whole() and met.text != askers.alone:
        raise CheckFailed(f"after the death of its engine the server answers {met.text[:80]!r}, not {askers.alone[:80]!r}")
    if has_health and health == 200 and not ended and not met.looks_whole():
        raise CheckFailed(f"{took_s:.1f} s after its engine was killed /health still answers 200, and a request: {met.told}")
    running = [one for one in met_it if one.began < killing_at]
    if not any(one.streamed and one.text and not one.looks_whole() for one in running):
        told = [one.told for one in running]
        raise Inconclusive(f"when its engine was killed no answer broke off that a client was reading: under way were {told}")
    check.observe("seconds until it was seen", round(took_s, 2), unit="s")
    told = {"ended": ended, "health": health, "a request": met.told, "under way": [one.told for one in running]}
    check.observe("answers under way", len(running), detail=told)


@pytest.mark.check(
    "server.life.engine-stands-still",
    title="While its engine stands still a server is not healthy, and afterwards it answers as before",
    needs=["completions", "started", "spec"],
    source="vLLM: GET /health; Kubernetes: liveness probes",
    covers="M05",
    fault="engine-stop-healthy",
    last=True,
)
def test_a_server_whose_engine_stands_still(client, cell, server, longest, check):
    """The process that computes is stopped (SIGSTOP) while answers come, and goes on (SIGCONT) once that was seen."""
    if (status := health_of(client)) != 200:
        raise Inconclusive(f"the server has no health to ask for: {HEALTH} answers {status or 'nothing'}")
    askers = long_answers(client, cell, longest)
    with askers.asking():
        stopped_at = time.monotonic()
        with server.engine_standing_still(), client.more_patient(min(client.first_s, ASKED_EVERY_S * 8)) as impatient:
            while health_of(impatient) == 200 and time.monotonic() < stopped_at + SEEN_WITHIN_S:
                server.ended_within(ASKED_EVERY_S)
            seen_s = time.monotonic() - stopped_at
        goes_on_at = time.monotonic()
        while health_of(client) != 200 and time.monotonic() < goes_on_at + SEEN_WITHIN_S:
            server.ended_within(ASKED_EVERY_S)
        back_s = time.monotonic() - goes_on_at
    met = [one for one in ended_after(stopped_at, askers) if not one.left_waiting]  # whoever gave up was right to
    require_seen(met, askers.alone, "while its engine stood still")
    check.at_most("seconds until /health said so", round(seen_s, 2), SEEN_WITHIN_S, unit="s")
    check.at_most("seconds until it was healthy again", round(back_s, 2), SEEN_WITHIN_S, unit="s")
    again = text_of(part(complete(client, **{**askers.body, "stream": False}), "choices", 0))
    check.equal("the answer afterwards", again, askers.alone)
