"""Bad requests get a 4xx with an OpenAI error body, and leave the server healthy."""

from __future__ import annotations

import pytest

from hallmark.client.canary import Canary
from hallmark.client.offers import Known
from hallmark.client.refusal import REFUSED, require_refused

pytestmark = pytest.mark.server

PATH = "/v1/completions"


def bodies(client, cell):
    """Case -> what is posted; text is sent as it is."""
    return {
        "invalid-json": '{"model": ',
        "unknown-model": {"model": "no-such-model", "prompt": "a", "max_tokens": 1},
        "missing-prompt": {"model": client.model, "max_tokens": 1},
        "wrong-type": client.body(prompt="a", max_tokens="many"),
        "out-of-range": client.body(prompt="a", max_tokens=1, temperature=-5),
        "context-overflow": client.body(prompt=[50] * (cell.entry.max_context + 8), max_tokens=1),
    }


@pytest.mark.parametrize(
    "case", ["invalid-json", "unknown-model", "missing-prompt", "wrong-type", "out-of-range", "context-overflow"]
)
@pytest.mark.check(
    "server.bad-request.{case}",
    title="A bad request is refused with a 4xx and an OpenAI error: {case}",
    needs="completions",
    source="OpenAI API: errors",
    covers=["E01", "E12"],
    fault="accepts-bad-requests",
)
def test_a_bad_request_is_refused(case, client, cell, offers, check):
    canary = Canary(client, PATH)
    body = bodies(client, cell)[case]
    answer = client.post(PATH, content=body) if isinstance(body, str) else client.post(PATH, body)
    if not 400 <= answer.status < 500:
        raise answer.failure(f"answered {answer.status} instead of 4xx: {answer.excerpt}", rule={REFUSED: case})
    error = require_refused(answer, case)
    check.observe("status", answer.status, detail={"message": str(error["message"])[:200]})
    if offers("route:/health").known is not Known.ABSENT:
        assert client.get("/health").status == 200, "the server is not healthy after it"
    check.observe("the same answer to a good request after it", canary.same_after(f"a bad request ({case})"))
