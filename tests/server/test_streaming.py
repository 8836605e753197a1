"""Answers have the form of the OpenAI API, and a stream says what a whole answer says."""

from __future__ import annotations

import pytest

from hallmark.client.asking import CHATS, COMPLETIONS, chat, complete, streamed
from hallmark.client.text import finish_reason, joined_text, last_usage, models_named, part, text_pieces

pytestmark = pytest.mark.server

PROMPT = "12+34="
MESSAGES = [{"role": "user", "content": "repeat: The deep lake kept 42 golden lamps."}]
# A stream may cut characters of several bytes in two; whatever the model makes of these, no half of one may be sent.
WIDE = [{"role": "user", "content": "repeat: Grüße, 世界! 🚀"}]


@pytest.mark.check(
    "server.completions",
    title="A completion has the form of the OpenAI API",
    needs="completions",
    source="OpenAI API: POST /v1/completions",
    fault="answers-name",
)
def test_a_completion_answers_in_the_openai_form(client, check):
    answer = complete(client, prompt=PROMPT, max_tokens=16)
    check.equal("object", part(answer, "object"), "text_completion")
    check.equal("model", part(answer, "model"), client.model)
    check.equal("choices", len(part(answer, "choices")), 1)
    text, reason = part(answer, "choices", 0, "text"), part(answer, "choices", 0, "finish_reason")
    assert isinstance(text, str), f"the text is {text!r}"
    assert text, "an empty completion"
    assert reason in {"stop", "length"}, f"finish_reason is {reason!r}"
    check.observe("text", text, detail={"prompt": PROMPT})


def same_end_and_counts(client, check, whole, events):
    """Both ended for one reason, with the same counts, and name the model that was asked for."""
    check.equal("finish_reason", finish_reason(events), part(whole, "choices", 0, "finish_reason"))
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        check.equal(name, last_usage(events, name), part(whole, "usage", name))
    check.equal("model", models_named(events), client.model)


@pytest.mark.check(
    "server.stream-completions",
    title="A streamed completion has the text, usage and end of one that is not streamed",
    needs="completions",
    source="OpenAI API: stream, stream_options",
    fault="stream-differs",
)
def test_a_streamed_completion_equals_a_whole_one(client, offers, unending, check):
    """In text, in why it ended, and in its counts; whether the model ends it or the limit does."""
    ends = {"prompt": PROMPT, "max_tokens": 16}
    for asked in (ends, {**unending(24), "max_tokens": 24, **offers.only(skip_special_tokens=False)}):
        whole = complete(client, **asked)
        events = streamed(client, COMPLETIONS, **asked)
        check.equal("text", joined_text(events), part(whole, "choices", 0, "text"), detail={"events": len(events)})
        same_end_and_counts(client, check, whole, events)
    assert len(text_pieces(events)) > 1, "asked for a stream of 24 tokens, it sent them in one piece"


@pytest.mark.check(
    "server.stream-chat",
    title="A streamed chat answer has the text, usage and end of one that is not streamed",
    needs="chat",
    source="OpenAI API: stream, stream_options",
    fault="stream-differs",
)
def test_a_streamed_chat_equals_a_whole_one(client, check):
    """In text, in why it ended, and in its counts."""
    for messages in (MESSAGES, WIDE):
        asked = {"messages": messages, "max_tokens": 64}
        whole = chat(client, **asked)
        events = streamed(client, CHATS, **asked)
        said = part(whole, "choices", 0, "message", "content")
        check.equal("text", joined_text(events), said, detail={"events": len(events)})
        same_end_and_counts(client, check, whole, events)
        assert len(said) < 2 or len(text_pieces(events)) > 1, f"asked for a stream, it sent {said!r} in one piece"
