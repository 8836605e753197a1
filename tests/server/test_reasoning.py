"""A model's thoughts stand apart from what it answers: in whole answers as in streams, cut or not, with a schema or without."""

from __future__ import annotations

import json
from functools import partial

import jsonschema
import pytest

from hallmark.client.asking import CHATS, together
from hallmark.client.text import count, part
from hallmark.client.thinking import BUDGET, OFF, think, think_all, think_streamed
from hallmark.core.errors import CheckFailed, Inconclusive

pytestmark = pytest.mark.server

ENOUGH = 384
"""Tokens by which most models have come from their thoughts to an answer to what is asked here."""
QUESTIONS = ("a", "Say yes.", "repeat: golden lamps", "What is 12+34?", "Name a colour.")
"""The first is the one by which a server is found to reason."""


def asking(question):
    return {"messages": [{"role": "user", "content": question}], "max_tokens": ENOUGH}


def in_both_ways(client, questions=QUESTIONS, *, times=1, **fields):
    """Question -> (whole answers, streamed ones), all asked for at the same time."""
    ways = (think, think_streamed)
    calls = [partial(way, client, **asking(one), **fields) for one in questions for way in ways for _ in range(times)]
    found = iter(together(calls))
    return {one: tuple([next(found) for _ in range(times)] for _ in ways) for one in questions}


@pytest.mark.check(
    "server.reasoning.no-marks",
    title="No mark of a thought stands in the content, whole or streamed",
    needs="reasoning",
    source="vLLM: reasoning outputs (v0.32, 2026-08); vllm #45687, #46042, #39885; FastFlowLM #739",
    covers="R01",
    fault="think-mark-in-content",
)
def test_no_marks_in_the_content(client, check):
    answers = in_both_ways(client)
    for question, ways in answers.items():
        for way, (answer,) in zip(("whole", "streamed"), ways, strict=True):
            if answer.marks:
                raise CheckFailed(
                    f"asked {question!r}, {way}, the content has {answer.marks[0]!r} in it: {answer.content[:200]!r}"
                )
    check.observe("answers without marks in their content", 2 * len(answers))


@pytest.mark.check(
    "server.reasoning.same-split",
    title="A stream parts thought and content where the whole answer does",
    needs="reasoning",
    source="vLLM: reasoning outputs (v0.32, 2026-08); kekzl/imp #793",
    covers="R02",
    fault="stream-thoughts-are-content",
)
def test_both_ways_part_alike(client, check):
    """Each twice: where whole answers differ from each other, or streams, nothing is said of how they are parted."""
    alike = 0
    answers = in_both_ways(client, times=2)
    if not any(one.thought.strip() for ways in answers.values() for way in ways for one in way):
        raise CheckFailed(f"none of the answers to {len(answers)} questions tells of a thought")
    for question, (wholes, streams) in answers.items():
        whole, stream = {one.parts for one in wholes}, {one.parts for one in streams}
        if whole & stream:
            alike += 1
        elif len(whole) == len(stream) == 1:
            raise CheckFailed(f"{question!r} is answered by {told(*whole)}; streamed, by {told(*stream)}")
    if not alike:
        raise Inconclusive("no greedy answer was given twice, so how they are parted cannot be compared")
    check.observe("questions that both ways part alike", alike, n=len(answers))


def told(parts):
    thought, content = parts
    return f"the thought {thought[:120]!r} and the content {content[:120]!r}"


@pytest.mark.check(
    "server.reasoning.off",
    title="Where thinking is turned off there is no thought, and the answer is the content",
    needs=("reasoning", "extension:thinking_off"),
    source="vLLM: chat_template_kwargs (v0.32, 2026-08); vllm #40816; SGLang tests: reasoning off (2026)",
    covers="R03",
    fault="thinking-off-ignored",
)
def test_thinking_can_be_turned_off(client, check):
    for question, ways in in_both_ways(client, **OFF).items():
        for way, (answer,) in zip(("whole", "streamed"), ways, strict=True):
            if answer.thought.strip():
                raise CheckFailed(f"thinking is off, and {question!r} is answered, {way}, by {told(answer.parts)}")
            if answer.marks:
                raise CheckFailed(f"thinking is off, and the content, {way}, has the mark {answer.marks[0]!r} in it")
            check.equal("tokens of thought that are counted", answer.thought_tokens or 0, 0)
    check.observe("answers without a thought", 2 * len(QUESTIONS))


