"""Functions that the model may call: whether it does follows from `tool_choice`, and a call is whole, valid and told as such.

The arguments here have few values each, so that a forced call of any model ends within a few tokens.
"""

from __future__ import annotations

from functools import partial

import jsonschema
import pytest

from hallmark.client.asking import together
from hallmark.client.canary import CHAT, Canary
from hallmark.client.refusal import require_no_breakdown, require_refused
from hallmark.client.text import finish_reason, joined_text, part
from hallmark.client.tool_calls import calls_of, streamed_calls
from hallmark.core.errors import CheckFailed, Inconclusive

pytestmark = pytest.mark.server

ASKED = [{"role": "user", "content": "json: Ada 31"}]
LONG_ENOUGH = 160


def object_of(**properties):
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def function(name, parameters):
    return {"type": "function", "function": {"name": name, "description": f"{name} at once", "parameters": parameters}}


PARAMETERS = {
    "set_lamp": object_of(colour={"enum": ["red", "blue"]}, level={"enum": [1, 22]}),
    "tell_time": object_of(zone={"enum": ["UTC", "CET"]}),
}
TOOLS = [function(name, parameters) for name, parameters in PARAMETERS.items()]
NAMED = {"type": "function", "function": {"name": "set_lamp"}}
# One call alone: a model that has to call may go on calling.
ONE_CALL = {"tool_choice": "required", "parallel_tool_calls": False}
CHOICES = ({"tool_choice": NAMED}, ONE_CALL)
SAID = {"stop", "length"}
# What models write around calls, and parsers have to take off.
MARKS = ("<tool_call", "</tool_call", "<|tool", "[TOOL_CALLS]", "<function", "<|python_tag|>", "functools[")


def body_for(client, **fields):
    return client.body(**{"messages": ASKED, "tools": TOOLS, "temperature": 0, "max_tokens": LONG_ENOUGH, **fields})


def called(answer, *, parameters=PARAMETERS):
    """(calls, finish_reason, content) of an answer; CheckFailed for a call that is no tool's, or breaks its schema."""
    choice = part(answer.require(200).json(), "choices", 0)
    message, why = part(choice, "message"), part(choice, "finish_reason")
    try:
        calls = calls_of(message)
        if why != "length":
            for call in calls:
                require_valid(call, parameters)
    except CheckFailed as exc:
        raise answer.failure(str(exc)) from exc
    return calls, why, message.get("content") or ""


def require_valid(call, parameters=PARAMETERS):
    if call.name not in parameters:
        raise CheckFailed(f"{call.name!r} is called, which is none of {', '.join(parameters)}")
    value = call.read()
    wrong = next(jsonschema.Draft202012Validator(parameters[call.name]).iter_errors(value), None)
    if wrong:
        raise CheckFailed(f"the arguments of {call.name} break its schema ({wrong.message[:120]}): {call.arguments[:200]!r}")


def require_clean(answer, content):
    if found := [mark for mark in MARKS if mark in content]:
        raise answer.failure(f"the content has marks of a call in it: {found[0]!r}: {content[:200]!r}")


@pytest.mark.check(
    "server.tools.named",
    title="A function that the request names is called, with arguments that obey its schema",
    needs="tools",
    source="OpenAI API reference: tool_choice (openapi.yaml of 2026-08-21); MoonshotAI K2-Vendor-Verifier (2026)",
    covers=["T01", "T04", "T10"],
    fault="tool-arguments-invalid",
)
def test_a_named_function_is_called(client, check):
    answer = client.post(CHAT, body_for(client, tool_choice=NAMED))
    calls, why, content = called(answer)
    if why == "length":
        raise Inconclusive(f"the call was cut at {LONG_ENOUGH} tokens")
    if [call.name for call in calls] != ["set_lamp"]:
        raise answer.failure(f"set_lamp was named, and {[call.name for call in calls]} was called")
    require_clean(answer, content)
    if why not in ("stop", "tool_calls"):
        raise answer.failure(f"finish_reason is {why!r}; of a call that the request names it is 'stop' or 'tool_calls'")
    check.observe("arguments", calls[0].arguments, detail={"finish_reason": why})


