"""Mistaken and hostile requests: refused in OpenAI's form, in time, without a word about the server's inside, and without harm.

A good request after each of them must get the answer that it got before.
"""

from __future__ import annotations

import json
import uuid
from functools import partial

import pytest

from hallmark.client.asking import PATHS, together
from hallmark.client.canary import CHAT, COMPLETIONS, Canary, text_of
from hallmark.client.errors import ConnectionLost, NoAnswerInTime
from hallmark.client.refusal import require_discreet, require_form, require_no_breakdown, require_refused
from hallmark.client.text import joined_text
from hallmark.core.errors import CheckFailed

pytestmark = pytest.mark.server

SAID = [{"role": "user", "content": "a"}]
GOOD = {COMPLETIONS: {"prompt": "a", "max_tokens": 1}, CHAT: {"messages": SAID, "max_tokens": 1}}
NO_OBJECT = ("[]", '"x"', "1", "null", "true", "")
NO_JSON = {
    "bytes that are no text": b"\xff\xfe\x00\x9f\x92\x96",
    "a body that breaks off": b'{"model": "x", "prompt": "a',
    "two documents": b'{"prompt": "a"}{"prompt": "b"}',
    "a form": b"prompt=a&max_tokens=1",
}
# Field -> values of another type than OpenAI's reference gives it.
WRONG_TYPES = {
    "temperature": ["hot", [], {}],
    "top_p": ["most", {}],
    "max_tokens": ["many", [1], 1.5],
    "n": ["two", {}],
    "stop": [5, {"a": 1}, [1, 2]],
    "stream": ["perhaps", [], 7],
    "seed": ["now", [1]],
    "presence_penalty": ["much", []],
    "logit_bias": ["none", 3],
}
WRONG_MESSAGES = {
    "messages that are a text": "hello",
    "a message that is a number": [1],
    "a message without a role": [{"content": "a"}],
    "content that is a number": [{"role": "user", "content": 5}],
    "a part of an unknown type": [{"role": "user", "content": [{"type": "no-such-part", "text": "a"}]}],
    "a part without its text": [{"role": "user", "content": [{"type": "text"}]}],
}
NO_TEXT = b"\x8f\x02o\xff"
"""Bytes that are no UTF-8; nor are they, by their beginning, UTF-16 or UTF-32, which some readers of JSON guess at."""
LONG = 4 * 2**20


def bad_bodies(client, path):
    """What is wrong -> a body that has to be refused, for checks that need some."""
    good = client.body(**GOOD[path])
    return {
        "a temperature of another type": json.dumps({**good, "temperature": "hot"}).encode(),
        "an unknown model": json.dumps({**good, "model": "no-such-model"}).encode(),
        "a negative max_tokens": json.dumps({**good, "max_tokens": -1}).encode(),
        "no JSON": b'{"model": ',
        "a list": b"[]",
        "nothing asked": json.dumps({"model": client.model}).encode(),
    }


