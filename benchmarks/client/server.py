"""A server of known gaps whose own log is the truth: `python server.py LOG [--ttft-ms 50] [--gap-ms 10] [--flat]`.

It streams as many events as a request's `max_tokens` says, in the form of vLLM's completions and chat completions: the first one
so long after the request, the others evenly spaced. Between them it waits awake, so that it should have a core of its own. With
`--flat` the events are prepared, and go as fast as the other side takes them.

It prints its port, ends when its standard input does, and then writes LOG: a JSON line for each stream, in the order in which the
requests came. Times are nanoseconds of CLOCK_MONOTONIC, the clock of `time.perf_counter()` in every process of the machine.
`arrived` is when the kernel had the request's last byte, `sent` when each event was handed to the kernel (with `--flat`
the first and the last).
"""

from __future__ import annotations

import argparse
import gc
import heapq
import json
import select
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
MODEL = "stand-in"
AWAKE_NS = 2_000_000
"""A sleeping process wakes up late: so long before something is due, the server waits awake."""
AT_ONCE = 512
"""Prepared events in one block."""
SO_TIMESTAMPNS = 35
"""Linux's; the socket module does not name it."""


_CLOCKS_AGREE_NS = 5_000
"""Three readings of clocks take less, unless something came between them."""


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(said: object) -> bytes:
    return chunk(b"data: " + json.dumps(said, separators=(",", ":")).encode() + b"\n\n")


class Stream:
    """One connection with the request that it is at."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = b""
        self.arrived = 0
        self.sent: list[int] = []
        self.left = 0
        self.due = 0
        self.token = self.last = b""
        self.unsent = memoryview(b"")

    def __lt__(self, other: Stream) -> bool:
        return self.due < other.due

    def receive(self) -> tuple[str, dict[str, Any]] | None:
        """Path and body of a request that is whole; ConnectionError where the other side has gone."""
        data, control, _, _ = self.connection.recvmsg(1 << 20, 64)
        if not data:
            raise ConnectionResetError
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")), 0)
        if not found or len(body) < length:
            return None
        self.arrived, self.received = _monotonic_ns(control), b""
        return lines[0].split()[1].decode(), json.loads(body or b"{}")

    def ask(self, path: str, body: dict[str, Any]) -> None:
        chat = path.endswith("/chat/completions")
        said = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-0123456789abcdef0123456789abcdef",
            "object": "chat.completion.chunk" if chat else "text_completion",
            "created": 1_700_000_000,
            "model": MODEL,
        }
        self.left = int(body.get("max_completion_tokens") or body["max_tokens"])
        words: Any = {"delta": {"content": "a"}} if chat else {"text": "a"}
        self.token = event({**said, "choices": [{"index": 0, **words, "logprobs": None, "finish_reason": None}]})
        last = event({**said, "choices": [{"index": 0, **words, "logprobs": None, "finish_reason": "length"}]})
        prompt = len(body["messages"] if chat else body["prompt"])
        usage = {"prompt_tokens": prompt, "completion_tokens": self.left, "total_tokens": prompt + self.left}
        if (body.get("stream_options") or {}).get("include_usage"):
            last += event({**said, "choices": [], "usage": usage})
        self.last = last + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
        self.sent = []


def _monotonic_ns(control: list[tuple[int, int, bytes]]) -> int:
    """The kernel's own stamp of what was received, which is in the time of day, as one of CLOCK_MONOTONIC."""
    for level, kind, stamp in control:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, ns = struct.unpack("qq", stamp[:16])
            return int(seconds * 1_000_000_000 + ns) - _since_1970_ns()
    return time.perf_counter_ns()


def _since_1970_ns() -> int:
    """How far the time of day is from CLOCK_MONOTONIC, by three readings between which nothing came."""
    while True:
        before, now, after = time.perf_counter_ns(), time.time_ns(), time.perf_counter_ns()
        if after - before < _CLOCKS_AGREE_NS:
            return now - (before + after) // 2


