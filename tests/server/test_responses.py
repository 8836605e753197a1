"""`/v1/responses`: the object and the events of OpenAI's reference, and the same answer as a chat gives."""

from __future__ import annotations

from functools import partial

import jsonschema
import pytest

from hallmark.client.asking import chat, together
from hallmark.client.long_answers import OPENINGS
from hallmark.client.refusal import require_no_breakdown, require_refused
from hallmark.client.responses import (
    RESPONSES,
    Told,
    calls_in,
    counts_of,
    lacking,
    require_shape,
    respond,
    said_by,
    streamed_response,
)
from hallmark.client.text import count, part
from hallmark.core.errors import CheckFailed, Inconclusive

pytestmark = pytest.mark.server

SAID = "repeat: golden lamps"
REPEATED = "repeat: The deep lake kept 42 golden lamps."
ENOUGH = 200
"""Tokens by which most models have come to an answer, thoughts included."""
LEAST = 16
"""The least max_output_tokens that the reference allows."""
QUESTIONS = (SAID, "12+34=", "Once upon a time")


@pytest.mark.check(
    "server.responses.shape",
    title="A response is OpenAI's object: its output holds messages of the assistant, its status and counts fit",
    needs="responses",
    source="OpenAI API reference: the response object (openapi.yaml of 2026-08-21); openresponses compliance tests",
    covers="X01",
    fault="response-is-a-chat",
)
def test_a_response_has_its_shape(client, check):
    for asked in (SAID, [{"role": "user", "content": SAID}]):
        answer = client.post(RESPONSES, client.body(input=asked, temperature=0, max_output_tokens=ENOUGH)).require(200)
        response = answer.json()
        try:
            require_shape(response)
        except CheckFailed as exc:
            raise answer.failure(str(exc)) from exc
        if response["status"] not in ("completed", "incomplete"):
            raise answer.failure(f"the status of an answer that is there is {response['status']!r}")
        if (response["status"] == "incomplete") != bool(response.get("incomplete_details")):
            raise answer.failure(f"status {response['status']!r} and incomplete_details {response.get('incomplete_details')!r}")
        if response.get("error"):
            raise answer.failure(f"an answer that is there has the error {response['error']!r}")
        check.equal("model", response["model"], client.model)


@pytest.mark.check(
    "server.responses.every-field",
    title="A response has every field that the reference requires, null where there is nothing to say",
    needs=("responses", "declared:responses"),
    source="OpenAI API reference: required fields of Response and OutputTextContent (openapi.yaml of 2026-08-21)",
    covers="X01",
    fault="response-fields-left-out",
)
def test_a_response_has_every_required_field(client, check):
    response = respond(client, input=SAID, max_output_tokens=ENOUGH)
    if found := lacking(response):
        raise CheckFailed(f"a response lacks what the reference requires: {', '.join(found)}")
    check.observe("required fields that are there", len(response))


@pytest.mark.check(
    "server.responses.events",
    title="The events of a stream come in their order: each item and each part is begun, written and ended",
    needs="responses",
    source="OpenAI API reference: streaming events of responses (openapi.yaml of 2026-08-21); ogx #5309, vllm #37071",
    covers="X02",
    fault="part-done-left-out",
)
def test_events_come_in_order(client, check):
    for asked in QUESTIONS:
        events = streamed_response(client, input=asked, max_output_tokens=ENOUGH)
        told = Told.by(events)
        require_shape(told.last)
        if said_by(told.last) and not any(text for _, text in told.texts()):
            raise CheckFailed("the last event has a text that no event before it told of")
        check.observe(f"events for {asked!r}", len(events))


@pytest.mark.check(
    "server.responses.sequence",
    title="Every event of a stream has a sequence_number, greater than that of the one before",
    needs="responses",
    source="OpenAI API reference: sequence_number (openapi.yaml of 2026-08-21); litellm #28899, llama.cpp #24957, mlx-vlm #494",
    covers="X03",
    fault="sequence-repeats",
)
def test_events_are_numbered(client, check):
    events = streamed_response(client, input=SAID, max_output_tokens=ENOUGH)
    before = -1
    for event in events:
        try:
            number = count(part(event, "sequence_number"), "sequence_number")
        except CheckFailed as exc:
            raise CheckFailed(f"{event.get('type')}: {exc}") from exc
        if number <= before:
            raise CheckFailed(f"{event.get('type')} has the sequence_number {number}, the event before it {before}")
        before = number
    check.observe("events in a strict order", len(events))


