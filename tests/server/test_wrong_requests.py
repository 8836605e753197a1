"""Requests that go to the wrong place, or bring what nobody knows: refused as what they are, in JSON, or answered all the same.

An engine that breaks down over them, or whose web server answers with a page for people, leaves a client without a word that
it can read.
"""

from __future__ import annotations

import json
import uuid
from functools import partial

import pytest

from hallmark.client.asking import PATHS, together
from hallmark.client.canary import CHAT, COMPLETIONS, Canary, text_of
from hallmark.client.refusal import require_no_breakdown, require_refused_in_json

pytestmark = pytest.mark.server

METHODS = ("PUT", "PATCH", "DELETE")
"""Not GET: OpenAI's own server lists stored chats by it."""
FORM = "application/x-www-form-urlencoded"
SAID = [{"role": "user", "content": "a"}]
SHORT = {COMPLETIONS: {"prompt": "a", "max_tokens": 4}, CHAT: {"messages": SAID, "max_tokens": 4}}
UNKNOWN = "hallmark_unknown"


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.wrong-method.{endpoint}",
    title="A method that a route does not have is refused with 405, 404 or 400, in JSON: {endpoint}",
    needs="{endpoint}",
    source="RFC 9110, section 15.5.6; OpenAI API reference: errors",
    covers="P20",
    fault="breaks-on-methods",
)
def test_a_wrong_method_is_refused(endpoint, client, check):
    path = PATHS[endpoint]
    body = client.body(**SHORT[path])
    for method, answer in zip(METHODS, together([partial(client.by, method, path, body) for method in METHODS]), strict=True):
        require_refused_in_json(answer, f"{method} {path}", statuses=(405, 404, 400, 501))
        check.observe(f"status of {method} {path}", answer.status)


@pytest.mark.check(
    "server.errors.unknown-path",
    title="A path that a server does not have is refused with 404, 405 or 400, in JSON",
    source="RFC 9110, section 15.5.5; OpenAI's own server: 404 with an error object",
    covers="P20",
    fault="pages-for-unknown-paths",
)
def test_an_unknown_path_is_refused(client, check):
    name = uuid.uuid4().hex
    paths = (f"/v1/{name}", f"/v1/models/{name}/{name}", f"/v1/chat/{name}")
    calls = [partial(client.by, method, path, body) for path in paths for method, body in (("GET", None), ("POST", {}))]
    for answer in together(calls):
        require_refused_in_json(answer, answer.what.replace(name, "..."), statuses=(404, 405, 400))
    check.observe("requests to paths that there are not, refused in JSON", len(calls))


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.content-type.{endpoint}",
    title="A body that is said to be a form, and is one, is refused with a 4xx in JSON: {endpoint}",
    needs="{endpoint}",
    source="RFC 9110, section 15.5.16; OpenAI API reference: bodies are application/json",
    covers="P20",
    fault="breaks-on-forms",
)
def test_a_form_is_refused(endpoint, client, check):
    """JSON that comes under another name may be answered or refused: which of both is noted."""
    path = PATHS[endpoint]
    canary = Canary(client, path)
    body = json.dumps(client.body(**SHORT[path]))
    form = client.post(path, content=f"model={client.model}&prompt=a&max_tokens=1", headers={"content-type": FORM})
    require_refused_in_json(form, f"a form to {path}")
    for kind in ("text/plain", FORM):
        answer = client.post(path, content=body, headers={"content-type": kind})
        if not require_no_breakdown(answer, f"JSON as {kind} to {path}"):
            require_refused_in_json(answer, f"JSON as {kind} to {path}")
        check.observe(f"JSON as {kind} to {path}", answer.status)
    check.observe(f"status of a form to {path}", form.status, detail={"after it": canary.same_after("a form")})


def with_unknown_fields(path):
    """Where the unknown field stands -> the fields of a request that has it."""
    good = SHORT[path]
    inner = {"messages": [{**SAID[0], UNKNOWN: 1}]} if path == CHAT else {"stream_options": {"include_usage": True, UNKNOWN: 1}}
    return {
        "a number": {**good, UNKNOWN: 1},
        "an object": {**good, UNKNOWN: {"a": [None, {"b": "c"}]}},
        "one within another field": {**good, **inner, **({} if path == CHAT else {"stream": True})},
    }


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.unknown-field.{endpoint}",
    title="A field that nobody knows is ignored, or the refusal names it: {endpoint}",
    needs="{endpoint}",
    source="vLLM issue 11363 (2024); OpenAI's own server: 400 with the field's name",
    covers="P21",
    fault="breaks-on-unknown-fields",
)
def test_an_unknown_field_is_ignored_or_named(endpoint, client, check):
    """Ignored is: the greedy answer is the one without it."""
    path = PATHS[endpoint]
    wanted = with_unknown_fields(path)
    plain, *answers = together(
        [partial(client.post, path, client.body(temperature=0, **fields)) for fields in (SHORT[path], *wanted.values())]
    )
    without = text_of(plain)
    for (what, fields), answer in zip(wanted.items(), answers, strict=True):
        told = f"an unknown field, {what}, to {path}"
        if not require_no_breakdown(answer, told):
            error = require_refused_in_json(answer, told)
            if UNKNOWN not in json.dumps(error):
                raise answer.failure(f"{told}: refused with {answer.status}, but what was wrong is not named: {answer.excerpt}")
            check.observe(told, "refused, and named")
            continue
        if not fields.get("stream") and text_of(answer) != without:
            require_same_alone(client, path, fields, told)
        check.observe(told, "ignored")


def require_same_alone(client, path, fields, told):
    """In a batch a near-tie may fall otherwise: both are asked for once more, one after the other."""
    without = text_of(client.post(path, client.body(temperature=0, **SHORT[path])))
    answer = client.post(path, client.body(temperature=0, **fields))
    if (said := text_of(answer)) != without:
        raise answer.failure(f"{told}: it is not ignored: the answer is {said!r}, without it {without!r}")
