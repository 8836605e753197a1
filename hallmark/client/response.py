"""An HTTP/1.1 answer as its bytes come: its head, its body without framing, and where it ends. Parsed by llhttp, in C."""

from __future__ import annotations

import httptools

from hallmark.client.errors import StreamBroken


class Response:
    """Fed with one whole answer in any pieces. Interim answers (1xx) before it and trailers behind it say nothing of it."""

    def __init__(self) -> None:
        self.status = 0
        """0 until the head is whole."""
        self.reason = ""
        self.headers: dict[str, str] = {}
        """By their names in lower case."""
        self.whole = False
        self.is_last = False
        """Whether the server says that it closes the connection behind it."""
        self.only_interim = False
        """Whether what came so far is interim answers, and the first byte of the answer itself is still to come."""
        self._answers = 0
        self._body: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> bytes:
        """What is in `data` of the body; StreamBroken for what is no HTTP, and for bytes after the answer's end."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            raise StreamBroken(f"the answer is not HTTP: {exc}") from exc
        if self._answers > 1:
            raise StreamBroken("bytes came after the end of the answer")
        body, self._body = b"".join(self._body), []
        return body

    @property
    def ends_with_connection(self) -> bool:
        """Whether nothing but the end of the connection can end it: no length was stated."""
        chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        return self.status > 0 and not chunked and "content-length" not in self.headers

    def __getstate__(self) -> dict[str, object]:
        """Of an answer that is over: a parser cannot be sent to another process, and is not needed any more."""
        return {name: value for name, value in self.__dict__.items() if name != "_parser"}

    # -- called by the parser

    def on_message_begin(self) -> None:
        self._answers += 1
        self.only_interim = False

    def on_status(self, reason: bytes) -> None:
        self.reason += reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 and not self.status:
            self._answers, self.reason, self.headers = 0, "", {}
            return
        self.status = status
        self.is_last = not self._parser.should_keep_alive()  # later it tells of what comes next

    def on_body(self, piece: bytes) -> None:
        self._body.append(piece)

    def on_message_complete(self) -> None:
        self.whole = self.status > 0
        self.only_interim = not self.whole
