"""What becomes of answers that are under way when their server ends, as their clients see it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hallmark.client.asking import COMPLETIONS, text_of
from hallmark.client.errors import NoAnswerInTime
from hallmark.client.text import finish_reason, joined_text, part
from hallmark.client.wire import WireClient
from hallmark.core.errors import CheckFailed

COMPLETE = ("stop", "length")
"""The reasons by which an answer says that it is all there."""
_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """One request and how it ended."""

    began: float
    """`time.monotonic()`, as `ended`."""
    ended: float
    streamed: bool
    text: str = ""
    reason: str = ""
    """Its finish_reason; empty where it has none."""
    error: str = ""
    """What told its client that something is wrong; empty where nothing did."""
    left_waiting: bool = False
    """Whether nothing told its client anything for as long as that waits."""

    def looks_whole(self) -> bool:
        """Whether a client that reads it takes it for an answer that came to its end."""
        return not self.error and self.reason in COMPLETE

    @property
    def told(self) -> str:
        """How it ended, in a few words."""
        return self.error or f"finish_reason {self.reason or None!r}"

    def is_cut(self, alone: str) -> bool:
        """Whether it is only the beginning of the answer that is given otherwise."""
        return self.text != alone and alone.startswith(self.text)


class Askers:
    """Clients who ask for the same long answer again and again, by turns as a stream and whole, until they are told to leave."""

    def __init__(self, client: WireClient, fields: Mapping[str, Any], *, number: int) -> None:
        self.body = client.body(**fields)
        self.alone = text_of(part(client.post(COMPLETIONS, self.body).require(200).json(), "choices", 0))
        """What the answer says when nothing happens to the server."""
        self._client = client
        self._number = number
        self._left = threading.Event()
        self._in_mid_answer = threading.Event()
        self.met: list[Met] = []
        """Every request that was made."""
        self._pool = ThreadPoolExecutor(max_workers=number, thread_name_prefix="hallmark-asker")

    @contextmanager
    def asking(self) -> Iterator[None]:
        """They ask as long as this lasts, which begins when the first of them has read the beginning of an answer. At its end no
        more is asked, and the answers under way are waited for.
        """
        try:
            self._start()
            yield
        finally:
            self._left.set()
            self._pool.shutdown()

    def _start(self) -> None:
        running = [self._pool.submit(self._ask_on, streamed=place % 2 == 0) for place in range(self._number)]
        while not self._in_mid_answer.wait(_POLL_S):
            for one in running:
                if one.done():
                    one.result()  # raises what only a mistake of ours can have raised

    def _ask_on(self, *, streamed: bool) -> None:
        while not self._left.is_set():
            met = meet(self._client, self.body, streamed=streamed, on_text=self._in_mid_answer)
            self.met.append(met)
            if met.error:
                self._in_mid_answer.set()  # no answer will begin to come
                self._left.wait(_POLL_S)


def meet(client: WireClient, body: Mapping[str, Any], *, streamed: bool, on_text: threading.Event | None = None) -> Met:
    """Ask, and tell how it ended, whatever the server did. `on_text` is set when a text has begun to come."""
    began = time.monotonic()
    events: list[dict[str, Any]] = []
    told: dict[str, Any] = {}
    try:
        if streamed:
            for event in client.stream(COMPLETIONS, {**body, "stream": True}):
                events.append(event)
                if on_text and event.get("choices"):
                    on_text.set()
        else:
            choice = part(client.post(COMPLETIONS, body).require(200).json(), "choices", 0)
            told = {"text": text_of(choice), "reason": str(choice.get("finish_reason") or "")}
    except CheckFailed as exc:
        told = {"error": str(exc).splitlines()[0], "left_waiting": isinstance(exc, NoAnswerInTime)}
    if streamed:
        told |= {"text": joined_text(events), "reason": finish_reason(events)}
    return Met(began=began, ended=time.monotonic(), streamed=streamed, **told)