def post_each(client, path, bodies):
    """(what, answer) of each of `bodies`, sent at the same time; behind a canary, for what they may do."""
    Canary(client, path)
    calls = [partial(client.post, path, content=body) for body in bodies.values()]
    return list(zip(bodies, together(calls), strict=True))


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.form.{endpoint}",
    title="Every error is OpenAI's error object: a message, a type, a param and a code of their types: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API reference: ErrorResponse (openapi.yaml of 2026-08-21)",
    covers="E01",
    fault="errors-without-type",
)
def test_errors_have_the_form_of_the_reference(endpoint, client, check):
    """The reference makes `code` a text or null; that many servers put the status there, as a number, is let pass and noted."""
    codes = set()
    path = PATHS[endpoint]
    for what, answer in post_each(client, path, bad_bodies(client, path)):
        if answer.status // 100 == 4:  # that it has to be is the matter of other checks
            error = require_refused(answer, f"{what} to {path}")
            require_form(answer, error, f"{what} to {path}")
            codes.add(type(error.get("code")).__name__)
    if not codes:
        raise CheckFailed("no bad request is refused, so no error shows its form")
    check.observe("types of error.code", ", ".join(sorted(codes)))


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.not-an-object.{endpoint}",
    title="A body that is JSON but no object is refused with a 4xx: {endpoint}",
    needs="{endpoint}",
    source="vLLM tests: non-object bodies (v0.32, 2026-08); OpenAI API reference: request bodies are objects",
    covers="E02",
    fault="breaks-on-lists",
)
def test_a_body_that_is_no_object_is_refused(endpoint, client, check):
    path = PATHS[endpoint]
    for what, answer in post_each(client, path, {text: text.encode() for text in NO_OBJECT}):
        require_refused(answer, f"the body {what!r} to {path}")
    check.observe(f"the same answer on {path} after it", Canary(client, path).same_after("bodies that are no objects"))


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.not-json.{endpoint}",
    title="A body that is no JSON is refused with a 4xx, and does no harm: {endpoint}",
    needs="{endpoint}",
    source="RFC 8259, section 2; OpenAI API reference: errors (openapi.yaml of 2026-08-21)",
    covers=["E03", "E12"],
    fault="breaks-on-bytes",
)
def test_a_body_that_is_no_json_is_refused(endpoint, client, check):
    path = PATHS[endpoint]
    canary = Canary(client, path)
    for what, content in NO_JSON.items():
        require_refused(client.post(path, content=content), f"{what} to {path}")
        said = canary.same_after(what)
    check.observe(f"the same answer on {path} after each", said)


