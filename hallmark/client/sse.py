"""Server-sent events, strictly: bytes in any pieces -> events -> the JSON bodies of an OpenAI stream. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hallmark.client.errors import StreamBroken, StreamedError, StreamTruncated
from hallmark.client.strict_json import read_json

DONE = "[DONE]"
ENDS = ("response.completed", "response.incomplete", "response.failed")
"""The events that end a stream of `/v1/responses`."""
_SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    data: str
    name: str = ""


class SseParser:
    """Feeds on bytes, split anywhere, and gives each event when the blank line that ends it is there."""

    def __init__(self) -> None:
        self._rest = b""
        self._after_cr = False
        self._first = True
        self._data: list[str] = []
        self._name = ""

    @property
    def unfinished(self) -> bool:
        """Whether the stream, if it ended here, would end inside an event."""
        return bool(self._rest or self._data or self._name)

    def feed(self, data: bytes) -> list[Event]:
        return [event for line in self._lines(data) if (event := self._take(line)) is not None]

    def _lines(self, data: bytes) -> Iterator[str]:
        """Whole lines; a line ends with LF, CR LF or CR, and is decoded only when whole: no character is ever split."""
        if data and self._after_cr:
            data, self._after_cr = data.removeprefix(b"\n"), False
        *whole, self._rest = (self._rest + data).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        # A CR at the very end has ended its line; if an LF follows, it belongs to it.
        self._after_cr = self._after_cr or data.endswith(b"\r")
        for line in whole:
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as exc:
                raise StreamBroken(f"a line of the stream is not UTF-8: {line[:_SHOWN]!r}") from exc
            yield text.removeprefix("\ufeff") if self._first else text
            self._first = False

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "data":
                self._data.append(value)
            case "event":
                self._name = value
            case "" | "id" | "retry":  # a comment, or what only a reconnecting client needs
                pass
            case _:
                raise StreamBroken(f"not a line of server-sent events: {line[:_SHOWN]!r}")
        return None

    def _dispatch(self) -> Event | None:
        data, name = self._data, self._name
        self._data, self._name = [], ""
        return Event(data="\n".join(data), name=name) if data else None


def json_events(pieces: Iterable[bytes], *, on_done: Callable[[], None] = lambda: None) -> Iterator[dict[str, Any]]:
    """The bodies of an OpenAI stream up to `[DONE]`; StreamBroken, StreamTruncated or StreamedError otherwise.

    `on_done` is called as soon as that has come: the end of the answer has to follow.
    """
    parser = SseParser()
    done = False
    for piece in pieces:
        for event in parser.feed(piece):
            if done:
                raise StreamBroken(f"the stream goes on after [DONE]: {event.data[:_SHOWN]!r}")
            done = event.data == DONE
            if done:
                on_done()
            else:
                yield body_of(event)
    if not done:
        raise StreamTruncated("the stream ended inside an event" if parser.unfinished else "the stream ended without [DONE]")


def body_of(event: Event) -> dict[str, Any]:
    """The JSON object of one event; StreamedError when it reports an error instead of an answer."""
    try:
        body = read_json(event.data)
    except ValueError as exc:
        raise StreamBroken(f"an event is not JSON ({exc}): {event.data[:_SHOWN]!r}") from exc
    if not isinstance(body, dict):
        raise StreamBroken(f"an event is not a JSON object: {event.data[:_SHOWN]!r}")
    if reports_error(body) or event.name == "error":  # some gateways name the event
        raise StreamedError(f"the stream reports an error: {event.data[:_SHOWN]}")
    return body


def reports_error(body: Mapping[str, Any]) -> bool:
    """Whether an event's body is an error: vLLM nests it; older releases and some gateways send it flat."""
    return body.get("error") is not None or body.get("object") == "error"


def typed_events(pieces: Iterable[bytes], *, on_done: Callable[[], None] = lambda: None) -> Iterator[dict[str, Any]]:
    """The bodies of a stream of `/v1/responses`, up to the one that ends it; StreamBroken, StreamTruncated or StreamedError.

    OpenAI's own ends with that event; other servers send `[DONE]` after it, which is as good. Nothing else may follow.
    """
    parser = SseParser()
    ended = done = False
    for piece in pieces:
        for event in parser.feed(piece):
            if done or (ended and event.data != DONE):
                raise StreamBroken(f"the stream goes on after its end: {event.data[:_SHOWN]!r}")
            if event.data == DONE:
                done = True
                if not ended:
                    raise StreamTruncated(f"[DONE] comes, and none of {', '.join(ENDS)} came before it")
                continue
            body = _typed(event)
            ended = body["type"] in ENDS
            if ended:
                on_done()
            yield body
    if not ended:
        raise StreamTruncated("the stream ended inside an event" if parser.unfinished else f"the stream ended without {ENDS[0]}")


def _typed(event: Event) -> dict[str, Any]:
    body = body_of(event)
    kind = body.get("type")
    if kind == "error":
        raise StreamedError(f"the stream reports an error: {event.data[:_SHOWN]}")
    if not isinstance(kind, str):
        raise StreamBroken(f"an event does not say its type: {event.data[:_SHOWN]!r}")
    if event.name and event.name != kind:
        raise StreamBroken(f"an event is named {event.name!r}, and its type is {kind!r}")
    return body
