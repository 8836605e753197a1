"""Where an answer of the engine ends, found by llhttp (in C) while its bytes pass by unchanged.

Only the two callbacks that say "begun" and "whole" exist, so that a chunk costs no Python: a stream is passed on as
it came, chunk frames included. For a client of HTTP/1.0, which knows no chunks, the frames are taken off.
"""

from __future__ import annotations

import httptools


class BadAnswer(Exception):
    """The engine's bytes are no answer, or more than one."""


class Framing:
    """Fed with a whole answer, head first, in any pieces."""

    def __init__(self) -> None:
        self.whole = False
        self._answers = 0
        self._parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self._answers += 1

    def on_message_complete(self) -> None:
        self.whole = True

    def pass_on(self, data: bytes) -> bytes:
        """Look at `data`, and return what a client gets of it; BadAnswer where it must get nothing of it."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            raise BadAnswer(str(exc)) from exc
        if self._answers > 1:
            raise BadAnswer("bytes after the end of the answer")
        return data


class Unframing(Framing):
    """Passes on the body alone, without chunk frames."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def pass_on(self, data: bytes) -> bytes:
        super().pass_on(data)
        body, self._pieces = b"".join(self._pieces), []
        return body
