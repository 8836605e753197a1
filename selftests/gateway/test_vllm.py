"""The gateway before a real vLLM that serves hallmark-tiny: same answers as direct, same ends, honest health.

Its interpreter is $HALLMARK_SERVER_PYTHON.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from hallmark.core.process import tail
from hallmark.core.tokens import sign_token
from selftests.core.polling import comes_true
from selftests.gateway.gateways import SECRET, Running, gateway
from selftests.gateway.real_engine import MODEL, Vllm

pytestmark = pytest.mark.server

SUM: list[Any] = [{"role": "user", "content": "12+30="}]
TOOL: Any = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Vllm, Running]]:
    """The gateway is there first: what it says of an engine that loads is part of the test."""
    folder = tmp_path_factory.mktemp("vllm")
    engine = Vllm(folder, os.environ["HALLMARK_SERVER_PYTHON"])
    try:
        with gateway(engine.url, folder) as front:
            assert (front.health()[0], front.health()[1]["status"]) == (503, "loading")
            with front.client() as client:
                assert client.get("/v1/models").json()["error"]["code"] == "engine_loading"
            ready = comes_true(lambda: engine.process.ended.is_set() or front.health()[0] == 200, within_s=300)
            assert ready, tail(engine.log_path)
            assert not engine.process.ended.is_set(), tail(engine.log_path)
            yield engine, front
    finally:
        engine.process.stop()


@pytest.fixture(scope="module")
def client(both: tuple[Vllm, Running]) -> OpenAI:
    return OpenAI(base_url=both[1].url + "/v1", api_key=sign_token(SECRET), max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def direct(both: tuple[Vllm, Running]) -> OpenAI:
    return OpenAI(base_url=both[0].url + "/v1", api_key="none", max_retries=0, timeout=60)


def said(answer: Any) -> Any:
    """An answer without what differs from one to the next."""
    plain = json.loads(answer.model_dump_json())
    for call in plain["choices"][0].get("message", {}).get("tool_calls") or []:
        call.pop("id")
    return {name: value for name, value in plain.items() if name not in ("id", "created")}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"logprobs": True, "top_logprobs": 2},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "add"}}},
        {"tools": [TOOL], "tool_choice": "required"},
        {"tools": [TOOL], "tool_choice": "auto"},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_the_answers_are_those_of_the_engine(client: OpenAI, direct: OpenAI, more: dict[str, Any]) -> None:
    through, beside = (
        said(side.chat.completions.create(model=MODEL, messages=SUM, temperature=0, max_tokens=120, **more))
        for side in (client, direct)
    )
    assert through == beside
    assert ("tools" in more and more["tool_choice"] != "auto") == bool(through["choices"][0]["message"].get("tool_calls"))


def test_structured_output_obeys(client: OpenAI) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": ["yes", "no"]}}}
    answer = client.chat.completions.create(model=MODEL, messages=SUM, temperature=0, max_tokens=24, response_format=wanted)
    assert json.loads(answer.choices[0].message.content or "") in ("yes", "no")


def test_streams_are_those_of_the_engine(client: OpenAI, direct: OpenAI) -> None:
    texts = []
    for side in (client, direct):
        stream = side.chat.completions.create(model=MODEL, messages=SUM, temperature=0, max_tokens=24, stream=True)
        texts.append([chunk.choices[0].delta.content or "" for chunk in stream])
    # vLLM puts several tokens into one event when it is busy; that is its own affair.
    assert "".join(texts[0]) == "".join(texts[1])
    assert len(texts[0]) > 4


def test_errors_become_the_clients_exceptions(client: OpenAI, both: tuple[Vllm, Running]) -> None:
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="nobody", prompt="x")
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model=MODEL, prompt="x", max_tokens=10**6)
    stranger = OpenAI(base_url=both[1].url + "/v1", api_key="sk-not-a-token", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()


def test_when_clients_leave_the_running_requests_fall_to_zero(client: OpenAI, both: tuple[Vllm, Running]) -> None:
    """And what they had asked for is not generated: it did not just end by itself."""
    engine, _ = both
    asked = {"model": MODEL, "prompt": "x", "max_tokens": 500, "stream": True, "extra_body": {"ignore_eos": True}}
    before = engine.metric("generation_tokens_total")
    for _ in range(4):
        stream = client.completions.create(**asked)  # type: ignore[call-overload]
        next(iter(stream))
        stream.close()
    assert comes_true(lambda: engine.metric("num_requests_running") == 0)
    assert engine.metric("generation_tokens_total") - before < 4 * 500


def test_a_stopped_engine_is_red_within_ten_seconds_and_green_again(both: tuple[Vllm, Running]) -> None:
    engine, front = both
    assert front.becomes("ok")
    assert engine.process.pid
    os.kill(engine.process.pid, signal.SIGSTOP)
    try:
        stopped = time.monotonic()
        assert front.becomes("stuck", within_s=10.0), "still green after ten seconds"
        print(f"red {time.monotonic() - stopped:.1f} s after SIGSTOP")
    finally:
        os.kill(engine.process.pid, signal.SIGCONT)
    assert front.becomes("ok", within_s=30)
