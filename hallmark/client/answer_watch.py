"""Looks at every answer that the checks of a cell get, whatever they ask for: no request is made for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hallmark.client import detectors
from hallmark.client.detectors import Seen

DETECTORS = ("created", "ids", "usage", "logprobs", "marks", "repetition", "characters")
_EXAMPLES = 3
_TEXTS = 4
"""So many different answers to one greedy request are kept."""


@dataclass(slots=True)
class Findings:
    """What one detector found."""

    count: int = 0
    examples: list[str] = field(default_factory=list)
    """The first ones."""

    def add(self, what: str, seen: Seen) -> None:
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{what}; asked {json.dumps(seen.asked, ensure_ascii=False)[:200]}")


@dataclass(slots=True)
class _Greedy:
    """What one greedy request was answered with."""

    texts: dict[str, bool] = field(default_factory=dict)
    """Text -> whether it is one character again and again."""


@dataclass(slots=True)
class AnswerWatch:
    """Of one server. Clients hand it their answers, from any thread."""

    answers: int = 0
    found: dict[str, Findings] = field(default_factory=lambda: {name: Findings() for name in DETECTORS})
    """By detector, what is a fault of the server."""
    noted: dict[str, Findings] = field(default_factory=lambda: {name: Findings() for name in DETECTORS})
    """What may be the model's doing as well."""
    marks: list[tuple[str, Seen]] = field(default_factory=list)
    """Marks in texts; which are special tokens of the model, its tokenizer knows."""
    canaries: dict[str, list[str]] = field(default_factory=dict)
    """Path -> what its canary said before anything happened to the server (`canary.py`)."""
    _ids: set[str] = field(default_factory=set)
    _greedy: dict[str, _Greedy] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def whole(self, asked: object, text: str, *, named: bool = False) -> None:
        """An answer under status 200. `named`: the request had an X-Request-Id, which some servers make the answer's id."""
        try:
            body = json.loads(text)
        except ValueError:
            return
        if isinstance(body, Mapping):
            self.body(asked, body, named=named)

    def body(self, asked: object, body: Mapping[str, Any], *, named: bool = False) -> None:
        """What was read of an answer under status 200."""
        if "choices" in body or body.get("object") == "response" or "usage" in body:
            self._look(detectors.seen_in(asked, body), named=named)

    def stream(self, asked: object, events: Sequence[Mapping[str, Any]], *, complete: bool, named: bool = False) -> None:
        """The events of a stream as far as it was read."""
        if events:
            self._look(detectors.seen_in_stream(asked, events, complete=complete), named=named)

    def to_plain(self) -> dict[str, Any]:
        """What another process has seen, for `add_plain` of this one's. Marks and ids stay there."""
        kinds = {"found": self.found, "noted": self.noted}
        return {"answers": self.answers} | {
            kind: {name: [one.count, one.examples] for name, one in by_name.items()} for kind, by_name in kinds.items()
        }

    def add_plain(self, plain: Mapping[str, Any]) -> None:
        """Count what another process has seen of the same server as seen here."""
        with self._lock:
            self.answers += plain["answers"]
            for kind, by_name in (("found", self.found), ("noted", self.noted)):
                for name, (count, examples) in plain[kind].items():
                    by_name[name].count += count
                    by_name[name].examples = [*by_name[name].examples, *examples][:_EXAMPLES]

    def _look(self, seen: Seen, *, named: bool) -> None:
        with self._lock:
            self.answers += 1
            for name, rule in _RULES.items():
                if told := rule(seen):
                    self.found[name].add(told, seen)
            if not named:
                self._look_at_ids(seen)
            self.marks += [(mark, seen) for mark in detectors.marks_in(seen)]
            if detectors.BROKEN in seen.text:
                self.noted["characters"].add(f"broken characters in {seen.text[:80]!r}", seen)
            if detectors.repeats(seen):
                self.noted["repetition"].add(f"the text ends in a repetition: {seen.text[-80:]!r}", seen)
            if seen.complete and seen.text:
                self._compare(seen)

    def _look_at_ids(self, seen: Seen) -> None:
        for id_ in seen.ids:
            if id_ in self._ids:
                self.found["ids"].add(f"the id {id_!r} is that of an earlier answer", seen)
        self._ids.update(seen.ids)

    def _compare(self, seen: Seen) -> None:
        """With what the same greedy request was answered before."""
        if not (key := seen.key):
            return
        known = self._greedy.setdefault(key, _Greedy())
        one_character = detectors.repeats_one_character(seen)
        if seen.text in known.texts:
            return
        for other, alike in known.texts.items():
            if not seen.bound and one_character != alike and other[:1] != seen.text[:1]:
                told = f"the same greedy request is answered {seen.text[:40]!r} and {other[:40]!r}"
                self.found["repetition"].add(told, seen)
                break
            if detectors.is_broken_copy(seen.text, other) or detectors.is_broken_copy(other, seen.text):
                told = f"the same greedy request is answered {seen.text[:80]!r} and {other[:80]!r}"
                self.found["characters"].add(told, seen)
                break
        if len(known.texts) < _TEXTS:
            known.texts[seen.text] = one_character

    def judge_marks(self, special: Collection[str]) -> None:
        """Tell those marks that are special tokens of the model from what it spelled."""
        with self._lock:
            marks, self.marks = self.marks, []
            for mark, seen in marks:
                sure = mark in special and detectors.is_leak(seen, mark)
                (self.found if sure else self.noted)["marks"].add(f"{mark!r} in {seen.text[-80:]!r}", seen)


_RULES: Mapping[str, Callable[[Seen], str]] = {
    "created": detectors.wrong_created,
    "usage": detectors.wrong_usage,
    "logprobs": detectors.wrong_logprobs,
    "characters": detectors.breaks_characters,
}