class Server:
    """All streams on one thread."""

    def __init__(self, *, ttft_ns: int, gap_ns: int, flat: bool) -> None:
        self._ttft_ns, self._gap_ns, self._flat = ttft_ns, gap_ns, flat
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._streams: dict[int, Stream] = {}
        self._timed: list[Stream] = []
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(sys.stdin, select.EPOLLIN)
        self.log: list[tuple[int, list[int]]] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Until the standard input ends."""
        while True:
            for number, happened in self._epoll.poll(self._nap_s()):
                if number == sys.stdin.fileno():
                    return
                if number == self._listener.fileno():
                    self._accept()
                else:
                    self._serve(self._streams[number], happened)
            while self._timed and self._timed[0].due <= time.perf_counter_ns():
                self._send_one(self._timed[0])

    def _nap_s(self) -> float:
        if not self._timed:
            return -1
        left = self._timed[0].due - time.perf_counter_ns() - AWAKE_NS
        return left / 1e9 if left > 0 else 0

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._streams[connection.fileno()] = Stream(connection)
        self._epoll.register(connection, select.EPOLLIN)

    def _serve(self, stream: Stream, happened: int) -> None:
        try:
            if happened & select.EPOLLOUT:
                self._send_many(stream)
            elif asked := stream.receive():
                self._answer(stream, *asked)
        except OSError:
            self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        """Its client is gone; what it was sent until then does not count."""
        del self._streams[stream.connection.fileno()]
        if stream in self._timed:
            self._timed.remove(stream)
            heapq.heapify(self._timed)
        stream.connection.close()

    def _answer(self, stream: Stream, path: str, body: dict[str, Any]) -> None:
        if not body.get("stream"):  # what the tools ask besides is whether there is a server, and for its models
            said = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(said)
            stream.connection.send(head + said)
            return
        stream.ask(path, body)
        stream.connection.send(HEAD)
        if self._flat:
            self._epoll.modify(stream.connection, select.EPOLLOUT)
        else:
            stream.due = stream.arrived + self._ttft_ns
            heapq.heappush(self._timed, stream)

    def _send_one(self, stream: Stream) -> None:
        stream.left -= 1
        stream.sent.append(time.perf_counter_ns())
        try:
            stream.connection.send(stream.token if stream.left else stream.last)
        except OSError:
            self._forget(stream)
            return
        if stream.left:
            stream.due += self._gap_ns
            heapq.heapreplace(self._timed, stream)
        else:
            heapq.heappop(self._timed)
            self.log.append((stream.arrived, stream.sent))

    def _send_many(self, stream: Stream) -> None:
        """What the socket takes of one block."""
        if not stream.unsent:
            events = min(AT_ONCE, stream.left)
            stream.left -= events
            stream.unsent = memoryview(stream.token * events if stream.left else stream.token * (events - 1) + stream.last)
        stream.sent[1:] = [time.perf_counter_ns()]
        stream.unsent = stream.unsent[stream.connection.send(stream.unsent) :]
        if not (stream.unsent or stream.left):
            self._epoll.modify(stream.connection, select.EPOLLIN)
            self.log.append((stream.arrived, stream.sent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("--ttft-ms", type=float, default=50)
    parser.add_argument("--gap-ms", type=float, default=10)
    parser.add_argument("--flat", action="store_true")
    options = parser.parse_args()
    server = Server(ttft_ns=round(1e6 * options.ttft_ms), gap_ns=round(1e6 * options.gap_ms), flat=options.flat)
    gc.disable()  # a pause would hold tokens back; nothing here has cycles
    print(server.port, flush=True)
    server.serve()
    with options.log.open("w") as file:
        file.writelines(json.dumps({"arrived": arrived, "sent": sent}) + "\n" for arrived, sent in sorted(server.log))


if __name__ == "__main__":
    main()
