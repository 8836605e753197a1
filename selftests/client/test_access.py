"""Whoever gets in without the key is found, by whichever way; and a closed server is not accused."""

from __future__ import annotations

import pytest

from hallmark.client.access import Openings, walk
from hallmark.client.credentials import near_misses
from hallmark.client.routes import OPEN, Use, routes
from hallmark.client.wire import WireClient
from selftests.faulty import MODEL, running

KEY = "Key-of-the-stand-in-0123456789"


def openings(*faults: str) -> Openings:
    with running(*faults, api_key=KEY) as server, WireClient(server.base_url, MODEL, api_key=KEY) as client:
        return walk(client, KEY)


def test_a_closed_server_is_not_accused() -> None:
    found = openings()
    assert found.found == []
    assert found.asked > 400
    assert found.open_on_purpose == ["/health", "/version", "/metrics"]
    assert found.also_taken == []


TOGETHER: list[dict[str, list[str]]] = [
    {"open-door": ["POST /v1/completions without a key: 200", "GET /v1/models without a key: 200"]},
    {
        "open-route=/invocations+/generate+/vendor/run+/v1/load_lora_adapter": [
            "POST /invocations without a key: 200",
            "POST /generate without a key: 200",
            "POST /vendor/run without a key: 200",
            "POST /v1/load_lora_adapter without a key: 200",
        ],
        "key-prefix": ["POST /v1/completions with the first half of the key: 200"],
        "key-any-case": ["POST /v1/completions with the key in the other case: 200"],
        "key-in-query": ["POST /v1/completions with the key as ?token=: 200"],
        "key-trimmed": ["POST /v1/completions with the key and a no-break space after it: 200"],
        "unsigned-tokens": ["POST /v1/completions with an unsigned token: 200"],
        "open-streams": ["POST /v1/chat/completions as a stream without a key: 200"],
        "open-methods": ["PUT /v1/completions without a key: 200"],
        "refusal-counts": ["POST /v1/completions without a key: 401, with what only an answer tells"],
    },
    {
        "open-spelling=encoded": ["POST /v1/completions with a letter encoded without a key: 200"],
        "key-within": ["POST /v1/completions with one more character before the key: 200"],
    },
    {
        "open-spelling=slashes": ["POST /v1/completions with a slash before it without a key: 200"],
        "open-route=/v1/models": ["GET /v1/models without a key: 200"],
    },
    {"open-spelling=dots": ["POST /invocations climbing out of /v1 without a key: 200"]},
]
"""Faults that may be planted side by side, because none of them lets in what another does."""


@pytest.mark.parametrize("faults", TOGETHER, ids=lambda faults: " ".join(faults))
def test_each_way_in_is_found(faults: dict[str, list[str]]) -> None:
    found = openings(*faults).found
    assert [told for lines in faults.values() for told in lines if told not in found] == [], found[:10]
    assert not [opening for opening in found if KEY[:10] in opening], "what is nearly the key is told to nobody"


def test_the_key_in_another_header_is_no_opening() -> None:
    """Whoever shows it there has it: Anthropic's own clients do."""
    found = openings("key-as-x-api-key")
    assert found.found == []
    assert "POST /v1/completions as x-api-key" in found.also_taken


def test_what_is_nearly_the_key_is_not_the_key_and_is_not_shown() -> None:
    for key in (KEY, "k", "0123456789", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.abc"):
        tries = list(near_misses(key))
        assert f"Bearer {key}" not in [credential.headers["authorization"] for credential in tries]
        assert len({credential.name for credential in tries}) == len(tries)
        assert "Bearer" not in repr(tries)


def test_the_list_of_routes_is_each_route_once_and_nothing_that_may_be_open() -> None:
    document = {"paths": {"/health": {"get": {}}, "/a/{b}/c": {"put": {}, "parameters": []}, "/sleep": {"post": {}}, "/x": 5}}
    every = routes(document)
    assert len({(route.method, route.path) for route in every}) == len(every) > 150
    assert not [route for route in every if route.path in OPEN]
    assert [route.method for route in every if route.path == "/a/1/c"] == ["PUT"]
    assert [route.use for route in every if route.path == "/sleep"] == [Use.CHANGES]


@pytest.mark.parametrize("document", [None, [], {}, {"paths": []}, {"paths": {"/x": None}}, "text"])
def test_a_document_that_is_none_lists_nothing(document: object) -> None:
    assert routes(document) == routes(None)
