"""What an answer says that it cost is what it cost."""

from __future__ import annotations

import pytest

from hallmark.client.asking import chat, complete
from hallmark.client.text import part

pytestmark = pytest.mark.server

PROMPT = "12+34="
MESSAGES = [{"role": "user", "content": "repeat: The deep lake kept 42 golden lamps."}]


@pytest.mark.check(
    "server.usage-completions",
    title="Usage counts of completions match the model's tokenizer",
    needs="completions",
    source="OpenAI API: usage",
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
    fault="prompt-usage-off",
)
def test_usage_of_chats_agrees_with_template_and_tokenizer(client, tokenizer, check):
    """Prompt tokens are those of the rendered chat template: a template that adds or drops tokens shows here."""
    usage = part(chat(client, messages=MESSAGES, max_tokens=64), "usage")
    prompt, completion = part(usage, "prompt_tokens"), part(usage, "completion_tokens")
    check.equal("prompt_tokens", prompt, tokenizer.count_chat(MESSAGES))
    check.equal("total_tokens", part(usage, "total_tokens"), prompt + completion)
