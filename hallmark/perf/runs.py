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
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from hallmark.client.errors import StreamBroken, StreamTruncated
from hallmark.client.sse import DONE, SseParser, body_of, reports_error
from hallmark.client.strict_json import read_json_bytes
from hallmark.core.errors import CheckFailed

_SHOWN = 200
_END = b"\n\n"
_BETWEEN = b'"\n,"'
"""Between texts that are read together. No string holds a line end as it is, so that no text can reach over it unseen."""
_MOST = 512
"""So many events are taken together: the time between two runs, in which nothing else may be done, stays under 0.5 ms."""
_USUAL = b"data: {"
_USUAL_TEXT = 16
"""Bytes."""
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

    @property
    def around(self) -> int:
        """Bytes of an event besides its text."""
        return len(self.before) + len(self.after) + len(_END)

    def fits(self, line: bytes, end: bytes = b"") -> bool:
        """Whether a line and what ends it is like this one, as far as it is not text."""
        after = self.after + end
        return len(line) >= len(self.before) + len(after) and line.startswith(self.before) and line.endswith(after)

    def texts_in(self, lines: Sequence[bytes], end: bytes) -> list[bytes]:
        """The raw texts of the first lines, each with the same `end`, as far as they fit."""
        last = len(lines)
        while last and not self.fits(lines[last - 1], end):  # as a rule it is the last ones that are others
            last -= 1
        after = self.after + end
        text = itemgetter(slice(len(self.before), -len(after)))
        lines = lines[:last]
        texts: list[bytes] = list(map(text, lines))
        # Equal only if each line fits: to one that is too short this adds bytes.
        if self.before + (after + self.before).join(texts) + after != b"".join(lines):
            texts = [text(line) for line in itertools.takewhile(lambda line: self.fits(line, end), lines)]
        return texts

    def run(self, said: Sequence[str], moments: Iterable[float]) -> Run:
        return Run(_put(self.body, self.place, "".join(said)), array("d", moments), bytes(map(bool, said)))


def runs_of(pieces: Iterable[tuple[float, bytes]]) -> Iterator[Run]:
    """The events of a stream up to `[DONE]`, from its body's pieces, each with the moment at which it came (in seconds).

    StreamBroken, StreamTruncated or StreamedError, each where an event at a time would raise it.
    """
    pieces = list(pieces)
    moments, parts = [moment for moment, _ in pieces], [part for _, part in pieces]
    data = b"".join(parts)
    if b"\r" in data:  # other ends of lines than LF: rare, and not worth a second way to be wrong
        return (_alone(body, moment) for moment, body in events_of(pieces))
    return iter(_Runs(moments, parts, data))


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


