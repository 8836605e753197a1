"""Each fault in meeting bad requests turns its own checks red, with a reason that names it; a server without one passes."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hallmark.specs.cell import Cell
from selftests.server.checking import checks_in
from selftests.server.running_checks import not_passed, red, run_checks

FILES = ("test_errors.py", "test_context.py", "test_wrong_requests.py")
NOT_REFUSED = "answered 200, not refused with a 4xx"
CHANGED = "the same greedy request says"
FAULTS = {
    "errors-without-type": ({"form"}, "error.type is None, not a text"),
    "errors-show-stack": ({"discreet"}, "the error tells of the server's inside: 'Traceback (most recent call last)'"),
    "breaks-on-lists": ({"not-an-object"}, "the body '[]' to /v1/completions: answered 500"),
    "breaks-on-bytes-within": ({"no-text"}, "bytes that are no UTF-8 in a text to /v1/completions: answered 500"),
    "answers-bytes": ({"no-text", "not-json"}, "bytes that are no UTF-8 to /v1/completions: " + NOT_REFUSED),
    "breaks-on-bytes": ({"not-json", "no-text"}, "bytes that are no text to /v1/completions: answered 500"),
    "breaks-on-surrogates": ({"strange-json"}, "half a surrogate pair to /v1/completions: answered 500"),
    "breaks-on-long-headers": ({"long-header"}, "a header of a megabyte: answered 500"),
    "breaks-on-foreign-bias": ({"logit-bias-ids"}, "logit_bias for '-1' to /v1/completions: answered 500"),
    "takes-huge-bodies": ({"huge-body"}, "a prompt of 4194304 characters to /v1/completions: " + NOT_REFUSED),
    "lenient-types": ({"wrong-types"}, 'temperature="hot" to /v1/completions: ' + NOT_REFUSED),
    "lenient-messages": ({"wrong-messages"}, "a message that is a number: " + NOT_REFUSED),
    "answers-empty-lists": ({"nothing-asked", "wrong-messages"}, "prompt=[] to /v1/completions: " + NOT_REFUSED),
    "takes-absurd-counts": ({"absurd-counts", "streamed"}, '{"n": 0} to /v1/completions: ' + NOT_REFUSED),
    "takes-any-token-id": ({"token-ids"}, "the token id -1 in a prompt: " + NOT_REFUSED),
    "context-off-by-one": ({"context-limit"}, "a prompt of 512 tokens and one to come, for a context of 512: " + NOT_REFUSED),
    "context-off-by-one=100": ({"context-limit", "never-beyond-context"}, "tokens of prompt and answer together is"),
    "context-unnamed": ({"context-limit"}, "the error does not name the context's limit of 512 tokens"),
    "cuts-prompts": ({"context-limit", "never-truncated"}, "a prompt of 256 tokens was read as 200"),
    "streams-errors": ({"streamed", "wrong-types"}, "refused with 400, as a stream answered 200"),
    "breaks-on-methods": ({"wrong-method"}, "PUT /v1/completions: answered 500, not refused with 405 or 404 or 400"),
    "pages-for-unknown-paths": ({"unknown-path"}, "with a body that is not JSON"),
    "breaks-on-forms": ({"content-type"}, "a form to /v1/completions: answered 500, not refused with a 4xx"),
    "answers-forms": ({"content-type"}, "a form to /v1/completions: answered 200, not refused with a 4xx"),
    "breaks-on-unknown-fields": ({"unknown-field"}, "an unknown field, a number, to /v1/completions: answered 500"),
    "unknown-fields-unnamed": ({"unknown-field"}, "refused with 400, but what was wrong is not named"),
    "unknown-fields-change": ({"unknown-field"}, "an unknown field, a number, to /v1/completions: it is not ignored"),
    "loses-same-request-ids": ({"same-request-id"}, "8 requests to /v1/completions with one X-Request-Id: one is answered 500"),
    "plain-text-errors": (
        {
            *("form", "not-an-object", "not-json", "no-text", "huge-body", "wrong-types", "wrong-messages", "nothing-asked"),
            *("absurd-counts", "context-limit", "token-ids", "streamed", "content-type"),
        },
        "with a body that is not JSON",
    ),
}


def ids(names: Iterable[str]) -> set[str]:
    """The checks of these names, of each endpoint."""
    return {id_ for id_ in checks_in(*FILES) if id_.split(".")[2] in names}


def test_a_right_server_passes_them_all(cell: Cell) -> None:
    assert not_passed(run_checks(FILES, cell)) == {}


def test_a_server_that_knows_the_reference_alone_may_refuse_the_rest(cell: Cell) -> None:
    assert not_passed(run_checks("test_wrong_requests.py", cell, "only-openai")) == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(cell: Cell, fault: str) -> None:
    checks, reason = FAULTS[fault]
    found = red(run_checks(FILES, cell, fault))
    assert set(found) == ids(checks)
    assert reason in " ".join(found.values())


STUCK = (
    *("not-json", "no-text", "strange-json", "huge-body", "nothing-asked", "absurd-counts", "context-limit", "token-ids"),
    *("logit-bias-ids", "content-type"),
)


def test_a_canary_follows_hostile_requests(cell: Cell) -> None:
    """Each of these checks by itself sees that the answers are other ones now."""
    only = sorted(ids(STUCK))
    found = red({id_: run_checks(FILES, cell, "bad-requests-stick", only=[id_])[id_] for id_ in only})
    assert set(found) == set(only)
    assert all(CHANGED in reason for reason in found.values())


@pytest.mark.long
def test_streams_that_a_bad_request_ends(cell: Cell) -> None:
    """Slow enough to be running when it comes."""
    only = sorted(ids(["neighbours"]))
    assert not_passed(run_checks(FILES, cell, only=only, itl_ms=40)) == {}
    found = run_checks(FILES, cell, "bad-requests-cut-streams", only=only, itl_ms=500)
    assert "connection lost" in red(found)["server.errors.neighbours.chat"]


def test_a_failure_tells_the_request_and_the_answer(cell: Cell) -> None:
    one = "server.errors.not-an-object.completions"
    found = run_checks(FILES, cell, "breaks-on-lists", only=(one,))[one]
    request, answer = found.log.splitlines()[-2:]
    assert request.startswith("request: curl -sS -X POST http://127.0.0.1:")
    assert request.endswith("/v1/completions -H 'content-type: application/json' --data-binary '[]'")
    assert answer == "answer: 500 Internal Server Error"