def strange_bodies(client, path):
    """What the grammar of JSON allows and few expect; a server may answer it or refuse it."""
    good = json.dumps(client.body(**GOOD[path]))
    deep = 10_000
    return {
        "a key twice": good[:-1] + ', "max_tokens": 1}',
        "half a surrogate pair": good.replace('"a"', '"\\ud800"'),
        "a NUL in the text": good.replace('"a"', '"a\\u0000b"'),
        "10,000 nested lists in an unknown field": good[:-1] + ', "user_data": ' + "[" * deep + "]" * deep + "}",
        "a number of 400 digits": good[:-1] + f', "seed": {"9" * 400}' + "}",
        "NaN for a number": good[:-1] + ', "temperature": NaN}',
        "a byte order mark": "\ufeff" + good,
    }


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.no-text.{endpoint}",
    title="Bytes that are no UTF-8 are refused in JSON with a 4xx, and within a text never break the server: {endpoint}",
    needs="{endpoint}",
    source="RFC 8259, section 8.1; met with schemathesis 4.32: an engine's own errors have another form here",
    covers=["E03", "E12"],
    fault="breaks-on-bytes-within",
)
def test_bytes_that_are_no_text_do_no_harm(endpoint, client, check):
    """Which form the refusal has is noted: engines leave it to the reader of JSON, which knows nothing of OpenAI's."""
    path = PATHS[endpoint]
    canary = Canary(client, path)
    alone = client.post(path, content=NO_TEXT)
    body = alone.json()
    if not 400 <= alone.status < 500:
        raise alone.failure(f"bytes that are no UTF-8 to {path}: answered {alone.status}, not refused with a 4xx")
    good = json.dumps({**client.body(**GOOD[path]), "user": "MARK"}).encode()
    for what, hidden in (("a text", good.replace(b"MARK", NO_TEXT)), ("a name", good.replace(b"user", NO_TEXT))):
        answered = require_no_breakdown(client.post(path, content=hidden), f"bytes that are no UTF-8 in {what} to {path}")
        check.observe(f"bytes that are no UTF-8 in {what}", "answered" if answered else "refused")
    is_openai = isinstance(body, dict) and isinstance(body.get("error"), dict)
    check.observe("form of the refusal", "OpenAI's error object" if is_openai else f"another one: {alone.excerpt}")
    check.observe(f"the same answer on {path} after it", canary.same_after("bytes that are no UTF-8"))


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.strange-json.{endpoint}",
    title="JSON that nobody expects is answered or refused, and never breaks the server: {endpoint}",
    needs="{endpoint}",
    source="RFC 8259, sections 4, 6, 8.2, 9; vLLM issue 17248 (2025)",
    covers=["E03", "E12"],
    fault="breaks-on-surrogates",
)
def test_strange_json_does_no_harm(endpoint, client, check):
    path = PATHS[endpoint]
    canary = Canary(client, path)
    for what, text in strange_bodies(client, path).items():
        taken = require_no_breakdown(client.post(path, content=text), f"{what} to {path}")
        canary.same_after(what)
        check.observe(f"{what} to {path}", "answered" if taken else "refused")


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.huge-body.{endpoint}",
    title="A prompt of megabytes is refused with a 4xx in time, and the server goes on: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API reference: errors; CVE-2025-48956 (2025-08-21)",
    covers=["E03", "E12"],
    fault="takes-huge-bodies",
)
def test_a_huge_body_is_refused(endpoint, client, check):
    path = PATHS[endpoint]
    canary = Canary(client, path)
    text = "lorem ipsum " * (LONG // 12)
    body = client.body(
        **{**GOOD[path], **({"messages": [{"role": "user", "content": text}]} if path == CHAT else {"prompt": text})}
    )
    answer = client.post(path, body)
    require_refused(answer, f"a prompt of {LONG} characters to {path}")
    check.observe(
        f"time to refuse it on {path}", round(answer.elapsed_s, 3), unit="s", detail={"after it": canary.same_after("it")}
    )


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.long-header.{endpoint}",
    title="A header of a megabyte is refused or cut off in time, and the server goes on: {endpoint}",
    needs="{endpoint}",
    source="CVE-2025-48956 (2025-08-21)",
    covers="E10",
    fault="breaks-on-long-headers",
)
def test_a_long_header_does_no_harm(endpoint, client, check):
    path = PATHS[endpoint]
    canary = Canary(client, path)
    try:
        answer = client.post(path, client.body(**GOOD[path]), headers={"x-long": "a" * 2**20})
        outcome = f"answered {answer.status}"
        if answer.status >= 500:
            raise answer.failure(f"a header of a megabyte: {outcome}")
    except NoAnswerInTime:
        raise
    except ConnectionLost:
        outcome = "the connection was closed"
    check.observe("a header of a megabyte", outcome, detail={"after it": canary.same_after("a header of a megabyte")})


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.wrong-types.{endpoint}",
    title="A field of another type than the reference's is refused with a 4xx, streamed or not: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API reference: CreateChatCompletionRequest, CreateCompletionRequest (openapi.yaml of 2026-08-21)",
    covers="G11",
    fault="lenient-types",
)
def test_a_field_of_a_wrong_type_is_refused(endpoint, client, check):
    path = PATHS[endpoint]
    bodies = {
        f"{name}={json.dumps(value)}": json.dumps(client.body(**{**GOOD[path], name: value})).encode()
        for name, values in WRONG_TYPES.items()
        for value in values
    }
    for what, answer in post_each(client, path, bodies):
        require_refused(answer, f"{what} to {path}")
    check.observe(f"fields refused by {path}", len(bodies))


