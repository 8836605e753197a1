"""A PROXY FOR SELFTESTS ONLY: before a right server, a streaming proxy that makes its answers slow, wrong, short, or kept.

    python -m selftests.perf.planting URL NAME=VALUE...

It prints its port and ends when its standard input does. What no fault changes passes on as it comes. `planted` runs it for a
block.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hallmark.client.response import Response
from selftests.faulty.wire import STREAM_HEAD, chunk

FAULTS: Mapping[str, str] = {
    "late": "from the so many-th streamed request on, it is passed on `by` seconds later",
    "by": "",
    "stretches": "each piece of a streamed answer comes so many times as long after its request as it would",
    "stalls": "each so many-th streamed answer stands still for half a second",
    "keeps": "a request that came before is answered at once, with the answer of then",
    "shortens": "an answer has only this share of its tokens, and its usage tells of all",
    "spoils": "while so many streams are under way, the first letter of each answer is another",
    "gathers": "pieces of a stream are passed on so many at a time",
    "admits": "so many streams are passed on at a time; the others wait",
}
ROOT = Path(__file__).resolve().parents[2]
_STALL_S = 0.5
_LETTER = re.compile(rb'("(?:text|content)":\s*")([^"\\])')
_MADE = re.compile(rb'("completion_tokens":\s*)\d+')
_END = b"0\r\n\r\n"


@contextmanager
def planted(upstream: str, **faults: float) -> Iterator[str]:
    """The base URL of a server that is as the one at `upstream` but for these faults."""
    words = [f"{name}={value}" for name, value in faults.items()]
    command = [sys.executable, "-m", "selftests.perf.planting", upstream, *words]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.stdin.close()
            process.terminate()


class Proxy:
    """One upstream server, its faults, and what they have to remember."""

    def __init__(self, upstream: str, faults: Mapping[str, float]) -> None:
        url = urlsplit(upstream)
        self._host, self._port = url.hostname or "", url.port or 80
        self._faults = faults
        self._streams = 0
        """How many were asked for."""
        self._under_way = 0
        self._kept: dict[bytes, bytes] = {}
        self._places = asyncio.Semaphore(round(faults.get("admits", 2**20)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client. Each request has one of its own to the server, which closes those that idle."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length:\s*(\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                server = await asyncio.open_connection(self._host, self._port)
                try:
                    await self._exchange(head, body, writer, server)
                finally:
                    server[1].close()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _exchange(
        self, head: bytes, body: bytes, writer: asyncio.StreamWriter, server: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        asked = json.loads(body) if b"/completions" in head else {}
        streamed = bool(asked.get("stream"))
        self._streams += streamed
        if streamed and "keeps" in self._faults and body in self._kept:
            writer.write(self._kept[body])
            return
        if streamed and "late" in self._faults and self._streams > self._faults["late"]:
            await asyncio.sleep(self._faults["by"])
        sent = self._shortened(asked) if "shortens" in self._faults and asked else body
        async with self._places if streamed else nullcontext():
            server[1].write(re.sub(rb"(?i)content-length:\s*\d+", b"content-length: %d" % len(sent), head) + sent)
            self._under_way += streamed
            try:
                answer = await (self._stream if streamed else self._whole)(asked, server[0], writer)
            finally:
                self._under_way -= streamed
        self._kept[body] = answer

    def _shortened(self, asked: Mapping[str, Any]) -> bytes:
        tokens = max(1, round(asked.get("max_tokens", 16) * self._faults["shortens"]))
        return json.dumps({**asked, "max_tokens": tokens}).encode()

    async def _whole(self, asked: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """An answer that is no stream; only its counts may be changed."""
        answer, raw, body = Response(), b"", b""
        while not answer.whole and (data := await reader.read(65536)):
            raw += data
            body += answer.feed(data)
        if "shortens" in self._faults and asked:
            told = self._counted(body, asked)
            raw = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(told), told)
        writer.write(raw)
        return raw

    async def _stream(self, asked: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        answer, sent, number = Response(), b"", self._streams
        stalls = "stalls" in self._faults and number % self._faults["stalls"] == 0
        spoils = "spoils" in self._faults and self._under_way >= self._faults["spoils"]
        held: list[bytes] = []
        pieces = 0
        loop, longer = asyncio.get_running_loop(), self._faults.get("stretches", 1.0) - 1
        began = loop.time()

        def pass_on() -> None:
            """Later by its share of the time since the request, while what follows is read."""
            if longer:
                loop.call_later(longer * (loop.time() - began), writer.write, chunk(b"".join(held)))
            else:
                writer.write(chunk(b"".join(held)))

        writer.write(STREAM_HEAD)
        while not answer.whole and (data := await reader.read(65536)):
            piece = answer.feed(data)
            if not piece:
                continue
            pieces += 1
            if spoils and (letter := _LETTER.search(piece)):
                other = b"!" if letter[2] == b"#" else b"#"
                piece, spoils = piece[: letter.start(2)] + other + piece[letter.end(2) :], False
            if stalls and pieces == 3:
                await asyncio.sleep(_STALL_S)
            held.append(self._counted(piece, asked) if "shortens" in self._faults else piece)
            if len(held) >= self._faults.get("gathers", 1) or answer.whole:
                pass_on()
                held = []
            sent += piece
        if held:
            pass_on()
        await asyncio.sleep(longer * (loop.time() - began))
        writer.write(_END)
        return STREAM_HEAD + chunk(sent) + _END

    def _counted(self, told: bytes, asked: Mapping[str, Any]) -> bytes:
        return _MADE.sub(rb"\g<1>%d" % asked.get("max_tokens", 16), told)


async def _main(upstream: str, faults: Mapping[str, float]) -> None:
    server = await asyncio.start_server(Proxy(upstream, faults).serve, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    unknown = {word.partition("=")[0] for word in sys.argv[2:]} - FAULTS.keys()
    if unknown:
        sys.exit(f"no such fault: {', '.join(sorted(unknown))}")
    chosen = {word.partition("=")[0]: float(word.partition("=")[2]) for word in sys.argv[2:]}
    asyncio.run(_main(sys.argv[1], chosen))
