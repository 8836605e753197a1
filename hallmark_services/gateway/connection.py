"""One client's connection: reads requests one after another, strictly, and writes each answer before the next begins.

A request that follows before its turn waits in the buffer; when that is full the socket is no longer read.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import uuid
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, cast

from hallmark_services.connections.places import Place
from hallmark_services.gateway import bridge
from hallmark_services.gateway.access_log import AccessLine
from hallmark_services.gateway.admission import OPEN_PATHS
from hallmark_services.gateway.exchange import Exchange
from hallmark_services.gateway.heads import RequestHead, parse_request_head
from hallmark_services.gateway.intake import Intake
from hallmark_services.gateway.refusals import Refusal, reply

if TYPE_CHECKING:
    from hallmark_services.gateway.server import Gateway

_LINGER_S = 2.0
"""How long a client that is refused may go on sending before the connection is cut: else it would not read why."""
_TURN_BYTES = 65_536
"""A read of so much shows that more is waiting."""
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class State(Enum):
    IDLE = "between requests"
    HEAD = "within a head"
    BODY = "within a body"
    BUSY = "being answered"
    LINGERING = "answered for the last time"


class ClientConnection(asyncio.Protocol):
    """Reads, admits, dispatches; `deadline_s` (loop time) is looked at by the gateway's sweep, so that no timer is needed."""

    def __init__(self, gateway: Gateway) -> None:
        self.deadline_s = inf
        self.state = State.IDLE
        self.closes_after_answer = False
        self.request_id = b""
        self.address = ""
        self._gateway = gateway
        self._settings = gateway.settings
        self._clock_s = asyncio.get_running_loop().time
        self._transport: asyncio.Transport | None = None
        self._place: Place | None = None
        self._intake = Intake(gateway.settings, gateway.memory)
        self._read_paused = False
        self._write_paused = False
        self._head: RequestHead | None = None
        self._exchange: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._line = AccessLine()

    # -- the transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its bases
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else "unknown"
        self._place = self._gateway.admit(self)
        if self._place is None:
            self.cut()
            return
        self._wait(State.IDLE, self._head_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gateway.forget(self, self._place)
        self._transport = None
        if self.state is State.BUSY:
            self._note("client gone")
        self._drop_work()

    def data_received(self, data: bytes) -> None:
        if len(data) >= _TURN_BYTES:
            self._yield_turn()
        if self.state is State.LINGERING:
            return
        self._intake.buffer += data
        # A client that does not read what it asked for is not asked what more it wants.
        if self.state is not State.BUSY and not (self.state is State.IDLE and self._write_paused):
            self._advance()
        elif len(self._intake.buffer) > self._settings.max_head_bytes and self._transport:
            self._read_paused = True
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._write_paused = True
        if self._exchange:
            self._exchange.pause()

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._exchange:
            self._exchange.resume()
        elif self.state is State.IDLE:
            self._rest()
            self._go_on()

    # -- reading

    def _yield_turn(self) -> None:
        """Read on after all others had their turn: the event loop would take megabytes of one upload before the next probe."""
        if self._transport and not self._read_paused:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        if self._transport and not self._read_paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def _advance(self) -> None:
        if self._transport is None or self.state in (State.LINGERING, State.BUSY):
            return
        try:
            if self.state in (State.IDLE, State.HEAD) and not self._read_head():
                return
            body = self._intake.body()
        except Refusal as refusal:
            self.refuse(refusal)
        else:
            if body is not None:
                self._dispatch(body)

    def _read_head(self) -> bool:
        """Whether a head is there whole; it is then parsed and admitted, and its body can be read."""
        raw = self._intake.raw_head()
        if raw is None:
            if self._intake.buffer and self.state is State.IDLE:
                self._wait(State.HEAD, self._head_timeout_s)
            return False
        self._line, self.request_id = AccessLine(), b""
        self.state = State.BODY
        self._admit(parse_request_head(raw))
        return True

    def _admit(self, head: RequestHead) -> None:
        assert self._place is not None
        self._head = head
        request_id = head.value(b"x-request-id")
        self.request_id = request_id if _REQUEST_ID.fullmatch(request_id) else uuid.uuid4().hex.encode()
        self.closes_after_answer = not head.keep_alive or self._gateway.draining or self._place.refusal is not None
        probes = head.path in OPEN_PATHS
        if self._place.refusal and not probes:
            crowded = self._place.refusal
            raise Refusal(crowded.status, crowded.code, crowded.message, fields=((b"retry-after", b"1"),))
        self._gateway.admission.check(head)
        if not (probes or head.path.startswith("/v1/") or head.path in self._settings.passed_paths):
            raise Refusal(404, "not_found", f"there is no {head.path} here; the engine's API is under /v1/")
        # Whoever need not say who it is gets no memory for it: a probe's body would be thrown away.
        limit = self._settings.max_head_bytes if probes else self._settings.max_body_bytes
        self.deadline_s = self._intake.expect_body(head, limit=limit, now_s=self._clock_s())
        if not probes:
            self._place.known = True
            self._gateway.places.begin(self._place)
        awaited = head.chunked or head.length
        if head.expects_continue and awaited and not self._intake.buffer and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _dispatch(self, body: bytearray) -> None:
        assert self._head is not None
        assert self._place is not None
        if self._head.path in OPEN_PATHS:
            self._gateway.places.begin(self._place)
            self._intake.release()
            self._wait(State.BUSY, self._settings.head_timeout_s)
            self._task = asyncio.get_running_loop().create_task(self._control(self._head, bytes(body)))
            return
        self._wait(State.BUSY, self._settings.first_byte_timeout_s)
        gateway = self._gateway
        self._exchange = Exchange(self, self._head, body, settings=self._settings, engine=gateway.engine, pool=gateway.pool)
        self._exchange.start()

    # -- answering

    async def _control(self, head: RequestHead, body: bytes) -> None:
        status, fields, content = await bridge.call(self._gateway.control, head, body)
        fields = (*fields, (b"x-request-id", self.request_id))
        self.answer_begins(status)
        self.send(reply(status, content, fields=fields, close=self.closes_after_answer, head_only=head.method == b"HEAD"))
        self.answered(keep_alive=True)

    def answer_begins(self, status: int) -> None:
        self._line.status = status

    def request_is_sent(self) -> None:
        """The engine has the whole request: its body is no longer in memory here."""
        self._intake.release()

    def send(self, data: bytes) -> None:
        """Bytes of the present answer; each call is a sign that it does not stand still."""
        if self._transport:
            self._line.sent += len(data)
            self.deadline_s = self._clock_s() + self._settings.idle_timeout_s
            self._transport.write(data)

    def answered(self, *, keep_alive: bool) -> None:
        """The present answer is whole."""
        self._note("")
        self._exchange = self._task = self._head = None
        self._intake.release()
        if self._transport is None:
            return
        if not keep_alive or self.closes_after_answer or self._gateway.draining:
            self._transport.close()
            self._wait(State.LINGERING, self._settings.idle_timeout_s)
            return
        self._wait(State.IDLE, self._settings.keep_alive_s)
        self._rest()
        if not self._write_paused:
            self._go_on()

    def _go_on(self) -> None:
        """To the next request, if it is there already."""
        if self._read_paused and self._transport:
            self._read_paused = False
            self._transport.resume_reading()
        if self._intake.buffer:
            asyncio.get_running_loop().call_soon(self._advance)

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error. What was not read whole cannot be followed by another request: the connection then ends."""
        read_whole = self.state is State.BUSY
        self._line.status = refusal.status
        fields = (*refusal.fields, (b"x-request-id", self.request_id or uuid.uuid4().hex.encode()))
        close = not read_whole or self.closes_after_answer
        head_only = self._head is not None and self._head.method == b"HEAD"
        self.send(reply(refusal.status, refusal.body(), fields=fields, close=close, head_only=head_only))
        if read_whole:
            self.answered(keep_alive=True)
            return
        self._note(refusal.code)
        self._drop_work()
        self._rest()
        self._wait(State.LINGERING, _LINGER_S)
        if self._transport and self._transport.can_write_eof():
            self._transport.write_eof()

    def abort(self, reason: str, *, framed: bool) -> None:
        """Cut an answer that cannot be finished, so that nobody takes it for whole."""
        self._note(reason)
        self._exchange = None
        self._wait(State.LINGERING, _LINGER_S)
        if self._transport is None:
            return
        if framed:
            # What was sent so far is still delivered; the bytes that would end the answer never come.
            self._transport.close()
            return
        # A plain end of this connection would be the end of the answer: a reset is not.
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    # -- time and end

    def expire(self) -> None:
        """The deadline has passed."""
        match self.state:
            case State.IDLE:
                self._close()
            case State.HEAD:
                self.refuse(Refusal(408, "request_timeout", "the request's head did not come in time"))
            case State.BODY:
                try:
                    self.deadline_s = self._intake.next_deadline_s(self._clock_s())
                except Refusal as refusal:
                    self.refuse(refusal)
            case State.BUSY if self._exchange:
                self._exchange.timed_out()
            case _:
                self.cut()

    def drain(self) -> None:
        """Take no further request; end now unless one is under way."""
        self.closes_after_answer = True
        if self.state is State.IDLE:
            self._close()

    def _close(self) -> None:
        if self._transport:
            self._transport.close()

    def make_room(self) -> bool:
        """End at once, unless somebody known still reads the end of an answer."""
        known = self._place is not None and self._place.known
        if known and self._transport and self._transport.get_write_buffer_size():
            return False
        self.cut()
        return True

    def cut(self) -> None:
        """End at once, whatever is under way."""
        if self._transport:
            self._transport.abort()

    def _drop_work(self) -> None:
        exchange, task = self._exchange, self._task
        self._exchange = self._task = self._head = None
        self._intake.clear()
        if exchange:
            exchange.cancel()
        if task:
            task.cancel()

    @property
    def _head_timeout_s(self) -> float:
        kept = self._place is not None and self._place.refusal is not None
        return self._settings.probe_timeout_s if kept else self._settings.head_timeout_s

    def _rest(self) -> None:
        """Silent from now on: others that come may need the place."""
        if self._place:
            self._gateway.places.rest(self._place)

    def _wait(self, state: State, seconds: float) -> None:
        self.state = state
        self.deadline_s = self._clock_s() + seconds

    def _note(self, remark: str) -> None:
        if self._settings.access_log:
            self._line.write(self.address, self._head, self.request_id, remark=remark)
