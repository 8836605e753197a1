"""From the bytes of one exchange, and when they came, to a Sample or a Failed. Strict, pure, and after the clock."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from hallmark.client.errors import StreamBroken, StreamTruncated
from hallmark.client.sse import DONE, SseParser, body_of
from hallmark.client.text import count
from hallmark.core.errors import CheckFailed
from hallmark.perf.connection import Exchange
from hallmark.perf.sample import Failed, Sample

_SHOWN = 200


def read_exchange(exchange: Exchange, *, isl: int, osl: int) -> Sample | Failed:
    """A Sample only where the whole answer came, of `isl` prompt and `osl` output tokens by the server's own count."""
    try:
        if exchange.lost:
            raise StreamBroken(exchange.lost)
        events = list(_bodies(_body_pieces(exchange.pieces)))
        cached = _check_usage(events, isl=isl, osl=osl)
        times = _token_times(events, osl)
    except CheckFailed as exc:
        return Failed(start=exchange.start, error=str(exc), late=exchange.late)
    return Sample(
        start=exchange.start, token_times=times, end=exchange.end, prompt_tokens=isl, output_tokens=osl, cached_tokens=cached
    )


def _body_pieces(pieces: list[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """The pieces without HTTP's head and framing; raises for any status but 200."""
    head = b""
    chunks: Dechunker | None = None
    for moment, data in pieces:
        if b"\r\n\r\n" not in head:
            head += data
            before, blank, data = head.partition(b"\r\n\r\n")
            if not blank:
                continue
            chunks = _take_head(before, data)
        yield moment, chunks.feed(data) if chunks else data
    if chunks and not chunks.finished:
        raise StreamTruncated("the answer ended inside its chunks")
    if not head:
        raise StreamTruncated("the answer is empty")


def _take_head(head: bytes, body: bytes) -> Dechunker | None:
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {k.strip().lower(): v.strip().lower() for k, _, v in (line.partition(":") for line in lines)}
    code = status.partition(" ")[2]
    if not code.startswith("200"):
        raise StreamBroken(f"HTTP {code or status}: {body[:_SHOWN].decode('utf-8', 'replace')}")
    if not headers.get("content-type", "").startswith("text/event-stream"):
        raise StreamBroken(f"asked for a stream and got content-type {headers.get('content-type', '')!r}")
    return Dechunker() if "chunked" in headers.get("transfer-encoding", "") else None


class Dechunker:
    """Takes HTTP/1.1 chunked framing off, from pieces split anywhere."""

    def __init__(self) -> None:
        self._rest = b""
        self._missing = 0
        """Bytes of the current chunk that have not come, its closing CR LF included."""
        self.finished = False

    def feed(self, data: bytes) -> bytes:
        self._rest += data
        out = []
        while self._rest and not self.finished:
            if self._missing:
                out.append(self._take_payload())
            elif not self._take_size():
                break
        return b"".join(out)

    def _take_payload(self) -> bytes:
        part, self._rest = self._rest[: self._missing], self._rest[self._missing :]
        self._missing -= len(part)
        # The last two bytes of what was missing are framing; `part` may end within them.
        return part[: max(0, len(part) - max(0, 2 - self._missing))]

    def _take_size(self) -> bool:
        line, end, rest = self._rest.partition(b"\r\n")
        if not end:
            return False
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError as exc:
            raise StreamBroken(f"not the size of an HTTP chunk: {line[:40]!r}") from exc
        self._rest, self._missing = rest, size + 2 if size else 0
        self.finished = size == 0
        return True


def _bodies(pieces: Iterator[tuple[float, bytes]]) -> Iterator[tuple[float, dict[str, Any]]]:
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


def _token_times(events: list[tuple[float, dict[str, Any]]], osl: int) -> tuple[float, ...]:
    """When tokens came. An event with text carries some; one without may be an unfinished character, or nothing.

    With exactly OSL events one without text counts, but not before the first text: two tokens in one later event would make
    up the number. Otherwise those without text are left out. Either way the first token can only be later, and a server
    cannot gain by announcing one that it does not have.
    """
    carriers = [(moment, body["choices"][0]) for moment, body in events if body.get("choices")]
    if len(carriers) > osl:
        carriers = [c for c in carriers if c[1].get("text")]
    if len(carriers) > osl:
        raise CheckFailed(f"{len(carriers)} events carry text, but usage says {osl} tokens")
    said = itertools.dropwhile(lambda carrier: not carrier[1].get("text"), carriers)
    times = tuple(moment for moment, choice in said if len(carriers) == osl or choice.get("text"))
    if not times:
        raise CheckFailed("no event of the stream carries text")
    return times
