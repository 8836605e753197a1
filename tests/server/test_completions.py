"""/v1/completions answers in the OpenAI form and does what its parameters say."""

from __future__ import annotations

import pytest

from hallmark.client.text import joined_text, last_usage, part

pytestmark = pytest.mark.server

PATH = "/v1/completions"
PROMPT = "12+34="
GREEDY = {"temperature": 0, "max_tokens": 16}


def complete(client, **fields):
    return client.post(PATH, client.body(**{"prompt": PROMPT, **GREEDY, **fields})).require(200).json()


@pytest.mark.check("server.completions")
def test_a_completion_answers_in_the_openai_form(client, check):
    answer = complete(client)
    check.equal("object", part(answer, "object"), "text_completion")
    check.equal("model", part(answer, "model"), client.model)
    check.equal("choices", len(part(answer, "choices")), 1)
    text, reason = part(answer, "choices", 0, "text"), part(answer, "choices", 0, "finish_reason")
    assert isinstance(text, str), f"the text is {text!r}"
    assert text, "an empty completion"
    assert reason in {"stop", "length"}, f"finish_reason is {reason!r}"
    check.observe("text", text, detail={"prompt": PROMPT})


@pytest.mark.check("server.max-tokens")
def test_max_tokens_is_kept(client, check):
    for limit in (1, 5):
        answer = complete(client, max_tokens=limit, ignore_eos=True)
        check.equal(f"completion_tokens at max_tokens={limit}", part(answer, "usage", "completion_tokens"), limit)
        check.equal("finish_reason", part(answer, "choices", 0, "finish_reason"), "length")


@pytest.mark.check("server.stop")
def test_a_stop_sequence_ends_the_text(client, check):
    """Whatever the model says without `stop`, its own second character stops it when asked to."""
    free = part(complete(client, max_tokens=8, ignore_eos=True), "choices", 0, "text")
    assert len(free) >= 2, f"too short to stop within: {free!r}"
    stop = free[1]
    choice = part(complete(client, max_tokens=8, ignore_eos=True, stop=[stop]), "choices", 0)
    check.equal(
        "text up to the stop sequence", part(choice, "text"), free.split(stop)[0], detail={"without stop": free, "stop": stop}
    )
    check.equal("finish_reason", part(choice, "finish_reason"), "stop")


@pytest.mark.check("server.seed")
def test_a_seed_repeats_a_sample(client, check):
    """At temperature 1 one seed gives one text, and among eight seeds there is more than one text."""

    def sample(seed: int) -> str:
        answer = complete(client, prompt="a", temperature=1.0, seed=seed, max_tokens=24, ignore_eos=True)
        return part(answer, "choices", 0, "text")

    once, again = [sample(seed) for seed in range(8)], [sample(seed) for seed in range(8)]
    check.equal("samples repeated by their seed", sum(a == b for a, b in zip(once, again, strict=True)), 8)
    assert len(set(once)) > 1, "eight seeds gave one and the same text"
    check.observe("different texts among 8 seeds", len(set(once)), n=8)


@pytest.mark.check("server.stream-completions")
def test_a_stream_equals_a_whole_answer(client, check):
    whole = complete(client)
    body = client.body(prompt=PROMPT, **GREEDY, stream=True, stream_options={"include_usage": True})
    events = list(client.stream(PATH, body))
    check.equal("text", joined_text(events), part(whole, "choices", 0, "text"), detail={"events": len(events)})
    check.equal("usage", last_usage(events), part(whole, "usage", "completion_tokens"))


@pytest.mark.check("server.usage-completions")
def test_usage_agrees_with_the_tokenizer(client, tokenizer, check):
    """Prompt tokens as the model's own tokenizer counts them; completion tokens as many as were asked for."""
    for prompt in (PROMPT, "a", "The quick brown fox, 1234567890 times.", "Grüße, 世界!"):
        usage = part(complete(client, prompt=prompt, max_tokens=7, ignore_eos=True), "usage")
        counted = part(usage, "prompt_tokens")
        check.equal(f"prompt_tokens of {prompt!r}", counted, tokenizer.count(prompt))
        check.equal("completion_tokens", part(usage, "completion_tokens"), 7)
        check.equal("total_tokens", part(usage, "total_tokens"), counted + 7)


@pytest.mark.check("server.logprobs")
def test_logprobs_are_there_and_consistent(client, check):
    """One value a token, none above 0, the greedy token the most likely of its top alternatives."""
    answer = complete(client, logprobs=3, max_tokens=6, ignore_eos=True)
    tokens, values, tops = (part(answer, "choices", 0, "logprobs", n) for n in ("tokens", "token_logprobs", "top_logprobs"))
    check.equal("tokens with a log-probability", len(values), 6)
    assert len(tokens) == len(tops) == 6, f"{len(tokens)} tokens and {len(tops)} lists of alternatives for 6 values"
    for token, value, top in zip(tokens, values, tops, strict=True):
        assert value <= 1e-6, f"log-probability {value} of {token!r} is above 0"
        assert value >= max(top.values()) - 1e-4, f"greedy {token!r} ({value}) is not the likeliest of {top}"
        assert len(top) >= 3, f"3 alternatives asked for, got {top}"
    check.observe("mean log-probability", sum(values) / 6, n=6)