@pytest.mark.check(
    "server.errors.wrong-messages",
    title="Messages that are none are refused with a 4xx",
    needs="chat",
    source="OpenAI API reference: messages (openapi.yaml of 2026-08-21)",
    fault="lenient-messages",
)
def test_messages_that_are_none_are_refused(client, check):
    canary = Canary(client, CHAT)
    bodies = {what: json.dumps(client.body(messages=value, max_tokens=1)).encode() for what, value in WRONG_MESSAGES.items()}
    for what, answer in post_each(client, CHAT, bodies):
        require_refused(answer, what)
    check.observe("the same answer after them", canary.same_after("messages that are none"), detail={"refused": len(bodies)})


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.nothing-asked.{endpoint}",
    title="No messages and no prompts are refused; an empty text is answered or refused: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API reference: messages has at least one item; vLLM issue 7283 (2024)",
    covers=["E07", "E12"],
    fault="answers-empty-lists",
)
def test_nothing_is_asked(endpoint, client, check):
    path = PATHS[endpoint]
    canary = Canary(client, path)
    name = "messages" if path == CHAT else "prompt"
    require_refused(client.post(path, client.body(**{name: [], "max_tokens": 1})), f"{name}=[] to {path}")
    empty = [{"role": "user", "content": ""}] if path == CHAT else ""
    taken = require_no_breakdown(client.post(path, client.body(**{name: empty, "max_tokens": 1})), f"an empty text to {path}")
    canary.same_after("an empty prompt")
    check.observe(f"an empty text to {path}", "answered" if taken else "refused")


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.absurd-counts.{endpoint}",
    title="Counts that no server can serve are refused with a 4xx in time: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API reference: n is 1 to 128, logprobs at most 5, top_logprobs at most 20 (openapi.yaml of 2026-08-21)",
    covers=["E09", "E12"],
    fault="takes-absurd-counts",
)
def test_absurd_counts_are_refused(endpoint, client, check):
    """A server may offer more than the reference; a million of anything it may not, and neither none nor fewer."""
    path = PATHS[endpoint]
    canary = Canary(client, path)
    counts = {"n": [0, -1, 10**6], "max_tokens": [-1, -(2**40)]}
    wanted = [{name: value} for name, values in counts.items() for value in values]
    wanted += [{"logprobs": True, "top_logprobs": 10**6}, {"logprobs": True, "top_logprobs": -5}] if path == CHAT else []
    wanted += [{"logprobs": 10**6}, {"logprobs": -5}] if path == COMPLETIONS else []
    bodies = {json.dumps(one): json.dumps(client.body(**{**GOOD[path], **one})).encode() for one in wanted}
    for what, answer in post_each(client, path, bodies):
        require_refused(answer, f"{what} to {path}")
    check.observe(f"the same answer on {path} after them", canary.same_after("absurd counts"), detail={"asked": list(bodies)})


