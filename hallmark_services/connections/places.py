"""Who may hold a connection, and who makes room: no client, however many it opens, keeps out the others or a probe.

A connection takes an ordinary place while there is one: of all, and of those that one client may have. Where there is
none, the oldest connection that is silent makes room - one that never had a request admitted before one that waits
between two. Where nobody is silent, the newcomer gets one of the places that are kept for probes, and is served if its
first request is one. There the oldest silent connection of the client that holds the most of them makes room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Protocol

from hallmark_services.connections.clients import Network, client_of, is_of


@dataclass(frozen=True, slots=True)
class Crowded:
    """Why there was no ordinary place: what all but a probe is answered."""

    status: int
    code: str
    message: str


class Holder(Protocol):
    """A connection."""

    def make_room(self) -> bool:
        """End now, for another needs the place. False where it is not silent after all: an answer is still being read."""


class _Silent:
    """Places whose connections can make room, the oldest first."""

    __slots__ = ("_strangers", "_waiting")

    def __init__(self) -> None:
        self._strangers: dict[Place, None] = {}
        self._waiting: dict[Place, None] = {}

    def oldest(self) -> Place | None:
        return next(iter(self._strangers), None) or next(iter(self._waiting), None)

    def add(self, place: Place) -> None:
        (self._waiting if place.known else self._strangers)[place] = None

    def discard(self, place: Place) -> None:
        self._strangers.pop(place, None)
        self._waiting.pop(place, None)


class _Client:
    """Who has connections, and how many."""

    __slots__ = ("kept", "key", "most", "places", "silent")

    def __init__(self, key: str, most: float) -> None:
        self.key = key
        self.most = most
        self.places = 0
        self.kept = 0
        """Places of those kept for probes."""
        self.silent = _Silent()


class Place:
    """One connection's."""

    __slots__ = ("client", "gone", "holder", "known", "refusal")

    def __init__(self, holder: Holder, client: _Client, refusal: Crowded | None) -> None:
        self.holder = holder
        self.client = client
        self.refusal = refusal
        """What all but a probe is answered; None on an ordinary place."""
        self.known = False
        """Whether a request of it was admitted."""
        self.gone = False


class Places:
    """All places. `take` one, `begin` when a request of it is admitted, `rest` when it is silent again, `leave` at the end."""

    def __init__(self, *, most: int, most_of_one: int, kept: int, proxies: Sequence[Network] = ()) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._most_kept = kept
        self._proxies = proxies
        self._clients: dict[str, _Client] = {}
        self._taken = 0
        self._silent = _Silent()
        self._kept = 0
        self._kept_silent: dict[Place, None] = {}
        self.shed = 0
        """How many connections have made room."""
        self.turned_away = 0
        """How many got no place at all."""

    def take(self, holder: Holder, address: str) -> Place | None:
        """A place for a new connection, silent so far; None where there is not even one for a probe."""
        client = self._client_at(address)
        refusal = self._make_place_for(client)
        if refusal and self._kept >= self._most_kept and not self._shed(partial(self._of_the_greediest, client)):
            self.turned_away += 1
            self._forget_if_gone(client)
            return None
        self._clients[client.key] = client  # its last connection may have made room
        place = Place(holder, client, refusal)
        if refusal:
            self._kept += 1
            client.kept += 1
        else:
            self._taken += 1
            client.places += 1
        self.rest(place)
        return place

    def begin(self, place: Place) -> None:
        """A request is under way: it no longer makes room."""
        self._kept_silent.pop(place, None)
        self._silent.discard(place)
        place.client.silent.discard(place)

    def rest(self, place: Place) -> None:
        """Silent from now on."""
        if place.gone:
            return
        if place.refusal:
            self._kept_silent[place] = None
        else:
            self._silent.add(place)
            place.client.silent.add(place)

    def leave(self, place: Place) -> None:
        """The connection has ended; safe to call twice."""
        if place.gone:
            return
        self.begin(place)
        place.gone = True
        if place.refusal:
            self._kept -= 1
            place.client.kept -= 1
        else:
            self._taken -= 1
            place.client.places -= 1
        self._forget_if_gone(place.client)

    def _client_at(self, address: str) -> _Client:
        key = client_of(address)
        if key not in self._clients:
            self._clients[key] = _Client(key, inf if is_of(address, self._proxies) else self._most_of_one)
        return self._clients[key]

    def _forget_if_gone(self, client: _Client) -> None:
        if not client.places and not client.kept:
            self._clients.pop(client.key, None)

    def _make_place_for(self, client: _Client) -> Crowded | None:
        """See that there is an ordinary place; or why there is none."""
        if client.places >= client.most and not self._shed(client.silent.oldest):
            message = f"{client.places} connections of {client.key} are open already"
            return Crowded(429, "too_many_connections_of_one_client", message)
        if self._taken >= self._most and not self._shed(self._silent.oldest):
            return Crowded(503, "too_many_connections", "too many connections")
        return None

    def _of_the_greediest(self, newcomer: _Client) -> Place | None:
        """The oldest silent one of whoever would have most of the places that are kept for probes."""
        return max(self._kept_silent, key=lambda place: place.client.kept + (place.client is newcomer), default=None)

    def _shed(self, next_one: Callable[[], Place | None]) -> bool:
        """Whether there was one that could make room."""
        while place := next_one():
            if place.holder.make_room():
                self.leave(place)
                self.shed += 1
                return True
            self.begin(place)
        return False
