"""What is read beside a window: each a context of its own, entered for the window, that tells afterwards what it saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol

from hallmark.core.records import Evidence
from hallmark.perf.sample import PointResult


class Observer(AbstractContextManager[object], Protocol):
    """Reads something from the window's begin to its end. The timed path runs beside it: it may use hardly any of a core."""

    def evidence(self, result: PointResult) -> list[Evidence]:
        """What it saw, once the window is over."""


@contextmanager
def beside(*contexts: AbstractContextManager[object]) -> Iterator[None]:
    """All of them at once; the first is entered first and left last."""
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


def seen_by(observers: Sequence[Observer], result: PointResult) -> list[Evidence]:
    """The evidence of all of them, in their order."""
    return [evidence for observer in observers for evidence in observer.evidence(result)]
