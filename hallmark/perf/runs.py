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
from operator import add, itemgetter
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
_AT_ONCE = 64
"""So many events are compared at once: some 20 kB, which stay in a core's own cache."""
_CUT_AT_ONCE, _CUT_PIECES = 1 << 19, 4_096
"""Bytes, and pieces: no more are cut at once, so that it takes no longer than a millisecond or two."""
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
        return isinstance(delta, dict) and bool(delta.get("role"))


@dataclass(frozen=True, slots=True)
class _Template:
    """An event without its text."""

    before: bytes
    after: bytes
    body: Mapping[str, Any]
    place: tuple[str, ...]

    def fits(self, event: bytes) -> bool:
        """Whether an event is like this one, as far as it is not text."""
        before, after = self.before, self.after
        return len(event) >= len(before) + len(after) and event.startswith(before) and event.endswith(after)

    def texts_in(self, events: Sequence[bytes]) -> list[bytes]:
        """The raw texts of the first events, as far as they fit."""
        last = len(events)
        while last and not self.fits(events[last - 1]):  # as a rule it is the last ones that are others
            last -= 1
        between, text = self.after + self.before, itemgetter(slice(len(self.before), -len(self.after)))
        texts: list[bytes] = []
        for first in range(0, last, _AT_ONCE):
            some = events[first : min(first + _AT_ONCE, last)]
            found = list(map(text, some))
            # Equal only if each event fits: to one that is too short this adds bytes.
            if self.before + between.join(found) + self.after != b"".join(some):
                return texts + [text(event) for event in itertools.takewhile(self.fits, some)]
            texts += found
        return texts


