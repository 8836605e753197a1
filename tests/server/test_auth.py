"""A server that admits its clients by a key admits nobody else, and says so in the OpenAI form."""

from __future__ import annotations

import pytest

from hallmark.client.text import part

pytestmark = pytest.mark.server

REFUSED = {
    "no key": {"authorization": ""},
    "another key": {"authorization": "Bearer not-the-key"},
    "no scheme": {"authorization": "not-the-key"},
    # The signature is of another secret, and the time is long over.
    "a foreign token": {"authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.tNtYGn6BcpHS8dEVBvzNvTNqZ4hYmGSjXU3hwOBOwYk"},
}


@pytest.mark.check("server.auth")
def test_only_the_key_admits(client, check):
    """Health stays open: a load balancer has no key."""
    for case, headers in REFUSED.items():
        answer = client.get("/v1/models", headers=headers).require(401)
        part(answer.json(), "error")
        body = client.body(prompt="a", max_tokens=1)
        check.equal(f"status of a completion with {case}", client.post("/v1/completions", body, headers=headers).status, 401)
    check.equal("status of a completion with the key", client.post("/v1/completions", body).status, 200)
    check.equal("status of /health without a key", client.get("/health", headers={"authorization": ""}).status, 200)