@pytest.mark.check(
    "server.tools.required",
    title="Where a call is required there is one, of a function that was offered, and finish_reason is tool_calls",
    needs="tools",
    source="OpenAI API reference: tool_choice required, finish_reason (openapi.yaml of 2026-08-21); vLLM issue 25054 (2025)",
    covers=["T01", "T04", "T10"],
    fault="tool-choice-ignored",
)
def test_a_required_call_is_made(client, check):
    answer = client.post(CHAT, body_for(client, **ONE_CALL))
    calls, why, content = called(answer)
    if why == "length":
        raise Inconclusive(f"the calls were cut at {LONG_ENOUGH} tokens")
    if not calls:
        raise answer.failure(f"a call was required, and it said {content[:200]!r}")
    if why != "tool_calls":
        raise answer.failure(f"finish_reason of a required call is {why!r}, not 'tool_calls'")
    require_clean(answer, content)
    check.observe("calls", ", ".join(call.name for call in calls))


@pytest.mark.check(
    "server.tools.none",
    title="Where no call is wanted there is none, whole or streamed",
    needs="tools",
    source="OpenAI API reference: tool_choice none (openapi.yaml of 2026-08-21)",
    covers="T04",
    fault="tool-choice-none-ignored",
)
def test_no_call_is_made_where_none_is_wanted(client, check):
    body = body_for(client, tool_choice="none")
    answer = client.post(CHAT, body)
    calls, why, content = called(answer)
    events = list(client.stream(CHAT, {**body, "stream": True}))
    if calls or streamed_calls(events):
        raise answer.failure("no call was wanted, and there is one")
    if why not in SAID or finish_reason(events) not in SAID:
        raise answer.failure(f"finish_reason is {why!r}, streamed {finish_reason(events)!r}, where no call was wanted")
    check.observe("said", content[:100])


@pytest.mark.check(
    "server.tools.auto",
    title="Left to the model, finish_reason is tool_calls where it calls, and nothing else where it does not",
    needs="tools",
    source="OpenAI API reference: tool_choice auto, the default with tools (openapi.yaml of 2026-08-21); vLLM issue 9209 (2024)",
    covers=["T04", "T10"],
    fault="tool-finish-always",
)
def test_the_model_decides(client, check):
    for fields in ({"tool_choice": "auto"}, {}):
        answer = client.post(CHAT, body_for(client, **fields))
        calls, why, content = called(answer)
        if why != "length" and bool(calls) != (why == "tool_calls"):
            raise answer.failure(f"{len(calls)} calls, and finish_reason is {why!r}")
        require_clean(answer, content)
        check.observe(f"with {fields or 'the default'}", f"{len(calls)} calls, {why}")


@pytest.mark.check(
    "server.tools.streamed",
    title="The pieces of a streamed call make the call that is answered whole; index, id and name fit",
    needs="tools",
    source="OpenAI API reference: ChatCompletionMessageToolCallChunk (openapi.yaml of 2026-08-21); vLLM issue 10781 (2024)",
    covers=["T02", "T10"],
    fault="tool-pieces-lost",
)
def test_a_streamed_call_is_the_whole_one(client, check):
    for choice in CHOICES:
        body = body_for(client, **choice)
        events = list(client.stream(CHAT, {**body, "stream": True}))
        told, why = streamed_calls(events), finish_reason(events)
        if why == "length":
            raise Inconclusive(f"the call was cut at {LONG_ENOUGH} tokens")
        for call in told:
            require_valid(call)
        answers = [client.post(CHAT, body) for _ in range(2)]  # as in a near-tie, one that agrees is enough
        wholes = [[(call.name, call.read()) for call in called(answer)[0]] for answer in answers]
        if [(call.name, call.read()) for call in told] not in wholes:
            raise answers[0].failure(f"streamed, the calls are {told}, whole {wholes[0]}")
        check.observe(f"calls of a stream ({'named' if choice['tool_choice'] is NAMED else 'required'})", len(told))
        whys = {called(answer)[1] for answer in answers}
        if why not in whys:
            raise answers[0].failure(f"finish_reason of the stream is {why!r}, of the whole answer {whys}")
        if marked := [mark for mark in MARKS if mark in joined_text(events)]:
            raise CheckFailed(f"the streamed content has marks of a call in it: {marked[0]!r}")


