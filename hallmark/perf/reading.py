"""From the bytes of one answer, and when they came, to a Sample or a Failed. Strict, pure, and after the clock."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hallmark.client.answer_watch import AnswerWatch
from hallmark.client.errors import StreamBroken, StreamTruncated
from hallmark.client.response import Response
from hallmark.client.sse import DONE, SseParser, body_of
from hallmark.client.text import count
from hallmark.core.errors import CheckFailed
from hallmark.perf.connection import TimedRequest
from hallmark.perf.sample import Failed, Sample

_SHOWN = 200


_OF_A_CHAT = ("content", "reasoning", "reasoning_content")
"""Where a chat's event has the text that is answered or thought."""
_ASKED = {"stream": True, "ignore_eos": True}
"""What of a request of a point bears on what its answer may look like."""


def read_timed(timed: TimedRequest, *, isl: int, osl: int, watch: AnswerWatch | None = None) -> Sample | Failed:
    """A Sample only where the whole answer came, of `isl` prompt and `osl` output tokens by the server's own count.

    `watch` looks at what the answer holds besides.
    """
    try:
        if timed.lost:
            raise StreamBroken(timed.lost)
        _require_stream(timed.answer, timed.pieces)
        events = list(events_of(timed.pieces))
        if watch:
            watch.stream(_ASKED, [body for _, body in events], complete=True)
        cached = _check_usage(events, isl=isl, osl=osl)
        times = _token_times(events, osl)
    except CheckFailed as exc:
        return Failed(start=timed.start, error=str(exc), late=timed.late)
    return Sample(
        start=timed.start,
        taken_up=timed.taken_up,
        sent=timed.sent,
        first_byte=timed.first_byte,
        token_times=times,
        end=timed.end,
        prompt_tokens=isl,
        output_tokens=osl,
        cached_tokens=cached,
        held_s=timed.held_s,
    )


def _require_stream(answer: Response, pieces: list[tuple[float, bytes]]) -> None:
    """Raise for any answer but a stream of events under status 200 that came to its end."""
    if not answer.status:
        raise StreamTruncated("the answer is empty")
    if answer.status != 200:
        body = b"".join(data for _, data in pieces)[:_SHOWN]
        raise StreamBroken(f"HTTP {answer.status} {answer.reason}: {body.decode('utf-8', 'replace')}")
    content_type = answer.headers.get("content-type", "").lower()
    if not content_type.startswith("text/event-stream"):
        raise StreamBroken(f"asked for a stream and got content-type {content_type!r}")
    if not answer.whole and not answer.ends_with_connection:
        raise StreamTruncated("the answer ended inside its chunks")


def events_of(pieces: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, dict[str, Any]]]:
    """Each event's JSON body with the moment at which it was complete, up to [DONE]."""
    parser = SseParser()
    done = False
    for moment, data in pieces:
        for event in parser.feed(data):
            if done:
                raise StreamBroken(f"the stream goes on after [DONE]: {event.data[:_SHOWN]!r}")
            done = event.data == DONE
            if not done:
                yield moment, body_of(event)
    if not done:
        raise StreamTruncated("the stream ended without [DONE]")


def _check_usage(events: list[tuple[float, dict[str, Any]]], *, isl: int, osl: int) -> int:
    """How many of the prompt's tokens came out of a prefix cache; CheckFailed where the counts are not those asked for."""
    usage = next((body["usage"] for _, body in reversed(events) if body.get("usage")), None)
    if not isinstance(usage, dict):
        raise CheckFailed("usage is missing from the stream")
    prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if prompt != isl:
        raise CheckFailed(f"usage says {prompt} prompt tokens, {isl} were sent")
    if output != osl:
        raise CheckFailed(f"usage says {output} completion tokens, {osl} were asked for")
    details = usage.get("prompt_tokens_details")
    cached = count((details.get("cached_tokens") if isinstance(details, dict) else 0) or 0, "cached_tokens")
    if not 0 <= cached <= isl:
        raise CheckFailed(f"usage says that {cached} of the prompt's {isl} tokens came out of a prefix cache")
    return cached


def says(choice: Mapping[str, Any]) -> str:
    """The text of a streamed choice: of a completion, or what a chat answers or thinks; "" for none."""
    delta = choice.get("delta") or {}
    return str(next(filter(None, (choice.get("text"), *map(delta.get, _OF_A_CHAT))), ""))


def _announces(choice: Mapping[str, Any]) -> bool:
    """Whether it tells who will speak, as the first event of a chat does, and says nothing yet."""
    return bool((choice.get("delta") or {}).get("role")) and not says(choice)


def _token_times(events: list[tuple[float, dict[str, Any]]], osl: int) -> tuple[float, ...]:
    """When tokens came. An event with text carries some; one without may be an unfinished character, or nothing.

    With exactly OSL events one without text counts, but not before the first text: two tokens in one later event would make
    up the number. Otherwise those without text are left out. Either way the first token can only be later, and a server
    cannot gain by announcing one that it does not have.
    """
    choices = ((moment, body["choices"][0]) for moment, body in events if body.get("choices"))
    carriers = [(moment, says(choice)) for moment, choice in choices if not _announces(choice)]
    if len(carriers) > osl:
        carriers = [c for c in carriers if c[1]]
    if len(carriers) > osl:
        raise CheckFailed(f"{len(carriers)} events carry text, but usage says {osl} tokens")
    said = itertools.dropwhile(lambda carrier: not carrier[1], carriers)
    times = tuple(moment for moment, text in said if len(carriers) == osl or text)
    if not times:
        raise CheckFailed("no event of the stream carries text")
    return times