@pytest.mark.check(
    "server.responses.pieces",
    title="The deltas of a stream, what is told as done, and the final response are one text",
    needs="responses",
    source="OpenAI API reference: streaming events of responses (openapi.yaml of 2026-08-21); ogx #5309, vllm #37071",
    covers="X04",
    fault="response-delta-lost",
)
def test_the_pieces_make_the_text(client, check):
    seen = 0
    for asked in (*QUESTIONS, "repeat: Grüße, 世界!"):
        told = Told.by(streamed_response(client, input=asked, max_output_tokens=ENOUGH))
        for name, texts in told.texts():
            if len(set(texts.values())) != 1:
                raise CheckFailed(f"{name} is told in several ways: {texts}")
            seen += 1
    if not seen:
        raise Inconclusive("no stream told of a text")
    check.observe("texts that are told alike", seen)


def cut(client):
    """A question and its response that `LEAST` tokens cut: with more of them, it is longer."""
    for asked in (REPEATED, *OPENINGS):
        short, long = (respond(client, input=asked, max_output_tokens=limit) for limit in (LEAST, 4 * LEAST))
        counts = [counts_of(one) or (0, 0) for one in (short, long)]
        if counts[0][1] > LEAST:
            raise CheckFailed(f"max_output_tokens is {LEAST}, and the answer has {counts[0][1]} tokens")
        if counts[1][1] > counts[0][1] or len(said_by(long)) > len(said_by(short)):
            return asked, short
    raise Inconclusive(f"every answer ended by itself before {LEAST} tokens")


@pytest.mark.check(
    "server.responses.cut",
    title="A response that max_output_tokens cuts is incomplete and says why, whole or streamed",
    needs="responses",
    source="OpenAI API reference: status, incomplete_details.reason (openapi.yaml of 2026-08-21)",
    covers="X06",
    fault="cut-response-says-completed",
)
def test_a_cut_response_says_so(client, check):
    asked, short = cut(client)
    streamed = Told.by(streamed_response(client, input=asked, max_output_tokens=LEAST)).last
    for way, response in (("whole", short), ("streamed", streamed)):
        check.equal(f"status of a cut response, {way}", str(response.get("status")), "incomplete")
        reason = (response.get("incomplete_details") or {}).get("reason")
        check.equal(f"incomplete_details.reason, {way}", str(reason), "max_output_tokens")


@pytest.mark.check(
    "server.responses.cut-event",
    title="The stream of a response that was cut ends with response.incomplete, not with response.completed",
    needs=("responses", "declared:responses"),
    source="OpenAI API reference: response.incomplete (openapi.yaml of 2026-08-21)",
    covers="X06",
    fault="cut-response-ends-completed",
)
def test_a_cut_stream_ends_as_incomplete(client, check):
    asked, _ = cut(client)
    told = Told.by(streamed_response(client, input=asked, max_output_tokens=LEAST))
    check.equal("the last event of a response that was cut", told.ended, "response.incomplete")


@pytest.mark.check(
    "server.responses.previous",
    title="A previous_response_id is honoured or refused, never passed over in silence",
    needs="responses",
    source="OpenAI API reference: previous_response_id (openapi.yaml of 2026-08-21)",
    covers="X07",
    fault="previous-response-ignored",
)
def test_the_previous_response_counts(client, check):
    """Honoured, the conversation so far is part of the input: it has more tokens than what is asked now has alone."""
    unknown = client.post(RESPONSES, body(client, previous_response_id="resp_00000000000000000000000000000000"))
    require_refused(unknown, "a previous_response_id that nobody gave")
    first = respond(client, input=REPEATED, max_output_tokens=ENOUGH)
    after = client.post(RESPONSES, body(client, previous_response_id=part(first, "id")))
    if 400 <= after.status < 500:
        check.observe("going on from a response", f"refused with {after.status}")
        return
    went_on, alone = (counts_of(one) for one in (after.require(200).json(), respond(client, input=SAID, max_output_tokens=LEAST)))
    if went_on is None or alone is None:
        raise Inconclusive("a response went on from another, and no usage tells whether that was read")
    if went_on[0] <= alone[0]:
        raise after.failure(f"with previous_response_id the input has {went_on[0]} tokens, without it {alone[0]}: it is not read")
    check.observe("input tokens that the conversation so far adds", went_on[0] - alone[0])