LEAST_THOUGHT = 16
"""Tokens of a thought that a half and a quarter of it are told apart from."""
LAST_WORDS = 64
"""Tokens by which an engine may end a thought whose budget is spent, in words of its own."""


@pytest.mark.check(
    "server.reasoning.budget",
    title="A budget for thinking ends the thought, whole or streamed: at a smaller one it is shorter",
    needs=("reasoning", "extension:thinking_budget"),
    source="vLLM's tests of thinking_token_budget (v0.32, 2026-08); vllm #39573, #54906",
    covers="R05",
    fault="thinking-budget-ignored",
)
def test_a_budget_ends_the_thought(client, tokenizer, check):
    """Of the longest thought that is there without a budget, a quarter and a half are granted; tokens are the tokenizer's.

    What goes beyond both budgets alike are words by which the engine ends a thought. Where a budget is ignored, the thought goes
    beyond the smaller one by more.
    """
    free = together([partial(think, client, **asking(question)) for question in QUESTIONS])
    lengths = [tokenizer.count(answer.thought) for answer in free]
    longest = max(lengths)
    if longest < LEAST_THOUGHT:
        raise Inconclusive(f"without a budget the longest thought has {longest} tokens, too few to be halved")
    fields = asking(QUESTIONS[lengths.index(longest)])
    budgets = small, large = longest // 4, longest // 2
    ways = {"whole": think, "streamed": think_streamed}
    calls = [partial(way, client, **fields, **{BUDGET: budget}) for way in ways.values() for budget in budgets]
    found = iter(together(calls))
    for way in ways:
        took = [tokenizer.count(next(found).thought) for _ in budgets]
        told = f"{took[0]} and {took[1]} tokens at a {BUDGET} of {small} and {large}, and {longest} without one"
        beyond = [tokens - budget for tokens, budget in zip(took, budgets, strict=True)]
        if beyond[0] > max(beyond[1], 0) + (large - small) / 2 or max(beyond) > LAST_WORDS:
            raise CheckFailed(f"the budget does not end the thought, {way}: it has {told}")
        check.observe(f"the thought, {way}", told)


CUTS = (1, 4, 8, 24)


@pytest.mark.check(
    "server.reasoning.cut",
    title="An answer that is cut within its thought says length, and what was thought by then is no content",
    needs="reasoning",
    source="OpenAI API reference: finish_reason length (openapi.yaml of 2026-08-21); FastFlowLM #739, vllm #39091, lm-eval #3244",
    covers="R04",
    fault="cut-thought-is-content",
)
def test_a_cut_thought_is_a_thought(client, check):
    fields = asking(QUESTIONS[2])
    whole = think(client, **fields).thought.strip()
    if not whole:
        raise Inconclusive("the answer has no thought that could be cut")
    calls = [partial(way, client, **{**fields, "max_tokens": limit}) for limit in CUTS for way in (think, think_streamed)]
    answers = together(calls)
    cut = []
    for limit, way, answer in zip((c for c in CUTS for _ in "ab"), ("whole", "streamed") * len(CUTS), answers, strict=True):
        thought, content = answer.parts
        if len(thought) >= len(whole):
            continue  # it was over by then
        if content:
            raise CheckFailed(f"cut within its thought at {limit} tokens, {way}, the content is {content[:120]!r}")
        if answer.finish_reason != "length":
            raise CheckFailed(f"cut within its thought at {limit} tokens, {way}, finish_reason is {answer.finish_reason!r}")
        cut.append(answer)
    if not cut:
        raise Inconclusive(f"every thought was over before {CUTS[0]} tokens")
    if len(cut) == len(answers) and not all(one.thought.strip() for one in answers[-2:]):
        raise CheckFailed(f"cut within its thought at {CUTS[-1]} tokens, the answer tells nothing of what was thought by then")
    check.observe("answers that were cut within their thought", len(cut))