@pytest.mark.check(
    "server.tools.cut",
    title="A call that max_tokens cuts says length, and is never passed off as a whole one",
    needs="tools",
    source="OpenAI API reference: finish_reason length (openapi.yaml of 2026-08-21); vLLM issues 53269, 47963 (2026)",
    covers="T03",
    fault="cut-call-says-tool-calls",
)
def test_a_cut_call_says_so(client, check):
    bodies = [
        body_for(client, max_tokens=limit, stream=stream, **choice)
        for choice in CHOICES
        for limit in range(1, 7)
        for stream in (False, True)
    ]
    cut = 0
    for body, (why, calls, told) in zip(bodies, together([partial(ended, client, body) for body in bodies]), strict=True):
        limit = body["max_tokens"]
        if why == "length":
            cut += 1
            continue
        if not calls:
            raise CheckFailed(f"at max_tokens={limit} there is no call, and finish_reason is {why!r}, not 'length'\n{told}")
        for call in calls:
            try:
                require_valid(call)
            except CheckFailed as exc:
                raise CheckFailed(f"at max_tokens={limit} finish_reason is {why!r}, but {exc}\n{told}") from exc
    if not cut:
        raise Inconclusive("no call was cut: each whole one has fewer than 7 tokens")
    check.observe("cut calls that say length", cut, n=len(bodies))


def ended(client, body):
    """(finish_reason, calls, request and answer) of a request, streamed or not."""
    if body["stream"]:
        events = list(client.stream(CHAT, body))
        return finish_reason(events), [] if finish_reason(events) == "length" else streamed_calls(events), f"streamed: {events}"
    answer = client.post(CHAT, body).require(200)
    choice = part(answer.json(), "choices", 0)
    why = part(choice, "finish_reason")
    return why, [] if why == "length" else calls_of(part(choice, "message")), answer.told()


@pytest.mark.check(
    "server.tools.not-parallel",
    title="With parallel_tool_calls false there is one call at most",
    needs="tools",
    source="OpenAI API reference: parallel_tool_calls (openapi.yaml of 2026-08-21); vLLM issues 9451, 26233 (2024, 2025)",
    covers="T05",
    fault="parallel-calls",
)
def test_one_call_at_most(client, check):
    """Sampled, too: a model that would make several must be held to one."""
    asked = [{"temperature": 0}, *({"temperature": 1, "seed": seed} for seed in range(5))]
    calls = [partial(client.post, CHAT, body_for(client, **ONE_CALL, **one)) for one in asked]
    most = 0
    for answer in together(calls):
        made, why, _ = called(answer)
        most = max(most, len(made) if why != "length" else 0)
        if len(made) > 1:
            raise answer.failure(f"parallel_tool_calls is false, and there are {len(made)} calls")
    if not most:
        raise Inconclusive(f"every call was cut at {LONG_ENOUGH} tokens")
    check.observe("calls at most", most, n=len(asked))


@pytest.mark.check(
    "server.tools.ids",
    title="Each call has an id of its own, in one answer and over all",
    needs="tools",
    source="MoonshotAI K2-Vendor-Verifier (2026); vLLM issue 27723 (2025)",
    covers=["P14", "T01"],
    fault="tool-ids-repeat",
)
def test_ids_are_unique(client, check):
    calls = [partial(client.post, CHAT, body_for(client, **choice)) for choice in CHOICES for _ in range(12)]
    ids = []
    for answer in together(calls):
        made, why, _ = called(answer)
        ids += [call.id for call in made] if why != "length" else []
    if len(ids) < 2:
        raise Inconclusive(f"{len(ids)} whole calls show nothing of their ids")
    check.equal("different ids", len(set(ids)), len(ids))