def body(client, **fields):
    return client.body(input=SAID, temperature=0, max_output_tokens=LEAST, **fields)


@pytest.mark.check(
    "server.responses.not-stored",
    title="What the client forbids to store (store: false) can be neither fetched nor gone on from",
    needs="responses",
    source="OpenAI API reference: store (openapi.yaml of 2026-08-21)",
    covers="X07",
    fault="stores-anyway",
)
def test_nothing_is_stored_against_the_clients_will(client, check):
    answer = client.post(RESPONSES, body(client, store=False))
    if 400 <= answer.status < 500:
        check.observe("store: false", f"refused with {answer.status}")
        return
    named = part(answer.require(200).json(), "id")
    for what, found in (
        ("fetched", client.get(f"{RESPONSES}/{named}")),
        ("gone on from", client.post(RESPONSES, body(client, previous_response_id=named))),
    ):
        if not 400 <= found.status < 500:
            raise found.failure(f"a response that was not to be stored can be {what}: answered {found.status}")
    check.observe("a response that was not to be stored", "is not there")


@pytest.mark.check(
    "server.responses.instructions",
    title="Instructions are part of what the model reads",
    needs="responses",
    source="OpenAI API reference: instructions (openapi.yaml of 2026-08-21)",
    covers="X08",
    fault="instructions-ignored",
)
def test_instructions_are_read(client, check):
    calls = [partial(respond, client, input=SAID, max_output_tokens=LEAST, instructions=text) for text in ("Be brief.", LONG)]
    short, long = map(counts_of, together(calls))
    if short is None or long is None:
        raise Inconclusive("no usage tells whether instructions are read")
    if long[0] <= short[0]:
        raise CheckFailed(
            f"instructions of 9 characters make an input of {short[0]} tokens, of {len(LONG)} one of {long[0]}: they are not read"
        )
    check.observe("input tokens that longer instructions add", long[0] - short[0])


LONG = "Be brief, and answer in English. " * 4


@pytest.mark.check(
    "server.responses.parts",
    title="An answer that is sent back is read whole: each part of its text, and a refusal does no harm",
    needs=("responses", "declared:responses"),
    source="OpenAI API reference: OutputMessage.content, a list of texts and refusals (openapi.yaml of 2026-08-21)",
    covers="X08",
    fault="response-first-part-only",
)
def test_each_part_of_an_earlier_answer_is_read(client, check):
    """Told by the count of what was read; a refusal is read, or refused in words, and is no breakdown."""
    parts = [{"type": "output_text", "text": text, "annotations": []} for text in ("golden", LONG)]
    calls = [partial(respond, client, input=conversation(parts[:count]), max_output_tokens=LEAST) for count in (1, 2)]
    one, both = map(counts_of, together(calls))
    if one is None or both is None:
        raise Inconclusive("no usage tells whether each part of an earlier answer is read")
    if both[0] <= one[0]:
        raise CheckFailed(
            f"an earlier answer of one part makes an input of {one[0]} tokens, with a second part of {len(LONG)} characters "
            f"one of {both[0]}: the second part is not read"
        )
    refusal = [{"type": "refusal", "refusal": "I cannot do that."}]
    answer = client.post(RESPONSES, client.body(input=conversation(refusal), temperature=0, max_output_tokens=LEAST))
    read = require_no_breakdown(answer, "an earlier answer that was a refusal")
    check.observe("input tokens that the second part adds", both[0] - one[0])
    check.observe("an earlier answer that was a refusal", "answered" if read else f"refused with {answer.status}")


def conversation(parts):
    """A question, an answer of these parts in the form in which it came, and another question."""
    earlier = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": parts}
    return [{"role": "user", "content": REPEATED}, earlier, {"role": "user", "content": SAID}]


COLOURS = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}, "level": {"enum": [1, 22]}},
    "required": ["colour", "level"],
    "additionalProperties": False,
}
LAMP = {"type": "function", "name": "set_lamp", "description": "Set the lamp", "parameters": COLOURS, "strict": True}
CALLING = {
    "tools": [LAMP],
    "parallel_tool_calls": False,  # a model that has to call may go on calling
    "max_output_tokens": ENOUGH,
}
CHOICES = {"required": "required", "named": {"type": "function", "name": "set_lamp"}}


