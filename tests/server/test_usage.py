"""What an answer says that it cost is what it cost."""

from __future__ import annotations

import uuid
from functools import partial

import pytest

from hallmark.client.asking import COMPLETIONS, PATHS, ask, chat, complete, saying, streamed, together
from hallmark.client.text import last_usage, part
from hallmark.core.errors import Inconclusive

pytestmark = pytest.mark.server

PROMPT = "12+34="
MESSAGES = [{"role": "user", "content": "repeat: The deep lake kept 42 golden lamps."}]


@pytest.mark.check(
    "server.usage-completions",
    title="Usage counts of completions match the model's tokenizer",
    needs="completions",
    source="OpenAI API: usage",
    covers="U01",
    fault="prompt-usage-off",
)
def test_usage_agrees_with_the_tokenizer(client, tokenizer, offers, check):
    """Prompt tokens as the model's own tokenizer counts them; completion tokens as many as were asked for, where that can be."""
    asked = {"max_tokens": 7, **offers.only(ignore_eos=True)}
    for prompt in (PROMPT, "a", "The quick brown fox, 1234567890 times.", "Grüße, 世界!"):
        answer = complete(client, prompt=prompt, **asked)
        usage = part(answer, "usage")
        counted, made = part(usage, "prompt_tokens"), part(usage, "completion_tokens")
        check.equal(f"prompt_tokens of {prompt!r}", counted, tokenizer.count(prompt))
        if part(answer, "choices", 0, "finish_reason") == "length" or "ignore_eos" in asked:
            check.equal("completion_tokens", made, 7)
        else:
            check.at_most("completion_tokens of an answer that ended by itself", made, 7)
        check.equal("total_tokens", part(usage, "total_tokens"), counted + made)


@pytest.mark.check(
    "server.usage-chat",
    title="Usage counts of chats match the chat template and the tokenizer",
    needs="chat",
    source="OpenAI API: usage",
    covers="U01",
    fault="prompt-usage-off",
)
def test_usage_of_chats_agrees_with_template_and_tokenizer(client, tokenizer, check):
    """Prompt tokens are those of the rendered chat template: a template that adds or drops tokens shows here."""
    usage = part(chat(client, messages=MESSAGES, max_tokens=64), "usage")
    prompt, completion = part(usage, "prompt_tokens"), part(usage, "completion_tokens")
    check.equal("prompt_tokens", prompt, tokenizer.count_chat(MESSAGES))
    check.equal("total_tokens", part(usage, "total_tokens"), prompt + completion)


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.usage-tokens.{endpoint}",
    title="As many tokens are counted as were sent, streamed and whole: {endpoint}",
    needs=["{endpoint}", "logprobs"],
    source="OpenAI API, 2026-08-21: usage.completion_tokens; vllm #8625, litellm #1304",
    covers=["U02", "L01"],
    fault="stream-completions-off",
)
def test_as_many_tokens_are_counted_as_were_sent(endpoint, client, unending, check):
    """Three ways of counting: usage, usage of the stream, and one log-probability for each token."""
    told = {"logprobs": 1} if endpoint == "completions" else {"logprobs": True}
    asked = {**unending(12, endpoint), "max_tokens": 12, **told}
    whole = ask(client, endpoint, **asked)
    sent = part(whole, "choices", 0, "logprobs")
    tokens = len(part(sent, "tokens" if endpoint == "completions" else "content"))
    check.equal("tokens with a log-probability", tokens, 12)
    check.equal("completion_tokens", part(whole, "usage", "completion_tokens"), tokens)
    check.equal("completion_tokens of the stream", last_usage(streamed(client, PATHS[endpoint], **asked)), tokens)


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.check(
    "server.usage-total.{endpoint}",
    title="The total is the prompt's tokens and the answer's, whatever was asked: {endpoint}",
    needs="{endpoint}",
    source="OpenAI API, 2026-08-21: usage.total_tokens, prompt + completion",
    fault="total-off",
)
def test_the_total_is_the_sum(endpoint, client, check):
    texts = ("a", PROMPT, "The quick brown fox " * 4)
    calls = [partial(ask, client, endpoint, **saying(endpoint, text), max_tokens=limit) for text in texts for limit in (1, 7)]
    for answer in together(calls):
        usage = part(answer, "usage")
        check.equal("total_tokens", part(usage, "total_tokens"), part(usage, "prompt_tokens") + part(usage, "completion_tokens"))