@pytest.mark.check(
    "server.errors.token-ids",
    title="Token ids that the vocabulary has not are refused with a 4xx, and do no harm",
    needs="completions",
    source="vLLM tests: prompt validation (v0.32, 2026-08); vLLM issue 9634 (2024)",
    covers=["E06", "E12"],
    fault="takes-any-token-id",
)
def test_foreign_token_ids_are_refused(client, cell, tokenizer, check):
    canary = Canary(client, COMPLETIONS)
    first = tokenizer.ordinary_ids()[0]
    foreign = [-1, 2**31 - 1, 2**31, 2**63, 10**30]
    if (size := cell.architecture.get("vocab_size")) and isinstance(size, int) and size >= tokenizer.size:
        foreign.append(size)
    for token in foreign:
        answer = client.post(COMPLETIONS, client.body(prompt=[first, token, first], max_tokens=1))
        require_refused(answer, f"the token id {token} in a prompt")
        canary.same_after(f"the token id {token}")
    mixed = client.post(COMPLETIONS, client.body(prompt=[first, "a", 1.5], max_tokens=1))
    require_refused(mixed, "a prompt of a number, a text and a fraction")
    check.observe("token ids refused", ", ".join(map(str, foreign)), detail={"after it": canary.same_after("a mixed prompt")})


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.logit-bias-ids.{endpoint}",
    title="A logit bias for a token that is none is refused or has no effect, and does no harm: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API reference: logit_bias (openapi.yaml of 2026-08-21); vLLM issue 16529 (2025)",
    covers=["E06", "E12", "G06"],
    fault="breaks-on-foreign-bias",
)
def test_a_bias_for_no_token_does_no_harm(endpoint, client, check):
    path = PATHS[endpoint]
    canary = Canary(client, path)
    for token in ("-1", "1000000000", "word", ""):
        answer = client.post(path, client.body(**GOOD[path], logit_bias={token: 5}))
        require_no_breakdown(answer, f"logit_bias for {token!r} to {path}")
        said = canary.same_after(f"logit_bias for {token!r}")
    check.observe(f"the same answer on {path} after each", said)


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.streamed.{endpoint}",
    title="A bad request is refused with the same status whether a stream was asked for or not: {endpoint}",
    needs="{endpoint}",
    source="vLLM issue 40986 (2026); OpenAI API reference: errors",
    covers="E08",
    fault="streams-errors",
)
def test_a_stream_is_refused_like_a_whole_answer(endpoint, client, check):
    path = PATHS[endpoint]
    wrong = {
        "a negative max_tokens": {"max_tokens": -1},
        "a temperature of -5": {"temperature": -5},
        "an unknown model": {"model": "no-such-model"},
        "n=0": {"n": 0},
    }
    for what, fields in wrong.items():
        body = client.body(**{**GOOD[path], **fields})
        whole, streamed = together([partial(client.post, path, body), partial(client.post, path, {**body, "stream": True})])
        require_refused(whole, f"{what} to {path}")
        if streamed.status != whole.status:
            raise streamed.failure(f"{what} to {path}: refused with {whole.status}, as a stream answered {streamed.status}")
        require_refused(streamed, f"{what} to {path}, streamed")
    check.observe(f"refused alike on {path}", len(wrong))


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.discreet.{endpoint}",
    title="No error tells of the server's inside: no stack, no path, no source file, not the key: {endpoint}",
    needs="{endpoint}",
    source="vLLM tests: error sanitization (v0.32, 2026-08); CWE-209",
    covers="E11",
    fault="errors-show-stack",
)
def test_errors_tell_nothing_of_the_inside(endpoint, client, server, check):
    seen = 0
    key = server.endpoint.api_key
    path = PATHS[endpoint]
    bodies = {
        **bad_bodies(client, path),
        **NO_JSON,
        "deep": strange_bodies(client, path)["10,000 nested lists in an unknown field"],
    }
    for what, answer in [*post_each(client, path, bodies), ("no such path", client.get(f"/v1/{uuid.uuid4().hex}"))]:
        if answer.status == 200:
            continue
        seen += 1
        require_discreet(answer, f"{what} to {path}")
        if key and key in answer.body_text:
            raise CheckFailed(f"{what} to {path}: the error shows the key")
    check.observe("errors that tell nothing of the inside", seen)


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.neighbours.{endpoint}",
    title="Bad requests leave the streams that are running as they are: {endpoint}",
    needs="{endpoint}",
    source="vLLM issues 17248, 17313 (2025): one bad request ended all",
    covers="E12",
    fault="bad-requests-cut-streams",
)
def test_streams_go_on_while_bad_requests_come(endpoint, client, check):
    """The greedy text of each stream is the one that it has alone."""
    path = PATHS[endpoint]
    body = Canary(client, path).body()
    alone = text_of(client.post(path, body))

    def stream(path=path, body=body):
        return joined_text(client.stream(path, {**body, "stream": True}))

    bad = [partial(client.post, path, content=content) for content in bad_bodies(client, path).values()]
    calls = [*[stream] * 4, *bad * 2]
    texts = together(calls, at_once=len(calls))[:4]
    if texts.count(alone) * 2 < len(texts):  # in a batch a near-tie may fall otherwise
        raise CheckFailed(f"4 streams beside bad requests to {path} said {texts}, alone {alone!r}")
    check.observe(f"streams on {path} that came whole beside {len(bad) * 2} bad requests", len(texts))


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.errors.same-request-id.{endpoint}",
    title="Requests that carry the same X-Request-Id at the same time are each answered: {endpoint}",
    needs="{endpoint}",
    source="vLLM issues 10583, 15041, 27987 (2024, 2025)",
    covers="E13",
    fault="loses-same-request-ids",
)
def test_the_same_request_id_twice(endpoint, client, check):
    path = PATHS[endpoint]
    body = Canary(client, path).body()
    name = uuid.uuid4().hex
    calls = [partial(client.post, path, body, headers={"x-request-id": name}) for _ in range(8)]
    for answer in together(calls):
        if answer.status != 200:
            raise answer.failure(f"8 requests to {path} with one X-Request-Id: one is answered {answer.status}: {answer.excerpt}")
    check.observe(f"requests to {path} with one X-Request-Id that were answered", len(calls))