@pytest.mark.check(
    "server.reasoning.history",
    title="A conversation may hold the thoughts of before, as they came, and loses nothing by it",
    needs="reasoning",
    source="vLLM: reasoning outputs (v0.32, 2026-08); DeepSeek API: multi-round conversation",
    covers="R06",
    fault="history-thoughts-refused",
)
def test_thoughts_may_be_sent_back(client, check):
    fields = asking(QUESTIONS[2])
    answer = think(client, **fields)
    if not answer.named:
        raise Inconclusive("the answer has no thought that could be sent back")
    said = {"role": "assistant", "content": answer.content or "golden lamps"}
    last = {"role": "user", "content": QUESTIONS[1]}

    def counted(message):
        messages = [*fields["messages"], message, last]
        sent = client.post(CHATS, client.body(messages=messages, max_tokens=1, temperature=0))
        if sent.status != 200:
            raise sent.failure(f"a conversation with {', '.join(message)} of what was said is answered {sent.status}")
        return count(part(sent.json(), "usage", "prompt_tokens"), "prompt_tokens")

    without, with_thought = counted(said), counted({**said, answer.named: answer.thought})
    check.at_least("prompt_tokens of a conversation with its thoughts, beside one without", with_thought, without)


@pytest.mark.check(
    "server.reasoning.tokens",
    title="Tokens of thought are counted where there is a thought: at most those of the answer, the same streamed",
    needs=("reasoning", "extension:reasoning_tokens"),
    source="OpenAI API reference: completion_tokens_details.reasoning_tokens (openapi.yaml of 2026-08-21); vllm #50895",
    covers="U06",
    fault="reasoning-tokens-more",
)
def test_tokens_of_thought_are_counted(client, check):
    alike = 0
    for question, (wholes, streams) in in_both_ways(client).items():
        for answer in (*wholes, *streams):
            of_thought, of_all = answer.thought_tokens or 0, part(answer.usage, "completion_tokens")
            if of_thought > of_all:
                raise CheckFailed(
                    f"of {question!r}, {of_thought} tokens of thought are counted, and {of_all} of the whole answer"
                )
            if answer.thought.strip() and not of_thought:
                raise CheckFailed(f"of {question!r}, no tokens of thought are counted, and it is {answer.thought[:120]!r}")
        if wholes[0].parts == streams[0].parts:
            alike += 1
            check.equal(
                f"tokens of thought about {question!r}, streamed", streams[0].thought_tokens or 0, wholes[0].thought_tokens or 0
            )
    if not alike:
        raise Inconclusive("no greedy answer was the same whole and streamed, so their counts cannot be compared")


SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}},
    "required": ["colour"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "lamp", "schema": SCHEMA}}


def obeys(text):
    try:
        return jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(text))
    except ValueError:
        return False


@pytest.mark.check(
    "server.reasoning.schema",
    title="A schema binds the content of each choice, and no thought",
    needs=("reasoning", "structured_output"),
    source="OpenAI API reference: response_format (openapi.yaml of 2026-08-21); SGLang tests: reasoning and JSON schema (2026)",
    covers="J09",
    fault="thoughts-constrained",
)
def test_a_schema_binds_the_content_alone(client, check):
    fields = {**asking(QUESTIONS[4]), "response_format": FORM}
    several = {**fields, "n": 2, "temperature": 1, "seed": 5}  # engines refuse several greedy choices, which would be alike
    calls = [lambda: [think(client, **fields)], lambda: [think_streamed(client, **fields)], lambda: think_all(client, **several)]
    answers = [answer for found in together(calls) for answer in found]
    ended = [answer for answer in answers if answer.finish_reason != "length"]
    for answer in answers:
        if obeys(answer.thought):
            raise CheckFailed(
                f"the schema binds the thought: it is {answer.thought[:200]!r}, the content {answer.content[:200]!r}"
            )
    for answer in ended:
        if not obeys(answer.content):
            raise CheckFailed(f"the content does not obey the schema: {answer.content[:200]!r}")
    if not ended:
        raise Inconclusive(f"no answer came to its end within {ENOUGH} tokens")
    check.observe("answers whose content obeys the schema", len(ended), n=len(answers))
    check.observe("of them, with a thought", sum(bool(answer.thought.strip()) for answer in ended))
