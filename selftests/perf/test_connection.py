"""The load generator's own connection against a server that says what it is told to, byte for byte."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

from hallmark.perf.connection import Address, TimedRequest
from hallmark.perf.loops import Bounds, ClosedLoop, no_progress
from hallmark.perf.runs import events_of

EVENT = b'data: {"choices":[{"text":"a"}]}\n\ndata: [DONE]\n\n'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKS = b"transfer-encoding: chunked\r\n\r\n%x;of=one\r\n%b\r\n0\r\nContent-Type: text/html\r\n\r\n" % (len(EVENT), EVENT)
INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
SIZED = b"content-length: %d\r\n\r\n%b" % (len(EVENT), EVENT)


async def answered(*answers: tuple[bytes, ...]) -> tuple[list[TimedRequest], list[int]]:
    """So many requests, one after the other, each answered in these pieces; and how many each connection carried."""
    left, carried = iter(answers), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carried.append(0)
        number = len(carried) - 1
        while head := await _request(reader):
            assert head.startswith(b"POST /v1/completions HTTP/1.1\r\n")
            carried[number] += 1
            pieces = next(left)
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.01)  # so that it leaves by itself
            if b"close" in b"".join(pieces):
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        bounds = Bounds(limit_s=20, during=nullcontext(), should_stop=lambda: None)
        loop = ClosedLoop(Address.of(url, "/v1/completions"), 1, bounds)
        await loop.run([], [b"{}"] * len(answers), progress=no_progress)
    return loop.window_sent, carried


async def _request(reader: asyncio.StreamReader) -> bytes:
    """The head of the next one, whose body is two bytes; empty where none comes."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    return head


def test_interim_answers_extensions_and_trailers_are_taken_off_on_a_connection_that_is_kept() -> None:
    sent, carried = asyncio.run(answered((INTERIM, HEAD + CHUNKS), (INTERIM + INTERIM + HEAD, CHUNKS), (HEAD + SIZED,)))
    assert carried == [3]
    for timed in sent:
        assert not timed.lost
        assert timed.answer.headers["content-type"] == "text/event-stream"
        assert [body["choices"][0]["text"] for _, body in events_of(timed.pieces)] == ["a"]


def test_an_answer_s_first_byte_is_not_that_of_an_interim_one() -> None:
    (timed,), _ = asyncio.run(answered((INTERIM, HEAD, CHUNKS)))
    assert timed.first_byte >= timed.sent + 0.009


def test_a_connection_that_the_server_says_it_closes_is_not_used_again() -> None:
    last = HEAD + b"connection: close\r\n" + SIZED
    sent, carried = asyncio.run(answered((last,), (HEAD + SIZED,), (HEAD + SIZED,)))
    assert carried == [1, 2]
    assert not any(timed.lost or timed.sent_again for timed in sent)
