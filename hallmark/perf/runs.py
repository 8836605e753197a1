"""A stream taken apart in runs: events that are the same bytes but for their text. As strict as an event at a time, and quick.

The first event of a run is read by the strict reader, and once more with another text in its place: if that text alone is what
changes, the bytes around it are proved to be around a text. An event with the same bytes around another text says the same, as
long as what lies between them is the inside of a JSON string; the strict reader decides that for many of them at once. Events
that are not alike are read one by one.
"""

from __future__ import annotations

import itertools
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hallmark.client.errors import StreamBroken, StreamTruncated
from hallmark.client.sse import DONE, SseParser, body_of
from hallmark.client.strict_json import read_json
from hallmark.core.errors import CheckFailed

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHOWN = 200
_END = b"\n\n"
_BETWEEN = b'"\n,"'
"""Between texts that are read together. No string holds a line end as it is, so that no text can reach over it unseen."""
_MOST = 512
"""So many events are taken together: the time between two runs, in which nothing else may be done, stays under 0.5 ms."""
_LOOK = 16
"""Bytes at the end of an event that tell at once whether the next one may be like it."""
_MOST_OF_TEMPLATE = 8_192
_FEW, _MOST_IN_VAIN = 16, 8
"""After so many templates in a row that had few events each, a stream is read event by event."""
_TEXT = re.compile(rb'"(?:text|content|reasoning|reasoning_content)"\s*:\s*"((?:[^"\\\n]|\\.)*)"')
_PLACES = (("text",), ("delta", "content"), ("delta", "reasoning"), ("delta", "reasoning_content"))
"""Where the text of a choice may be."""
_OTHER = "another text"


@dataclass(frozen=True, slots=True)
class Run:
    """One event, or some that follow one another and differ in their text alone."""

    body: dict[str, Any]
    """What each of them says; the text of its choice is that of all of them together."""
    moments: array[float]
    """When each of them was complete."""
    spoken: bytes
    """Of each of them, 1 where it has text and 0 where it has none."""

    @property
    def announces(self) -> bool:
        """Whether those without text tell who will speak, as the first event of a chat does, and are no tokens."""
        delta = first_choice(self.body).get("delta")
        return isinstance(delta, Mapping) and bool(delta.get("role"))


@dataclass(frozen=True, slots=True)
class _Template:
    """An event without its text."""

    before: bytes
    after: bytes
    """Up to the end of its line."""
    body: Mapping[str, Any]
    place: tuple[str, ...]

    def with_text(self, text: str) -> dict[str, Any]:
        return _put(self.body, self.place, text)


def runs_of(pieces: Iterable[tuple[float, bytes]]) -> Iterator[Run]:
    """The events of a stream up to `[DONE]`, from its body's pieces, each with the moment at which it came (in seconds).

    StreamBroken, StreamTruncated or StreamedError, each where an event at a time would raise it.
    """
    pieces = list(pieces)
    data = b"".join([piece for _, piece in pieces])
    if b"\r" in data:  # other ends of lines than LF: rare, and not worth a second way to be wrong
        return (_alone(body, moment) for moment, body in events_of(pieces))
    return iter(_Runs(data, _Clock(pieces)))


def events_of(pieces: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, dict[str, Any]]]:
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


class _Clock:
    """When which byte came."""

    def __init__(self, pieces: Sequence[tuple[float, bytes]]) -> None:
        self._moments = np.array([moment for moment, _ in pieces], float)
        self._ends = np.cumsum(np.array([len(data) for _, data in pieces], np.int64))

    def at(self, end: int) -> float:
        """The moment at which so many bytes, counted from the first, were there."""
        return float(self._moments[self._ends.searchsorted(end)])

    def all_at(self, ends: NDArray[np.int64]) -> array[float]:
        """The moments of many."""
        return array("d", self._moments[self._ends.searchsorted(ends)].tobytes())


