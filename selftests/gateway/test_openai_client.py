"""The `openai` client, as it is installed, through the gateway: what its users do, and the exceptions that they catch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hallmark.core.tokens import sign_token
from hallmark.serving.ports import free_port
from selftests.core.polling import comes_true
from selftests.faulty import MODEL, Faulty, running
from selftests.gateway.gateways import SECRET, Running, gateway
from selftests.gateway.test_engine_faults import running_requests

if TYPE_CHECKING:
    from openai import OpenAI

REPEAT = [{"role": "user", "content": "repeat: one two three"}]


def client_of(front: Running, token: str | None = None, *, retries: int = 0) -> OpenAI:
    from openai import OpenAI  # takes a second and a half, which only who runs these tests is to spend

    return OpenAI(base_url=front.url + "/v1", api_key=token or sign_token(SECRET), max_retries=retries, timeout=20)


@pytest.fixture(scope="module")
def client(served: Running) -> OpenAI:
    return client_of(served)


def test_models_chat_and_completions(client: OpenAI) -> None:
    assert client.models.list().data[0].id == MODEL
    said = client.chat.completions.create(model=MODEL, messages=REPEAT, temperature=0)  # type: ignore[arg-type]
    assert said.choices[0].message.content == "one two three"
    assert said.usage is not None
    assert client.completions.create(model=MODEL, prompt="1+1=", temperature=0).choices[0].text == "2"


def test_streams(client: OpenAI) -> None:
    options = {"include_usage": True}
    stream = client.chat.completions.create(model=MODEL, messages=REPEAT, temperature=0, stream=True, stream_options=options)  # type: ignore[call-overload]
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "one two three"
    assert chunks[-1].usage.completion_tokens > 0


def test_structured_output(client: OpenAI) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    said = client.chat.completions.create(model=MODEL, messages=REPEAT, response_format=wanted)  # type: ignore[call-overload]
    assert isinstance(json.loads(said.choices[0].message.content)["age"], int)


def test_the_request_id_is_the_clients_to_see(client: OpenAI) -> None:
    listed = client.models.with_raw_response.list(extra_headers={"x-request-id": "mine-7"})
    assert listed.headers["x-request-id"] == "mine-7"


def test_leaving_a_stream_ends_the_request(client: OpenAI, stand_in: Faulty) -> None:
    more = {"ignore_eos": True}
    stream = client.completions.create(model=MODEL, prompt="x", max_tokens=400, stream=True, extra_body=more)
    next(iter(stream))
    assert comes_true(lambda: running_requests(stand_in) == 1)
    stream.close()
    assert comes_true(lambda: running_requests(stand_in) == 0)


def test_errors_become_its_exceptions(served: Running, client: OpenAI) -> None:
    import openai

    with pytest.raises(openai.AuthenticationError, match="another secret"):
        client_of(served, sign_token("another secret of the same length, 40 b.")).models.list()
    with pytest.raises(openai.NotFoundError, match="nobody"):
        client.completions.create(model="nobody", prompt="x")
    with pytest.raises(openai.BadRequestError, match="max_tokens"):
        client.completions.create(model=MODEL, prompt="x", max_tokens=-1)


def test_limits_become_its_exceptions(front: Running) -> None:
    import openai

    small = client_of(front)
    with pytest.raises(openai.APIStatusError, match="larger than 1048576 bytes") as large:
        small.completions.create(model=MODEL, prompt="x" * 2_000_000)
    assert large.value.status_code == 413
    with pytest.raises(openai.APIStatusError) as many:
        small.models.list(extra_headers={"x-long": "y" * 9000})
    assert many.value.status_code == 431


@pytest.mark.e2e
def test_an_engine_that_is_down_slow_or_breaks_off(tmp_path: Path) -> None:
    import openai

    with running("truncate-stream=abort") as engine, gateway(engine.base_url, tmp_path) as front:
        assert front.becomes("ok")
        stream = iter(client_of(front).completions.create(model=MODEL, prompt="abc", stream=True))
        assert next(stream).choices
        with pytest.raises(openai.APIConnectionError):
            list(stream)
        engine.process.kill()
        with pytest.raises(openai.InternalServerError) as down:
            client_of(front).models.list()
        assert (down.value.status_code, down.value.code) == (502, "engine_down")
    with running("slow=100") as engine, gateway(engine.base_url, tmp_path, GATEWAY_FIRST_BYTE_TIMEOUT_S="0.1") as front:
        with pytest.raises(openai.InternalServerError) as slow:
            client_of(front).completions.create(model=MODEL, prompt="1+1=")
        assert (slow.value.status_code, slow.value.code) == (504, "engine_slow")


@pytest.mark.e2e
def test_its_retries_carry_it_over_a_start(tmp_path: Path) -> None:
    """The engine listens only after a second; a client that retries never knows."""
    import openai

    port = free_port("127.0.0.1")
    with gateway(f"http://127.0.0.1:{port}", tmp_path) as front, running("slow-start=1", port=port, wait=False):
        with pytest.raises(openai.InternalServerError) as loading:
            client_of(front).models.list()
        assert (loading.value.status_code, loading.value.code) == (503, "engine_loading")
        assert client_of(front, retries=6).models.list().data[0].id == MODEL
        assert front.log.count("GET /v1/models -> 503") >= 2