class _Runs:
    """Iterated once, from the beginning of the data to its end."""

    def __init__(self, moments: Sequence[float], pieces: Sequence[bytes], data: bytes) -> None:
        self._moments = moments
        self._pieces = pieces
        self._data = data
        """All of them."""
        self._ends = list(itertools.accumulate(map(len, pieces)))
        """Where each piece ends in the data."""
        self._whole_pieces = True
        """Whether pieces may be an event each, as most servers write them."""
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
        """The next event, read by itself; None for a comment, [DONE], and what is left at the end."""
        found = self._data.find(_END, self._at)
        end = found + len(_END) if found >= 0 else len(self._data)
        # The parser has to have the first line: it takes a byte order mark off that one and off no other.
        may_be_usual, segment = self._at > 0 and not self._done, self._data[self._at : end]
        self._at = end
        if may_be_usual and (body := _usual_in(segment)) is not None:
            return self._alone(segment, body)
        for event in self._parser.feed(segment):
            if self._done:
                raise StreamBroken(f"the stream goes on after [DONE]: {event.data[:_SHOWN]!r}")
            self._done = event.data == DONE
            if not self._done:
                return self._alone(segment, body_of(event))
        return None

    def _alone(self, segment: bytes, body: dict[str, Any]) -> Run:
        self._template = self._template_for_next(segment, body)
        return _alone(body, self._moment(self._at))

    def _moment(self, end: int) -> float:
        """At which so many bytes, counted from the first, were there."""
        return self._moments[bisect_left(self._ends, end)]

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
        """As many events as follow and are like the last one that was read by itself; None where the next one is not."""
        template = self._template
        if not template or self._done or not template.fits(self._data[self._at : self._data.find(_END, self._at)]):
            return None
        run = self._of_pieces(template) or self._of_lines(template)
        if run is None:  # one of the texts is none: the strict reader will say which, and what is wrong with it
            self._template, self._in_vain = None, _MOST_IN_VAIN
        elif len(run.moments) >= _FEW:
            self._in_vain = 0
        return run

    def _of_pieces(self, template: _Template) -> Run | None:
        """Of the pieces that follow; None where they are not an event each."""
        last = bisect_left(self._ends, self._at)
        if self._whole_pieces and self._ends[last] == self._at:
            texts = template.texts_in(self._pieces[last + 1 : last + 1 + _MOST], _END)
            if (said := _read(texts)) is not None:
                self._at = self._ends[last + len(texts)]
                return template.run(said, self._moments[last + 1 : last + 1 + len(texts)])
        self._whole_pieces = False
        return None

    def _of_lines(self, template: _Template) -> Run | None:
        """Of what stands between the ends of lines, however it came; None where a text is none."""
        most = _MOST * (template.around + _USUAL_TEXT) + _MOST_OF_TEMPLATE
        lines = self._data[self._at : self._at + most].split(b"\n")
        blanks = lines[1:-1:2]
        together = blanks.index(next(filter(None, blanks))) if any(blanks) else len(blanks)
        texts = template.texts_in(lines[0 : 2 * min(together, _MOST) : 2], b"")
        if (said := _read(texts)) is None:
            return None
        ends = list(itertools.accumulate([len(text) + template.around for text in texts], initial=self._at))
        self._at = ends[-1]
        return template.run(said, map(self._moment, ends[1:]))


def _read(texts: list[bytes]) -> list[str] | None:
    """What the insides of JSON strings say; None where one of them is no such thing, and where there are none.

    A text may close its string and open a list that a later one closes. So many values may come out of that; not so many strings.
    """
    try:
        said = read_json_bytes(b'["' + _BETWEEN.join(texts) + b'"]') if texts else []
        return said if said and len(said) == len(texts) and set(map(type, said)) == {str} else None
    except ValueError:
        return None


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


def _usual_in(segment: bytes) -> dict[str, Any] | None:
    """What an event says that is one line of data and no error; None where the strict reader has to look."""
    if not segment.startswith(_USUAL) or not segment.endswith(_END) or segment.find(b"\n") != len(segment) - len(_END):
        return None
    try:
        body: dict[str, Any] = read_json_bytes(segment[len(_USUAL) - 1 :])
    except ValueError:
        return None
    return None if reports_error(body) else body


def _event_in(segment: bytes) -> dict[str, Any] | None:
    if (body := _usual_in(segment)) is not None:
        return body
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
    if not isinstance(choices, list) or not isinstance(choices[0], dict):
        raise StreamBroken(f"the choices of an event are {str(choices)[:_SHOWN]}, no list of objects")
    return choices[0]


def text_of(choice: Mapping[str, Any]) -> str:
    """What it adds to a completion or a chat; StreamBroken where that is no text."""
    place = _place_of(choice)
    return str(_at(choice, place)) if place else ""


def _place_of(choice: Mapping[str, Any]) -> tuple[str, ...]:
    """Where its text is, preferably one that is not empty; nowhere for a choice without."""
    delta = choice.get("delta")
    found: tuple[str, ...] = ()
    for place in _PLACES if isinstance(delta, dict) else _PLACES[:1]:
        text = choice.get("text") if place == _PLACES[0] else delta.get(place[-1])
        if text is None:
            continue
        if not isinstance(text, str):
            raise StreamBroken(f"the text of an event is {str(text)[:_SHOWN]}, no text")
        if text and (not found or not _at(choice, found)):
            found = place
        found = found or place
    return found


def _at(choice: Mapping[str, Any], place: tuple[str, ...]) -> Any:
    found: Any = choice
    for name in place:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _put(body: Mapping[str, Any], place: tuple[str, ...], text: str) -> dict[str, Any]:
    """A copy of an event with one choice, with another text in its place."""
    choice = body["choices"][0]
    changed = {**choice, "text": text} if place == ("text",) else {**choice, "delta": {**choice["delta"], place[-1]: text}}
    return {**body, "choices": [changed]}