def runs_of(pieces: Sequence[tuple[float, bytes]]) -> Iterator[Run]:
    """The events of a stream up to `[DONE]`, from its body's pieces, each with the moment at which it came (in seconds).

    StreamBroken, StreamTruncated or StreamedError, each where an event at a time would raise it.
    """
    moments, data = map(list, zip(*pieces, strict=True)) if pieces else ([], [])
    return iter(_Runs(moments, data))


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
    """Iterated once, from the beginning of a stream to its end."""

    def __init__(self, moments: list[float], pieces: list[bytes]) -> None:
        self._moments, self._events = moments, pieces
        """What is read next, from `_next` on. Pieces are taken for an event each, as most servers write them, up to the first
        that is not: from there on they are put together and cut where events end."""
        self._next = 0
        self._cut = self._to_cut = False
        self._uncut: tuple[list[float], list[bytes]] = [], []
        self._tail = b""
        """Of what was cut, what is no event yet."""
        self._has_cr = False
        """Whether a line of what is left may end in CR."""
        self._parser = SseParser()
        self._begun = self._done = False
        self._template: _Template | None = None
        self._in_vain = 0

    def __iter__(self) -> Iterator[Run]:
        while self._next < len(self._events) or self._cut_more():
            if run := self._many():
                yield run
            elif self._cut or (not self._to_cut and _ends_once(self._events[self._next])):
                yield from self._one()
            else:
                self._begin_to_cut()
        for moment, piece in zip(*self._uncut, strict=True):
            yield from self._strictly(moment, piece)
        if not self._done:
            raise StreamTruncated("the stream ended without [DONE]")

    def _one(self) -> Iterable[Run]:
        """The next event, read by itself; nothing of a comment, [DONE], and what is left at the end."""
        moment, event = self._moments[self._next], self._events[self._next]
        self._next += 1
        # The parser has to have the first line: it takes a byte order mark off that one and off no other.
        if self._begun and not self._done and (body := _usual_in(event)) is not None:
            return (self._alone(moment, event, body),)
        return self._strictly(moment, event)

    def _begin_to_cut(self) -> None:
        """Take the pieces that are left for what they may be."""
        self._cut, self._uncut = True, (self._moments[self._next :], self._events[self._next :])
        self._moments, self._events, self._next = [], [], 0
        # Other ends of lines than LF are rare, and not worth a second way to be wrong: all that is left is read strictly.
        self._has_cr = b"\r" in b"".join(self._uncut[1])

    def _cut_more(self) -> bool:
        """Cut so much as does not take long; whether there was any that can be cut."""
        self._moments, self._events, self._next = [], [], 0
        moments, pieces = self._uncut
        while pieces and not self._events and not self._has_cr:
            ends = list(itertools.accumulate(map(len, pieces[:_CUT_PIECES]), initial=len(self._tail)))[1:]
            del ends[bisect_left(ends, _CUT_AT_ONCE) + 1 :]
            *events, self._tail = b"".join((self._tail, *pieces[: len(ends)])).split(_END)
            self._events = list(map(add, events, itertools.repeat(_END)))
            if self._tail and len(ends) == len(pieces):
                self._events.append(self._tail)
            places = map(bisect_left, itertools.repeat(ends), itertools.accumulate(map(len, self._events)))
            self._moments = list(map(moments.__getitem__, places))
            moments, pieces = self._uncut = moments[len(ends) :], pieces[len(ends) :]
        return bool(self._events)

    def _strictly(self, moment: float, data: bytes) -> Iterator[Run]:
        """The events that end in it."""
        self._begun = True
        for event in self._parser.feed(data):
            if self._done:
                raise StreamBroken(f"the stream goes on after [DONE]: {event.data[:_SHOWN]!r}")
            self._done = event.data == DONE
            if not self._done:
                yield self._alone(moment, data, body_of(event))

    def _alone(self, moment: float, event: bytes, body: dict[str, Any]) -> Run:
        self._template = self._template_for_next(event, body)
        return _alone(body, moment)

    def _template_for_next(self, event: bytes, body: dict[str, Any]) -> _Template | None:
        """What the event that follows may be like; None where it has another end, or where that was in vain before."""
        if self._in_vain >= _MOST_IN_VAIN or self._next >= len(self._events):
            return None
        if self._events[self._next][-_LOOK:] != event[-_LOOK:]:
            return None
        self._in_vain += 1
        return _template_of(event, body)

    def _many(self) -> Run | None:
        """As many events as follow and are like the last one that was read by itself; None where the next one is not."""
        template, first = self._template, self._next
        if not template or self._done or not template.fits(self._events[first]):
            return None
        texts = template.texts_in(self._events[first : first + _MOST])
        said = _read(texts)
        if said is None:  # a piece is two events, or one of the texts is none: the strict reader says which, and what is wrong
            if self._cut:
                self._template, self._in_vain = None, _MOST_IN_VAIN
            self._to_cut = True
            return None
        self._next += len(texts)
        if len(texts) >= _FEW:
            self._in_vain = 0
        moments = array("d", self._moments[first : self._next])
        return Run(_put(template.body, template.place, "".join(said)), moments, bytes(map(bool, said)))


def _read(texts: list[bytes]) -> list[str] | None:
    """What the insides of JSON strings say; None where one of them is no such thing.

    A text may close its string and open a list that a later one closes. So many values may come out of that; not so many strings.
    """
    try:
        said: list[str] = read_json_bytes(b'["' + _BETWEEN.join(texts) + b'"]')
        return said if len(said) == len(texts) and set(map(type, said)) == {str} else None
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
            return _Template(before, after + _END, body, place)
    return None


def _ends_once(piece: bytes) -> bool:
    """Whether it is one event, or what is passed over as one is, if it begins one."""
    return piece.endswith(_END) and piece.find(_END) == len(piece) - len(_END) and b"\r" not in piece


def _usual_in(segment: bytes) -> dict[str, Any] | None:
    """What an event says that is one line of data and no error; None where the strict reader has to look."""
    if not (segment.startswith(_USUAL) and segment.endswith(_END)) or segment.find(b"\n") != len(segment) - len(_END):
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
    said = delta if isinstance(delta, dict) else {}
    found: tuple[str, ...] = ()
    for place in _PLACES if said else _PLACES[:1]:
        text = choice.get("text") if place == _PLACES[0] else said.get(place[-1])
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
