"""/v1/chat/completions: the template works, schemas are obeyed."""

from __future__ import annotations

import json

import pytest

from hallmark.client.text import part
from hallmark.core.errors import CheckFailed

pytestmark = pytest.mark.server

PATH = "/v1/chat/completions"
SENTENCE = "The deep lake kept 42 golden lamps."
MESSAGES = [{"role": "user", "content": f"repeat: {SENTENCE}"}]
# What the question asks for breaks this schema, so only a server that constrains the answer can obey it.
NAMES, AGES = ["Bob", "Eve"], [47, 64]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"enum": NAMES}, "age": {"enum": AGES}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def chat(client, **fields):
    body = {"messages": MESSAGES, "temperature": 0, "max_tokens": 64, **fields}
    return client.post(PATH, client.body(**body)).require(200).json()


@pytest.mark.check(
    "server.chat",
    title="The model follows its chat template: it repeats a sentence",
    needs="chat",
    source="OpenAI API: POST /v1/chat/completions",
    fault="wrong-model-name",
)
def test_a_sentence_is_given_back(client, check):
    """Only a server with the model's right chat template and stop token gives the sentence back and ends."""
    answer = chat(client)
    check.equal("object", part(answer, "object"), "chat.completion")
    check.equal("model", part(answer, "model"), client.model)
    check.equal("role", part(answer, "choices", 0, "message", "role"), "assistant")
    text = part(answer, "choices", 0, "message", "content")
    check.observe("answer", text, detail={"asked": MESSAGES[0]["content"]})
    assert SENTENCE.lower().rstrip(".") in text.lower(), f"asked to repeat {SENTENCE!r}, it said {text!r}"
    check.equal("finish_reason", part(answer, "choices", 0, "finish_reason"), "stop")


def parsed(text):
    try:
        return json.loads(text)
    except ValueError as exc:
        raise CheckFailed(f"asked for JSON, it said {text!r} ({exc})") from exc


@pytest.mark.check(
    "server.structured-output",
    title="An answer obeys its JSON schema",
    needs="structured_output",
    source="OpenAI API: response_format",
    fault="structured-ignored",
)
def test_an_answer_obeys_its_schema(client, check):
    shape = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
    messages = [{"role": "user", "content": "json: Ada 31"}]
    answer = chat(client, messages=messages, response_format=shape, max_tokens=120)
    text = part(answer, "choices", 0, "message", "content")
    value = parsed(text)
    assert isinstance(value, dict), f"no object: {text!r}"
    assert set(value) == {"name", "age"}, f"keys {sorted(value)} in {text!r}"
    assert value["name"] in NAMES, f"name {value['name']!r}"
    assert value["age"] in AGES, f"age {value['age']!r}"
    check.observe("answer", text, detail={"schema": SCHEMA})
