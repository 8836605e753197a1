"""What a server offers is what it answers: a refusal in words is a "no", and a probe that fails is no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from hallmark.client.asking import COMPLETIONS
from hallmark.client.long_answers import LongAnswers
from hallmark.client.offers import PROBES, Known, Offers
from hallmark.client.wire import WireClient
from hallmark.core.errors import Inconclusive
from selftests.faulty import running

Ask = Callable[[httpx.Request], httpx.Response]
NOT_THERE = ("responses", "extension:response_calls", "embeddings")
"""Of routes that the stand-in has only where it is told to."""


@pytest.fixture(scope="module")
def offers_of() -> Iterator[Callable[[str], Offers]]:
    """Fault (or none) -> what is found out of a stand-in that has it."""
    with ExitStack() as stack:

        def made(fault: str) -> Offers:
            server = stack.enter_context(running(*([fault] if fault else [])))
            return Offers(stack.enter_context(WireClient(server.base_url, server.model)))

        yield made


def scripted(answer: Ask) -> Offers:
    """Of a server that is a function."""
    client = WireClient("http://127.0.0.1:9", "model")
    client.close()

    def streamed(request: httpx.Request) -> httpx.Response:
        given = answer(request)
        return httpx.Response(given.status_code, headers=given.headers, stream=httpx.ByteStream(given.content))

    client._http = httpx.Client(transport=httpx.MockTransport(streamed))
    return Offers(client)


def test_a_server_with_extensions(offers_of: Callable[[str], Offers]) -> None:
    offers = offers_of("")
    has = {
        "completions",
        "chat",
        "logprobs",
        "structured_output",
        "tools",
        "field:ignore_eos",
        "route:/tokenize",
        "route:/health",
    }
    has_not = {"reasoning", "responses", "embeddings", "field:guided_json", "route:/v1/audio/speech"}
    assert {need: offers(need).known for need in has | has_not} == {
        **dict.fromkeys(has, Known.OFFERED),
        **dict.fromkeys(has_not, Known.ABSENT),
    }
    assert offers.only(ignore_eos=True, guided_json=1) == {"ignore_eos": True}


def test_a_server_that_has_openais_reference_alone(offers_of: Callable[[str], Offers]) -> None:
    offers = offers_of("only-openai")
    assert all(offers.has(need) for need in ("completions", "chat", "logprobs", "structured_output"))
    for need in ("field:ignore_eos", "route:/tokenize", "route:/health", "responses"):
        assert offers(need).known is Known.ABSENT, need
    with_limit = {**LongAnswers(offers).of(offers.client, 8), "max_tokens": 8}
    assert "ignore_eos" not in with_limit
    answer = offers.client.post(COMPLETIONS, offers.client.body(**with_limit, temperature=0)).require(200).json()
    assert answer["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("fault", ["error-all=500", "error-all=503", "error-all=429", "closes-unanswered"])
def test_a_probe_that_fails_is_no_answer(offers_of: Callable[[str], Offers], fault: str) -> None:
    offers = offers_of(fault)
    assert {offers(need).known for need in PROBES if need not in NOT_THERE} == {Known.UNKNOWN}


def test_a_document_that_cannot_be_read_says_nothing_of_fields(offers_of: Callable[[str], Offers]) -> None:
    offers = offers_of("probes-fail")
    assert offers("field:ignore_eos").known is Known.UNKNOWN
    assert "500" in offers("field:ignore_eos").reason
    assert offers.only(ignore_eos=True) == {}
    assert offers("route:/tokenize").known is Known.OFFERED, "a route can be asked by itself"


def test_a_refusal_of_the_models_name_is_not_one_of_the_route() -> None:
    error = {"error": {"message": "no such model", "param": "model", "code": 404}}
    offers = scripted(lambda request: httpx.Response(404, json=error))
    assert offers("chat").known is Known.UNKNOWN


def test_what_is_named_and_ignored_is_offered_and_what_is_only_ignored_is_not() -> None:
    """A server that names `tools` in its document promises something."""

    def answering(fields: tuple[str, ...]) -> Ask:
        schema = {"allOf": [{"$ref": "#/components/schemas/Chat"}]}
        document = {
            "paths": {"/v1/chat/completions": {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}},
            "components": {"schemas": {"Chat": {"properties": {name: {} for name in fields}}}},
        }
        said = {"choices": [{"message": {"role": "assistant", "content": "hm"}}]}
        return lambda request: httpx.Response(200, json=document if request.method == "GET" else said)

    assert scripted(answering(("tools", "messages")))("tools").known is Known.OFFERED
    assert scripted(answering(("messages",)))("tools").known is Known.ABSENT


def test_each_question_is_asked_once() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(404, json={"detail": "Not Found"})

    offers = scripted(answer)
    assert [offers("field:a").known for _ in range(3)] == [Known.ABSENT] * 3
    assert [offers("tools").known for _ in range(3)] == [Known.ABSENT] * 3
    assert sorted(asked) == ["/api-doc/openapi.json", "/openapi.json", "/v1/chat/completions"]


def test_a_model_that_ends_every_answer_shows_no_long_one() -> None:
    """Where nothing makes it go on, what needs a long answer was not seen."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(404)
        return httpx.Response(200, json={"choices": [{"text": "x", "finish_reason": "stop"}]})

    offers = scripted(answer)
    with pytest.raises(Inconclusive, match="ended by itself before 8 tokens"):
        LongAnswers(offers).of(offers.client, 8)