def require_call(calls, way):
    """CheckFailed unless the function that was offered is called, with arguments that obey its schema."""
    if [call.name for call in calls] != ["set_lamp"]:
        raise CheckFailed(f"a call of set_lamp alone was required, {way}, and called is: {[call.name for call in calls]}")
    if wrong := next(jsonschema.Draft202012Validator(COLOURS).iter_errors(calls[0].read()), None):
        raise CheckFailed(
            f"the arguments of set_lamp break its schema, {way} ({wrong.message[:120]}): {calls[0].arguments[:200]!r}"
        )


@pytest.mark.check(
    "server.responses.calls",
    title="A call of a function is an item of the output; streamed, it is added, written and done, and told alike each time",
    needs=("responses", "extension:response_calls"),
    source="OpenAI API reference: FunctionToolCall, response.function_call_arguments.done (openapi.yaml of 2026-08-21)",
    covers="X05",
    fault="call-arguments-lost",
)
def test_a_call_of_a_function_is_an_item(client, check):
    """Deltas of the arguments are not demanded: models of OpenAI itself send them whole, in the event that ends them."""
    asked = [{"input": SAID, "tool_choice": choice, **CALLING} for choice in CHOICES.values()]
    calls = [partial(way, client, **fields) for fields in asked for way in (respond, streamed_response)]
    answers = iter(together(calls))
    seen = 0
    for choice in CHOICES:
        whole, told = next(answers), Told.by(next(answers))
        for way, response in ((f"{choice}, whole", whole), (f"{choice}, streamed", told.last)):
            if response.get("status") == "incomplete":
                continue  # cut, so that arguments need not be whole
            require_call(calls_in(response), way)
            require_shape(response)
            seen += 1
        whole_calls = () if told.last.get("status") == "incomplete" else told.calls()
        for name, what, told_as in ((name, what, ways) for name, found in whole_calls for what, ways in found.items()):
            if len(set(told_as.values())) != 1:
                raise CheckFailed(f"{what} of {name}, {choice}, is told in several ways: {told_as}")
    if not seen:
        raise Inconclusive(f"every answer was cut at {ENOUGH} tokens")
    check.observe("calls that are whole and told alike", seen, n=2 * len(CHOICES))


def message(role, text):
    """An answer of before is sent back in the form in which it came."""
    if role == "user":
        return {"role": role, "content": text}
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "status": "completed", "role": role, "content": content}


TURNS = (("user", "repeat: golden"), ("assistant", "golden"), ("user", SAID))
CASES = {
    "text": (SAID, TURNS[-1:]),
    "longer-text": (REPEATED, (("user", REPEATED),)),
    "conversation": ([message(*turn) for turn in TURNS], TURNS),
}


@pytest.mark.parametrize("case", ["text", "longer-text", "conversation"])
@pytest.mark.check(
    "server.responses.same-as-chat.{case}",
    title="A response says what a chat says to the same messages, and counts the same: {case}",
    needs=("responses", "chat"),
    source="OpenAI API reference: both are answers of one model to one conversation (openapi.yaml of 2026-08-21)",
    covers="X08",
    fault="response-reads-more",
)
def test_a_response_is_the_chats_answer(case, client, check):
    """Greedy; of three times each, one text that both give is enough against a near-tie."""
    asked, turns = CASES[case]
    messages = [{"role": role, "content": text} for role, text in turns]
    chats = together([partial(chat, client, messages=messages, max_tokens=ENOUGH)] * 3)
    responses = together([partial(respond, client, input=asked, max_output_tokens=ENOUGH)] * 3)
    said = {part(one, "choices", 0, "message").get("content") or "": one for one in chats}
    both = [(one, said[said_by(one)]) for one in responses if said_by(one) in said]
    if not both:
        raise CheckFailed(f"the response says {said_by(responses[0])!r}, the chat {next(iter(said))!r}")
    response, spoken = both[0]
    check.observe("said by both", said_by(response))
    if (counts := counts_of(response)) is None or not spoken.get("usage"):
        raise Inconclusive("both say the same, and usage does not tell whether they count the same")
    check.equal("input_tokens of the response", counts[0], part(spoken, "usage", "prompt_tokens"))
    check.equal("output_tokens of the response", counts[1], part(spoken, "usage", "completion_tokens"))
