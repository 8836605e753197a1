"""One request passed to the engine, and its answer passed back as it comes.

No task runs for it: the engine's bytes are written to the client in the callback that brings them. A task exists
only while a new connection is made.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from hallmark_services.gateway.framing import BadAnswer, Framing, Unframing
from hallmark_services.gateway.heads import RequestHead, ResponseHead, end_to_end, parse_response_head
from hallmark_services.gateway.pool import EngineConnection, Pool
from hallmark_services.gateway.progress import Engine
from hallmark_services.gateway.refusals import Refusal
from hallmark_services.gateway.settings import Settings

GENERATING = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"})
"""Paths whose answers are tokens: bytes of a good answer are progress."""
_LONGEST_HEAD = 65_536
_REPLACED = frozenset({b"host", b"content-length", b"expect", b"x-request-id", b"x-forwarded-for", b"forwarded"})

log = logging.getLogger(__name__)


class Client(Protocol):
    """The connection that the answer goes to."""

    closes_after_answer: bool
    request_id: bytes
    address: str

    def request_is_sent(self) -> None: ...

    def answer_begins(self, status: int) -> None: ...

    def send(self, data: bytes) -> None: ...

    def answered(self, *, keep_alive: bool) -> None: ...

    def refuse(self, refusal: Refusal) -> None: ...

    def abort(self, reason: str, *, framed: bool) -> None: ...


class Exchange:
    """From a whole request to the end of its answer; `client` hears of exactly one end."""

    def __init__(
        self, client: Client, head: RequestHead, body: bytearray, *, settings: Settings, engine: Engine, pool: Pool
    ) -> None:
        self._client = client
        self._head = head
        self._settings = settings
        self._engine = engine
        self._pool = pool
        self._request_head = _request_head(head, len(body), client=client, settings=settings)
        self._body = body
        self._connection: EngineConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._raw = bytearray()
        self._answer: ResponseHead | None = None
        self._framing: Framing = Unframing() if head.old else Framing()
        self._generates = False

    def start(self) -> None:
        if connection := self._pool.take():
            self._send_on(connection)
        else:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def cancel(self) -> None:
        """Nobody waits any more: the engine's connection is closed, by which it knows."""
        if self._connecting:
            self._connecting.cancel()
        if self._connection:
            self._connection.close()
            self._connection = None

    def timed_out(self) -> None:
        self.cancel()
        if self._answer:
            self._client.abort("the answer stood still", framed=self._framed(self._answer))
        else:
            waited = self._settings.first_byte_timeout_s
            self._client.refuse(Refusal(504, "engine_slow", f"the engine did not begin to answer within {waited:g} s"))

    def pause(self) -> None:
        if self._connection:
            self._connection.pause()

    def resume(self) -> None:
        if self._connection:
            self._connection.resume()

    # -- towards the engine

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                connection = await self._pool.connect()
        except (OSError, TimeoutError) as exc:
            self._connecting = None
            self._engine.refused("nothing listens on the engine's port")
            log.info("cannot reach the engine: %s", exc or "no answer in time")
            self._client.refuse(self._unreachable("the engine cannot be reached"))
        else:
            self._connecting = None
            self._send_on(connection)

    def _send_on(self, connection: EngineConnection) -> None:
        self._connection = connection
        connection.send(self._request_head, self._body, self)

    def _unreachable(self, message: str) -> Refusal:
        if self._engine.was_ready:
            return Refusal(502, "engine_down", message)
        return Refusal(503, "engine_loading", "the engine is loading", fields=((b"retry-after", b"1"),))

    # -- from the engine

    def from_engine(self, data: bytes) -> None:
        try:
            self._pass_on(data)
        except (BadAnswer, ValueError) as exc:
            log.warning("the engine broke off from HTTP: %s", exc)
            self._fail("the engine's answer is not HTTP")

    def _pass_on(self, data: bytes) -> None:
        start = b""
        if self._answer is None:
            self._raw += data
            answer = self._take_head()
            if answer is None:
                return
            self._answer = answer
            self._generates = answer.status == 200 and self._head.path in GENERATING
            start = self._head_bytes(answer)
            data, self._raw = bytes(self._raw), bytearray()
            self._forget_request()
            self._client.answer_begins(answer.status)
        if self._head.method == b"HEAD":
            self._client.send(start)
            self._end(reusable=False)
            return
        body = self._framing.pass_on(data)
        if start and not self._head.old:
            body = body[body.index(b"\r\n\r\n") + 4 :]
        if body and self._generates:
            self._engine.progressed()
        self._client.send(start + body if start else body)
        if self._framing.whole:
            assert self._answer is not None
            self._end(reusable=self._answer.keep_alive)

    def _forget_request(self) -> None:
        """It will not be sent again. An engine that answers before it has read all leaves the rest in memory until the end."""
        if self._connection and self._connection.has_sent_all:
            self._body = bytearray()
            self._client.request_is_sent()

    def _take_head(self) -> ResponseHead | None:
        """The head of the answer once it is there, with heads of interim answers (1xx) dropped."""
        while (end := self._raw.find(b"\r\n\r\n")) >= 0:
            answer = parse_response_head(bytes(self._raw[:end]))
            if answer.status == 101:
                raise BadAnswer("it switches protocols")
            if answer.status >= 200:
                return answer
            del self._raw[: end + 4]
        if len(self._raw) > _LONGEST_HEAD:
            raise BadAnswer("its head does not end")
        return None

    def _head_bytes(self, answer: ResponseHead) -> bytes:
        """The head that the client gets; the framing stays the engine's."""
        fields = [field for field in end_to_end(answer.fields) if field[0] != b"x-request-id"]
        fields.append((b"x-request-id", self._client.request_id))
        if answer.chunked and not self._head.old:
            fields.append((b"transfer-encoding", b"chunked"))
        if answer.until_close or self._client.closes_after_answer:
            fields.append((b"connection", b"close"))
        status_line = b"HTTP/1.1" + answer.line[8:]
        return b"\r\n".join([status_line, *(b"%b: %b" % field for field in fields)]) + b"\r\n\r\n"

    def engine_gone(self, exc: Exception | None) -> None:
        connection, self._connection = self._connection, None
        answer = self._answer
        if answer and answer.until_close and exc is None:
            self._client.answered(keep_alive=False)
        elif connection and connection.used and not answer and not self._raw:
            # An idle connection that the engine closed as we used it: not one byte came, a new one decides.
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        else:
            self._fail("the engine closed the connection")

    def _fail(self, reason: str) -> None:
        """The client must not take what it has for a whole answer."""
        self.cancel()
        if self._answer:
            self._client.abort(reason, framed=self._framed(self._answer))
        else:
            self._client.refuse(self._unreachable(f"{reason} before it answered"))

    def _framed(self, answer: ResponseHead) -> bool:
        """Whether the client can tell an answer that is cut from one that is whole."""
        return not answer.until_close and not (self._head.old and answer.chunked)

    def _end(self, *, reusable: bool) -> None:
        connection, self._connection = self._connection, None
        if connection and reusable:
            self._pool.give_back(connection)
        elif connection:
            connection.close()
        assert self._answer is not None
        self._client.answered(keep_alive=not self._answer.until_close)


def _request_head(head: RequestHead, length: int, *, client: Client, settings: Settings) -> bytes:
    """What goes to the engine before a body of so many bytes: always HTTP/1.1 with one Content-Length, whatever came."""
    fields = [field for field in end_to_end(head.fields) if field[0] not in _REPLACED]
    if settings.guarded or settings.engine_api_key:
        fields = [field for field in fields if field[0] != b"authorization"]
    if settings.engine_api_key:
        fields.append((b"authorization", b"Bearer " + settings.engine_api_key.encode()))
    fields += [
        (b"host", settings.engine_url.partition("://")[2].strip("/").encode()),
        (b"x-request-id", client.request_id),
        (b"x-forwarded-for", client.address.encode()),
    ]
    if length or head.method not in (b"GET", b"HEAD"):
        fields.append((b"content-length", b"%d" % length))
    lines = [b"%b %b HTTP/1.1" % (head.method, head.target), *(b"%b: %b" % field for field in fields)]
    return b"\r\n".join(lines) + b"\r\n\r\n"