@pytest.mark.check(
    "server.usage-choices",
    title="Of n choices the prompt is counted once and each answer's tokens",
    needs="completions",
    source="OpenAI API, 2026-08-21: usage; vllm #56361",
    covers="U03",
    fault="choices-uncounted",
)
def test_usage_of_several_choices(client, unending, tokenizer, check):
    asked = unending(5)
    usage = part(complete(client, **asked, max_tokens=5, n=3, temperature=1, **FREE), "usage")
    check.equal("prompt_tokens of n=3", part(usage, "prompt_tokens"), tokenizer.count(asked["prompt"]))
    if "ignore_eos" in asked:
        check.equal("completion_tokens of n=3", part(usage, "completion_tokens"), 15)
    else:
        check.at_least("completion_tokens of n=3", part(usage, "completion_tokens"), 3)


FREE = {"seed": 5}


@pytest.mark.check(
    "server.usage-prompts",
    title="Of several prompts in one request all are counted",
    needs="completions",
    source="OpenAI API, 2026-08-21: usage of the completion request",
    fault="prompts-uncounted",
)
def test_usage_of_several_prompts(client, tokenizer, check):
    prompts = [PROMPT, "a", "The quick brown fox"]
    usage = part(complete(client, prompt=prompts, max_tokens=1), "usage")
    check.equal("prompt_tokens of 3 prompts", part(usage, "prompt_tokens"), sum(map(tokenizer.count, prompts)))
    check.at_most("completion_tokens of 3 prompts", part(usage, "completion_tokens"), 3)


@pytest.mark.check(
    "server.usage-cached",
    title="Tokens from the prefix cache are counted: none of a new prompt, some of a known one, the same streamed",
    needs=["completions", "extension:cached_tokens"],
    source="OpenAI API, 2026-08-21: usage.prompt_tokens_details.cached_tokens; vllm #50895",
    covers="U05",
    fault="cached-cold",
)
def test_cached_tokens_are_counted(client, check):
    prompt = f"{uuid.uuid4()} " + "What was read before need not be read again. " * 5
    asked = {"prompt": prompt, "max_tokens": 1}
    cold, warm = (part(complete(client, **asked), "usage") for _ in range(2))
    check.at_most("cached tokens of a new prompt", cached(cold), CHANCE_TOKENS)
    if not cached(warm):
        raise Inconclusive("the same prompt a second time was not read from the cache")
    check.at_most("cached tokens of a known prompt", cached(warm), part(warm, "prompt_tokens"))
    usage = [event["usage"] for event in streamed(client, COMPLETIONS, **asked) if event.get("usage")]
    check.equal("cached tokens in a stream", cached(usage[-1] if usage else {}), cached(warm))


CHANCE_TOKENS = 8
"""What a new prompt may begin with that another began with: a token of its own, and some digits by chance."""


def cached(usage):
    """What is not told, is none."""
    return (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0


@pytest.mark.check(
    "server.usage-continuous",
    title="Counts that come with each chunk never fall, and end at the last one",
    needs=["completions", "field:stream_options.continuous_usage_stats"],
    source="vLLM: stream_options.continuous_usage_stats",
    covers="U04",
    fault="continuous-resets",
)
def test_continuous_counts_grow(client, unending, check):
    options = {"include_usage": True, "continuous_usage_stats": True}
    events = streamed(client, COMPLETIONS, **unending(12), max_tokens=12, stream_options=options)
    counts = [part(event, "usage", "completion_tokens") for event in events]
    check.equal("counts in their order", repr(counts), repr(sorted(counts)))
    check.equal("the last count", counts[-1], 12)


@pytest.mark.check(
    "server.usage-stop",
    title="Nothing is counted that comes after the stop",
    needs=["completions", "logprobs"],
    source="OpenAI API, 2026-08-21: stop, usage; vllm #47616",
    covers="U07",
    fault="counts-past-stop",
)
def test_nothing_is_counted_past_the_stop(client, wordy, check):
    """The tokens up to the one that completes the stop; of an engine that withholds that one, one less."""
    asked, _ = wordy(16)
    choice = part(complete(client, **asked, logprobs=1), "choices", 0)
    text, tokens = part(choice, "text"), part(choice, "logprobs", "tokens")
    stop = text[4:6]
    if "\N{REPLACEMENT CHARACTER}" in text or "".join(tokens) != text or len(stop) < 2:
        raise Inconclusive(f"in {text!r} the tokens of a stop cannot be told")
    needed = next(count for count in range(1, 17) if stop in "".join(tokens[:count]))
    made = part(complete(client, **asked, stop=[stop]), "usage", "completion_tokens")
    check.at_most(f"completion_tokens of an answer that {stop!r} stops", made, needed)
    check.at_least(f"completion_tokens of an answer that {stop!r} stops", made, needed - len(stop))
