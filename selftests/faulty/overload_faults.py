"""Faults of a server that is asked for more than it can do at once."""

from __future__ import annotations

from collections.abc import Mapping

from selftests.faulty.jobs import Refused

WHAT: Mapping[str, tuple[str, str]] = {
    "overload-breaks": ("where so many are under way, another one is answered 500", "16"),
    "overload-cuts": ("where so many are under way, another one's connection is closed in place of an answer", "16"),
    "overload-loses": ("where so many are under way, another one is never answered", "16"),
    "overload-ends-streams": ("where so many are under way, a stream ends without [DONE]", "16"),
    "overload-stays": ("once so many were under way, first tokens come half a second later", "16"),
    "overload-refused": ("no fault: where so many are under way, another one is answered 429", "16"),
}
HELD_UP_S = 0.5


def exceeds(name: str, running: int, chosen: Mapping[str, str]) -> bool:
    """Whether the fault is chosen, and so many are under way that it shows."""
    return name in chosen and running >= int(chosen[name])


def require_room(running: int, chosen: Mapping[str, str]) -> None:
    """Refused, or ConnectionError, where the server has too much to do."""
    for name, status in (("overload-breaks", 500), ("overload-refused", 429)):
        if exceeds(name, running, chosen):
            raise Refused("too many requests are under way", status)
    if exceeds("overload-cuts", running, chosen):
        raise ConnectionError("closed on purpose")


def held_up_s(before: float, running: int, chosen: Mapping[str, str]) -> float:
    """By how much first tokens come later from now on."""
    return HELD_UP_S if exceeds("overload-stays", running, chosen) else before
