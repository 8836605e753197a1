"""An answer ends where it was asked to end, and says why."""

from __future__ import annotations

import pytest

from hallmark.client.asking import COMPLETIONS, complete, streamed
from hallmark.client.text import finish_reason, joined_text, part

pytestmark = pytest.mark.server


@pytest.mark.check(
    "server.max-tokens",
    title="An answer has max_tokens tokens at most, and finish_reason says that it was cut",
    needs="completions",
    source="OpenAI API: max_tokens, finish_reason",
    fault="over-by-one",
)
def test_max_tokens_is_kept(client, unending, check):
    for limit in (1, 5):
        answer = complete(client, **unending(5), max_tokens=limit)
        check.equal(f"completion_tokens at max_tokens={limit}", part(answer, "usage", "completion_tokens"), limit)
        check.equal("finish_reason", part(answer, "choices", 0, "finish_reason"), "length")


@pytest.mark.check(
    "server.stop",
    title="A stop sequence ends the text and is not part of it",
    needs="completions",
    source="OpenAI API: stop",
    fault="no-stop",
)
def test_a_stop_sequence_ends_the_text(client, unending, check):
    """Whatever the model says without `stop`, characters of its own stop it when asked to, streamed or not."""
    asked = {**unending(8), "max_tokens": 8}
    free = part(complete(client, **asked), "choices", 0, "text")
    assert len(free) >= 2, f"too short to stop within: {free!r}"
    stop = free[1:3]
    kept = free.split(stop)[0]
    choice = part(complete(client, **asked, stop=[stop]), "choices", 0)
    check.equal("text up to the stop sequence", part(choice, "text"), kept, detail={"without stop": free, "stop": stop})
    check.equal("finish_reason", part(choice, "finish_reason"), "stop")
    events = streamed(client, COMPLETIONS, **asked, stop=[stop])
    check.equal("streamed text up to the stop sequence", joined_text(events), kept)
    check.equal("finish_reason of the stream", finish_reason(events), "stop")
