"""What was noticed in every answer that the checks before have got, whatever they asked for: no request is made for it."""

from __future__ import annotations

from functools import partial

import pytest

from hallmark.client.asking import PATHS, ask, saying, streamed, together
from hallmark.core.errors import Inconclusive
from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict

pytestmark = pytest.mark.server

FEW = 8
"""Where so few answers have been seen, as in a run of these checks alone, a few requests are made."""
TEXTS = ("12+34=", "repeat: Grüße, 世界!", "Once upon a time")


def looked_at(client, offers, every_answer):
    """Answers, of which there are some."""
    if every_answer.answers < FEW:
        for endpoint in PATHS:
            if offers.has(endpoint):
                asked = [{**saying(endpoint, text), "max_tokens": 16} for text in TEXTS]
                together([partial(ask, client, endpoint, **fields) for fields in asked])
                together([partial(streamed, client, PATHS[endpoint], **fields) for fields in asked])
    if not every_answer.answers:
        raise Inconclusive("no answer has been seen")
    return every_answer


def told(check, watch, detector):
    """Evidence of what a detector found; what may be the model's own doing is noted."""
    found, noted = watch.found[detector], watch.noted[detector]
    evidence = Evidence(
        name="answers in which it is wrong",
        value=found.count,
        n=watch.answers,
        target=Target(relation="==", limit=0),
        verdict=Verdict.FAIL if found.count else Verdict.PASS,
        reason=f"{found.count} of {watch.answers} answers: {found.examples[0]}" if found.count else "",
        detail={"examples": found.examples},
    )
    check.add(evidence)
    if noted.count:
        name = "answers that may be the model's own doing"
        check.observe(name, noted.count, n=watch.answers, detail={"examples": noted.examples})


@pytest.mark.check(
    "server.every-answer.created",
    title="Every answer that says when it was created says it in whole seconds",
    source="OpenAI API, 2026-08-21: created, a Unix timestamp in seconds",
    covers="P01",
    fault="created-in-ms",
    last=True,
)
def test_created_is_in_seconds(client, offers, every_answer, check):
    told(check, looked_at(client, offers, every_answer), "created")


@pytest.mark.check(
    "server.every-answer.ids",
    title="No answer of the whole run has the id of another",
    source="OpenAI API, 2026-08-21: id, a unique identifier; vllm #27723",
    covers="P14",
    fault="same-ids",
    last=True,
)
def test_no_id_comes_again(client, offers, every_answer, check):
    """But for requests that name themselves: some servers make that the answer's id."""
    told(check, looked_at(client, offers, every_answer), "ids")


@pytest.mark.check(
    "server.every-answer.usage",
    title="The counts of every answer add up",
    source="OpenAI API, 2026-08-21: usage",
    covers=["U01", "U05"],
    fault="total-off",
    last=True,
)
def test_counts_add_up(client, offers, every_answer, check):
    told(check, looked_at(client, offers, every_answer), "usage")


@pytest.mark.check(
    "server.every-answer.logprobs",
    title="Every log-probability that is told is a number of at most 0",
    source="OpenAI API, 2026-08-21: logprobs; vllm #14126, #13035, #22881",
    covers=["I12", "L02"],
    fault="logprobs-now-and-then-null",
    last=True,
)
def test_log_probabilities_are_numbers(client, offers, every_answer, check):
    told(check, looked_at(client, offers, every_answer), "logprobs")


@pytest.mark.check(
    "server.every-answer.marks",
    title="No answer has a special token of the model in its text",
    source="vllm #46042, #47903; OpenAI API, 2026-08-21: message.content",
    covers="T10",
    fault="end-mark-leaks",
    last=True,
)
def test_no_special_token_is_text(client, offers, every_answer, tokenizer, check):
    """A mark that stands in the request, or that a model can have spelled out, is noted."""
    watch = looked_at(client, offers, every_answer)
    watch.judge_marks(tokenizer.special_texts())
    told(check, watch, "marks")


@pytest.mark.check(
    "server.every-answer.repetition",
    title="No answer is one character again and again where the same request was answered otherwise",
    source="vllm #14126, #13035: '!!!!' of a computation that went wrong",
    covers="I12",
    fault="one-character-again",
    last=True,
)
def test_no_answer_repeats_one_character(client, offers, every_answer, check):
    """Of greedy requests whose fields leave the model free. That a model repeats itself by its own choice is noted."""
    told(check, looked_at(client, offers, every_answer), "repetition")


@pytest.mark.check(
    "server.every-answer.characters",
    title="No answer has broken characters where its tokens, or the same request, give whole ones",
    source="OpenAI API, 2026-08-21: text; ai-dynamo/dynamo #12630",
    covers="P10",
    fault="half-characters",
    last=True,
)
def test_no_character_is_broken(client, offers, every_answer, check):
    """A model of bytes may break off within a character, or draw half of one: that is noted."""
    told(check, looked_at(client, offers, every_answer), "characters")
