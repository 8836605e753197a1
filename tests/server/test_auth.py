"""A server that admits its clients by a key admits nobody else - on no route, by no spelling - and says so in the OpenAI form."""

from __future__ import annotations

import pytest

from hallmark.client.access import walk
from hallmark.client.credentials import NONE, WRONG
from hallmark.client.offers import Known
from hallmark.client.text import part
from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict

pytestmark = pytest.mark.server


@pytest.mark.check(
    "server.auth",
    title="No route runs the model without the key, nor with one that is nearly right",
    needs="key",
    source="OpenAI API: Authorization: Bearer",
    covers=["Z01", "Z02"],
    fault="open-door",
)
def test_only_the_key_admits(server, client, offers, check):
    """Health stays open: a load balancer has no key."""
    body = client.body(prompt="a", max_tokens=1)
    check.equal("status of a completion with the key", client.post("/v1/completions", body).status, 200)
    if offers("route:/health").known is not Known.ABSENT:
        check.equal("status of /health without a key", client.ask("GET", "/health", NONE).status, 200)
    for credential in (NONE, WRONG):
        part(client.ask("GET", "/v1/models", credential).require(401).json(), "error")
        answer = client.ask("POST", "/v1/completions", credential, body=body)
        check.equal(f"status of a completion {credential.name}", answer.status, 401)
    openings = walk(client, server.endpoint.api_key)
    check.add(
        Evidence(
            name="requests that got in without the key",
            value=len(openings.found),
            n=openings.asked,
            target=Target(relation="==", limit=0),
            verdict=Verdict.FAIL if openings.found else Verdict.PASS,
            reason=openings.summary(),
            detail={"openings": openings.found},
        )
    )
    check.observe("open to everybody on purpose", ", ".join(openings.open_on_purpose))
    check.observe("the key also counts", ", ".join(openings.also_taken) or "nowhere else")
