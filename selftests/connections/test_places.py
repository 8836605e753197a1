"""Places: who gets one, who makes room for whom, and what is one client."""

from __future__ import annotations

import pytest

from hallmark_services.connections.clients import client_of, is_of, parse_networks
from hallmark_services.connections.places import Place, Places


class Holder:
    """A connection that ends when it is asked to, unless its answer is still being read."""

    def __init__(self, *, reads: bool = False) -> None:
        self.reads = reads
        self.ended = False

    def make_room(self) -> bool:
        self.ended = not self.reads
        return self.ended


class Door:
    """Takes connections of addresses; every one is there by its number."""

    def __init__(self, *, most: int = 3, most_of_one: int = 100, kept: int = 2, proxies: str = "") -> None:
        self.places = Places(most=most, most_of_one=most_of_one, kept=kept, proxies=parse_networks(proxies))
        self.holders: list[Holder] = []
        self.taken: list[Place | None] = []

    def take(self, address: str = "192.0.2.1", *, busy: bool = False, reads: bool = False) -> str:
        """`served`, what all but probes are told (a status), or `turned away`."""
        self.holders.append(Holder(reads=reads))
        place = self.places.take(self.holders[-1], address)
        self.taken.append(place)
        if place and busy:
            self.begin(-1)
        if place is None:
            return "turned away"
        return str(place.refusal.status) if place.refusal else "served"

    def begin(self, number: int) -> None:
        place = self.taken[number]
        assert place
        place.known = True
        self.places.begin(place)

    def rest(self, number: int) -> None:
        place = self.taken[number]
        assert place
        self.places.rest(place)

    @property
    def ended(self) -> list[int]:
        return [number for number, holder in enumerate(self.holders) if holder.ended]


def test_the_oldest_silent_connection_makes_room() -> None:
    door = Door()
    assert [door.take() for _ in range(5)] == ["served"] * 5
    assert door.ended == [0, 1]
    assert door.places.shed == 2


def test_one_that_was_admitted_once_makes_room_last() -> None:
    door = Door()
    for _ in range(3):
        door.take()
    door.begin(0)
    door.rest(0)
    assert [door.take() for _ in range(2)] == ["served"] * 2
    assert door.ended == [1, 2]
    for number in (3, 4):
        door.begin(number)
    assert door.take() == "served"
    assert door.ended == [0, 1, 2]


def test_nobody_who_is_served_makes_room() -> None:
    door = Door()
    for _ in range(3):
        door.take(busy=True)
    assert door.take() == "503"
    assert door.ended == []
    door.rest(1)
    assert door.take() == "served"
    assert door.ended == [1]


def test_an_answer_that_is_still_read_is_not_cut() -> None:
    door = Door(most=2)
    for reads in (True, False):
        door.take(busy=True, reads=reads)
    for number in (0, 1):
        door.rest(number)
    assert door.take() == "served"
    assert door.ended == [1]
    assert door.take() == "served", "the newcomer of before is silent, too"
    assert door.ended == [1, 2]


def test_a_probes_place_is_left_to_whoever_has_fewest_of_them() -> None:
    door = Door(most=1, kept=2)
    door.take("192.0.2.9", busy=True)
    assert [door.take("192.0.2.1") for _ in range(2)] == ["503"] * 2
    assert door.take("192.0.2.2") == "503"
    assert door.ended == [1]
    assert [door.take("192.0.2.1") for _ in range(3)] == ["503"] * 3
    assert door.ended == [1, 2, 4, 5], "the crowd makes room for itself, and not he who has one"


def test_where_every_place_is_answering_a_newcomer_is_turned_away() -> None:
    door = Door(most=1, kept=1)
    door.take(busy=True)
    door.take(busy=True)
    assert door.take() == "turned away"
    assert (door.places.turned_away, door.ended) == (1, [])
    place = door.taken[1]
    assert place
    door.places.leave(place)
    door.places.leave(place)
    assert door.take() == "503"


def test_one_client_makes_room_for_itself_alone() -> None:
    door = Door(most=10, most_of_one=2)
    assert [door.take("192.0.2.1") for _ in range(3)] == ["served"] * 3
    door.take("192.0.2.2")
    assert door.ended == [0]
    door.begin(1)
    door.begin(2)
    assert door.take("192.0.2.1") == "429"
    assert door.take("192.0.2.2") == "served"
    assert door.ended == [0]


def test_who_makes_room_for_himself_is_still_counted() -> None:
    door = Door(most=10, most_of_one=1)
    assert [door.take() for _ in range(3)] == ["served"] * 3
    door.begin(2)
    assert door.take() == "429"
    assert door.ended == [0, 1]


def test_a_proxy_is_many_clients() -> None:
    door = Door(most=10, most_of_one=2, proxies="192.0.2.0/24, 2001:db8::1")
    assert [door.take("192.0.2.1", busy=True) for _ in range(4)] == ["served"] * 4
    assert [door.take("2001:db8::1", busy=True) for _ in range(3)] == ["served"] * 3
    assert [door.take("198.51.100.1", busy=True) for _ in range(3)] == ["served", "served", "429"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("unknown", "unknown", True),
    ],
)
def test_what_one_client_is(one: str, other: str, same: bool) -> None:
    assert (client_of(one) == client_of(other)) is same


def test_networks_are_read_strictly() -> None:
    assert parse_networks(" 10.0.0.0/8,, ::1 ") == parse_networks("10.0.0.0/8,::1")
    assert is_of("::ffff:10.1.2.3", parse_networks("10.0.0.0/8"))
    assert not is_of("unknown", parse_networks("0.0.0.0/0"))
    for text in ("10.0.0.1/8", "proxy", "10.0.0.0/33"):
        with pytest.raises(ValueError):
            parse_networks(text)