@pytest.mark.check(
    "server.tools.same-again",
    title="The same question gets the same call each time, also from a warm prefix",
    needs="tools",
    source="vLLM tests: tool calls from the prefix cache (v0.32, 2026-08)",
    covers="T08",
    fault="tool-arguments-drift",
)
def test_the_same_call_again(client, check):
    """Greedy, with arguments of few values; as with the canary, one repeat that agrees is enough against a near-tie."""
    texts = []
    for _ in range(4):
        made, _, _ = called(client.post(CHAT, body_for(client, tool_choice=NAMED)))
        texts.append(made[0].arguments if made else "")
    if len(set(texts)) > 2:
        raise CheckFailed(f"the same greedy request was answered by the calls {texts}")
    check.observe("arguments", texts[0], n=len(texts))


@pytest.mark.check(
    "server.tools.references",
    title="A schema with definitions is obeyed, the second time as the first",
    needs="tools",
    source="vLLM tests: definitions in a tool's schema (v0.32, 2026-08)",
    covers="T09",
    fault="tool-definitions-lost",
)
def test_definitions_are_obeyed_twice(client, check):
    lamp = object_of(colour={"enum": ["red", "blue"]})
    parameters = {"light": {**object_of(left={"$ref": "#/$defs/lamp"}, right={"$ref": "#/$defs/lamp"}), "$defs": {"lamp": lamp}}}
    body = body_for(
        client, tools=[function("light", parameters["light"])], tool_choice={"type": "function", "function": {"name": "light"}}
    )
    for which in ("first", "second"):
        answer = client.post(CHAT, body)
        calls, why, _ = called(answer, parameters=parameters)
        if why == "length":
            raise Inconclusive(f"the call was cut at {LONG_ENOUGH} tokens")
        check.equal(f"calls, the {which} time", len(calls), 1)


@pytest.mark.check(
    "server.tools.results",
    title="A conversation with calls and their results is read, all of it",
    needs="tools",
    source="OpenAI API reference: tool messages (openapi.yaml of 2026-08-21)",
    covers="T06",
    fault="tool-results-dropped",
)
def test_results_are_read(client, check):
    """The longer a result, the more tokens the prompt has."""

    def counted(result):
        call = {"id": "call_1", "type": "function", "function": {"name": "tell_time", "arguments": '{"zone": "UTC"}'}}
        made = {"role": "assistant", "content": None, "tool_calls": [call]}
        messages = [*ASKED, made, {"role": "tool", "tool_call_id": "call_1", "content": result}]
        return part(
            client.post(CHAT, body_for(client, messages=messages, max_tokens=1)).require(200).json(), "usage", "prompt_tokens"
        )

    short, long = counted("12:34"), counted("12:34 " * 12)
    if long <= short:
        raise CheckFailed(
            f"a result of 5 characters makes a prompt of {short} tokens, one of 72 a prompt of {long}: it is not read"
        )
    check.observe("tokens that a longer result adds", long - short)


@pytest.mark.check(
    "server.tools.broken",
    title="Tools and choices that are none are refused with a 4xx, and do no harm",
    needs="tools",
    source="OpenAI API reference: tools, tool_choice (openapi.yaml of 2026-08-21); vLLM tests: null tool_choice (v0.32)",
    covers=["T11", "E12"],
    fault="lenient-tools",
)
def test_broken_tools_are_refused(client, check):
    canary = Canary(client, CHAT)
    broken = {
        "a choice of a function that is not offered": {"tool_choice": {"type": "function", "function": {"name": "nobody"}}},
        "an unknown choice": {"tool_choice": "sometimes"},
        "tools that are a text": {"tools": "set_lamp"},
        "a tool that is a number": {"tools": [5]},
        "a function without a name": {"tools": [{"type": "function", "function": {"parameters": {}}}]},
        "a required call without tools": {"tools": None, "tool_choice": "required"},
    }
    bodies = [body_for(client, **fields) for fields in broken.values()]
    for what, answer in zip(broken, together([partial(client.post, CHAT, body) for body in bodies]), strict=True):
        require_refused(answer, what)
    plain = client.post(CHAT, client.body(messages=ASKED, max_tokens=1, tools=None, tool_choice=None))
    if not require_no_breakdown(plain, "tools and tool_choice that are null"):
        raise plain.failure("tools and tool_choice that are null are no tools, and the request is refused")
    check.observe("the same answer after them", canary.same_after("broken tools"), detail={"refused": list(broken)})