class _Runs:
    """Iterated once, from the beginning of the data to its end."""

    def __init__(self, data: bytes, clock: _Clock) -> None:
        self._data = data
        self._clock = clock
        self._lines = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
        """Where they end."""
        self._at = 0
        self._parser = SseParser()
        self._done = False
        self._template: _Template | None = None
        self._in_vain = 0

    def __iter__(self) -> Iterator[Run]:
        while self._at < len(self._data):
            if run := self._many() or self._one():
                yield run
        if not self._done:
            raise StreamTruncated("the stream ended without [DONE]")

    def _one(self) -> Run | None:
        """The next event, read strictly; None for a comment, [DONE], and what is left at the end."""
        found = self._data.find(_END, self._at)
        end = found + len(_END) if found >= 0 else len(self._data)
        segment, self._at = self._data[self._at : end], end
        for event in self._parser.feed(segment):
            if self._done:
                raise StreamBroken(f"the stream goes on after [DONE]: {event.data[:_SHOWN]!r}")
            self._done = event.data == DONE
            if not self._done:
                body = body_of(event)
                self._template = self._template_for_next(segment, body)
                return _alone(body, self._clock.at(end))
        return None

    def _template_for_next(self, segment: bytes, body: dict[str, Any]) -> _Template | None:
        """What the event that follows may be like; None where it has another end, or where that was in vain before."""
        if self._in_vain >= _MOST_IN_VAIN:
            return None
        following = self._data.find(_END, self._at) + len(_END)
        if self._data[following - _LOOK : following] != segment[-_LOOK:]:
            return None
        self._in_vain += 1
        return _template_of(segment, body)

    def _many(self) -> Run | None:
        """As many events as follow and are like the last one that was read strictly; None where that is not one."""
        template = self._template
        if not template or self._done or not self._data.startswith(template.before, self._at):
            return None
        texts, ends = self._alike(template)
        if not texts:
            return None
        said = _read(texts)
        if said is None:  # one of them is none: the strict reader will say which, and what is wrong with it
            self._template, self._in_vain = None, _MOST_IN_VAIN
            return None
        if len(texts) >= _FEW:
            self._in_vain = 0
        self._at = int(ends[-1])
        return Run(template.with_text("".join(said)), self._clock.all_at(ends), bytes(map(bool, said)))

    def _alike(self, template: _Template) -> tuple[list[bytes], NDArray[np.int64]]:
        """The raw texts of the events that follow, as far as they are like this one, and where each event ends."""
        data, before, after = self._data, template.before, template.after
        first = self._lines.searchsorted(self._at)
        blanks = self._lines[first + 1 : first + 2 * _MOST : 2]
        lines = self._lines[first : first + 2 * len(blanks) : 2]
        bounds = np.concatenate(([self._at], blanks + 1))
        begins, ends = bounds[:-1] + len(before), lines - len(after)
        possible = (blanks == lines + 1) & (begins <= ends)
        count = len(possible) if possible.all() else int(possible.argmin())
        spans = list(zip(begins[:count].tolist(), ends[:count].tolist(), strict=True))

        def fits(span: tuple[int, int]) -> bool:
            return data.startswith(before, span[0] - len(before)) and data.startswith(after, span[1])

        while spans and not fits(spans[-1]):  # as a rule it is the last ones that are others
            spans.pop()
        texts = [data[begin:end] for begin, end in spans]
        if not data.startswith(before + (after + _END + before).join(texts) + after, self._at):
            texts = [data[begin:end] for begin, end in itertools.takewhile(fits, spans)]
        return texts, bounds[1 : len(texts) + 1]


def _read(texts: list[bytes]) -> list[str] | None:
    """What the insides of JSON strings say; None where one of them is no such thing."""
    try:
        said: list[str] = read_json((b'["' + _BETWEEN.join(texts) + b'"]').decode("utf-8"))
    except ValueError:
        return None
    return said if len(said) == len(texts) else None


def _template_of(segment: bytes, body: dict[str, Any]) -> _Template | None:
    """The event without its text; None where it has none, or where that of others like it could be more than a text."""
    choice = first_choice(body)
    place = _place_of(choice)
    if not place or len(body["choices"]) > 1 or choice.get("logprobs") is not None or len(segment) > _MOST_OF_TEMPLATE:
        return None
    if any(_at(choice, other) for other in _PLACES if other != place):
        return None
    expected = _put(body, place, _OTHER)
    line = segment.removesuffix(_END)
    for found in _TEXT.finditer(line) if b"\n" not in line else ():
        before, after = line[: found.start(1)], line[found.end(1) :]
        if _event_in(before + _OTHER.encode() + after + _END) == expected:
            return _Template(before, after, body, place)
    return None


def _event_in(segment: bytes) -> dict[str, Any] | None:
    try:
        return next((body_of(event) for event in SseParser().feed(segment)), None)
    except CheckFailed:
        return None


def _alone(body: dict[str, Any], moment: float) -> Run:
    choice = first_choice(body)
    return Run(body, array("d", [moment]), bytes([bool(text_of(choice))]))


def first_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of an event; empty where it has none. StreamBroken for choices that are none."""
    choices = body.get("choices") or [{}]
    if not isinstance(choices, list) or not isinstance(choices[0], Mapping):
        raise StreamBroken(f"the choices of an event are {str(choices)[:_SHOWN]}, no list of objects")
    return choices[0]


def text_of(choice: Mapping[str, Any]) -> str:
    """What it adds to a completion or a chat; StreamBroken where that is no text."""
    place = _place_of(choice)
    return str(_at(choice, place)) if place else ""


def _place_of(choice: Mapping[str, Any]) -> tuple[str, ...]:
    """Where its text is, preferably one that is not empty; nowhere for a choice without."""
    texts = {place: text for place in _PLACES if (text := _at(choice, place)) is not None}
    for text in texts.values():
        if not isinstance(text, str):
            raise StreamBroken(f"the text of an event is {str(text)[:_SHOWN]}, no text")
    return next((place for place, text in texts.items() if text), next(iter(texts), ()))


def _at(choice: Mapping[str, Any], place: tuple[str, ...]) -> Any:
    found: Any = choice
    for name in place:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _put(body: Mapping[str, Any], place: tuple[str, ...], text: str) -> dict[str, Any]:
    """A copy of an event with one choice, with another text in its place."""
    choice = body["choices"][0]
    changed = {**choice, "text": text} if place == ("text",) else {**choice, "delta": {**choice["delta"], place[-1]: text}}
    return {**body, "choices": [changed]}
