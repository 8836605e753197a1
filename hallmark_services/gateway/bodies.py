"""Request bodies, gathered whole from pieces that are split anywhere. Pure.

A body is gathered before the engine hears of it: its limit is then one clear 413, the engine gets one clear
Content-Length, and a request can be sent a second time where an idle connection turns out to be closed.
"""

from __future__ import annotations

import re
from typing import Protocol

from hallmark_services.gateway.heads import RequestHead
from hallmark_services.gateway.refusals import Refusal, bad_request

# Extensions may be there and are dropped; what they may hold leaves no doubt about where the line ends.
_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,16})[ \t]*(?:;[\t\x20-\x7e]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_LONGEST_LINE = 4096
_LONGEST_TRAILER = 16_384


class Body(Protocol):
    content: bytearray

    def feed(self, buffer: bytearray) -> bool:
        """Take from the front of `buffer` what belongs to the body; True when it is whole. May raise Refusal."""


def body_of(head: RequestHead, *, limit: int) -> Body:
    """A gatherer for the body that `head` announces, of at most `limit` bytes; Refusal when it announces more."""
    if head.chunked:
        return ChunkedBody(limit)
    if head.length > limit:
        raise too_large(limit)
    return SizedBody(head.length)


def too_large(limit: int) -> Refusal:
    return Refusal(413, "request_too_large", f"the body is larger than {limit} bytes")


class SizedBody:
    """A body of as many bytes as Content-Length said."""

    def __init__(self, length: int) -> None:
        self.content = bytearray()
        self._missing = length

    def feed(self, buffer: bytearray) -> bool:
        piece = buffer[: self._missing]
        del buffer[: self._missing]
        self.content += piece
        self._missing -= len(piece)
        return not self._missing


class ChunkedBody:
    """A body in chunks: the size lines are taken off, extensions and trailers dropped."""

    def __init__(self, limit: int) -> None:
        self.content = bytearray()
        self._limit = limit
        self._missing = 0
        """Bytes of the present chunk, and of the line end after it, that have not come."""
        self._last = False
        self._trailer = 0

    def feed(self, buffer: bytearray) -> bool:
        while True:
            if self._missing:
                self._take_data(buffer)
                if self._missing:
                    return False
            line = self._line(buffer)
            if line is None:
                return False
            if self._last:
                if not line:
                    return True
                self._take_trailer(line)
            else:
                self._take_size(line)

    def _take_data(self, buffer: bytearray) -> None:
        data = buffer[: max(0, self._missing - 2)]
        self.content += data
        del buffer[: len(data)]
        self._missing -= len(data)
        if self._missing > 2 or len(buffer) < self._missing:
            return
        if buffer[:2] != b"\r\n":
            raise bad_request("a chunk is longer than it said")
        del buffer[:2]
        self._missing = 0

    def _line(self, buffer: bytearray) -> bytes | None:
        end = buffer.find(b"\r\n", 0, _LONGEST_LINE)
        if end < 0:
            if len(buffer) >= _LONGEST_LINE or b"\n" in buffer:
                raise bad_request("a chunk's size line does not end in CR LF")
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        return line

    def _take_size(self, line: bytes) -> None:
        found = _SIZE_LINE.fullmatch(line)
        if not found:
            raise bad_request("a chunk's size is no number")
        size = int(found[1], 16)
        if len(self.content) + size > self._limit:
            raise too_large(self._limit)
        self._last = size == 0
        self._missing = size + 2 if size else 0

    def _take_trailer(self, line: bytes) -> None:
        self._trailer += len(line)
        if not _TRAILER.fullmatch(line) or self._trailer > _LONGEST_TRAILER:
            raise bad_request("the trailer after the last chunk is no header")
