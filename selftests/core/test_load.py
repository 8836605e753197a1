"""Whose fault a miss was, from the accounts of a window: each way of being slow, and each way of being disturbed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hallmark.core.load import Load, Miss, Place, doubt, explanation

WINDOW_S, CORES = 10.0, 2


def a_load(**given: Any) -> Load:
    """Ten seconds of two cores: the server used half of one, hallmark a fifth, and nobody waited. What is not used is idle."""
    fields: dict[str, Any] = {
        "seconds": WINDOW_S,
        "cores": CORES,
        "server": Place.HERE,
        "server_s": 5.0,
        "own_s": 2.0,
        "others_s": 0.1,
        "steal_s": 0.0,
        "waited_s": 0.05,
        "client_waited_s": 0.02,
        "client_late_s": 0.0,
        "client_late_most_s": 0.001,
        **given,
    }
    used = sum(fields[name] for name in ("server_s", "own_s", "others_s", "steal_s"))
    return Load(**{"idle_s": max(0.0, fields["seconds"] * CORES - used), **fields})


BURNERS = {"server_s": 4.0, "own_s": 2.0, "others_s": 14.0, "waited_s": 9.0}
"""Four programs of somebody else's, on two cores."""
MISS = Miss(late_s=4.0)

EXCUSED = {
    "others use the cores, and the server stands without one": (a_load(**BURNERS), MISS),
    "the hypervisor gave the cores to other guests": (a_load(server_s=6.0, own_s=2.0, others_s=0.0, steal_s=12.0), MISS),
    "others use the cores of the client, the server is elsewhere": (
        a_load(**BURNERS | {"server": Place.ELSEWHERE, "server_s": 0.0, "others_s": 18.0, "waited_s": 6.0}),
        MISS,
    ),
    "the client was stopped, and the cores were idle": (a_load(client_late_s=3.0), MISS),
}
NOT_EXCUSED = {
    "nobody waited: the server is slow": (a_load(), MISS),
    "it is slow beside others who leave it a core": (a_load(**BURNERS | {"waited_s": 0.5}), MISS),
    "it is far slower than what it waited": (a_load(**BURNERS | {"waited_s": 1.0}), Miss(late_s=8.0)),
    "its own processes burn the cores": (a_load(server_s=19.0, own_s=0.5, others_s=0.3, waited_s=40.0), MISS),
    "its own threads burn them beside a small program of others": (
        a_load(server_s=16.0, own_s=1.0, others_s=3.0, waited_s=90.0),
        MISS,
    ),
    "its own processes starve the client": (
        a_load(server_s=19.0, own_s=0.5, others_s=0.3, waited_s=9.0, client_late_s=6.0),
        MISS,
    ),
    "it is on this machine and hidden: what others use may be its own": (a_load(**BURNERS | {"server": Place.HIDDEN}), MISS),
    "others use cores, but there are free ones": (a_load(**BURNERS | {"others_s": 8.0}), MISS),
    "the client was late, but not in the part of the window that counts": (
        a_load(client_late_s=3.0),
        Miss(late_s=4.0, share=0.1),
    ),
    "nothing was late": (a_load(**BURNERS), Miss(late_s=0.0)),
}


@pytest.mark.parametrize("case", EXCUSED)
def test_the_machine_explains_it(case: str) -> None:
    load, miss = EXCUSED[case]
    assert "4 s were too many" in explanation(load, miss)


@pytest.mark.parametrize("case", NOT_EXCUSED)
def test_the_machine_does_not_explain_it(case: str) -> None:
    load, miss = NOT_EXCUSED[case]
    assert explanation(load, miss) == ""


def test_of_a_hidden_server_a_used_up_machine_leaves_in_doubt_what_it_may_have_caused_and_no_more() -> None:
    hidden = a_load(**BURNERS | {"server": Place.HIDDEN})
    assert "whether the server is one of them is not seen from here" in doubt(hidden, MISS)
    assert not doubt(a_load(**BURNERS), MISS), "it is seen"
    assert not doubt(a_load(server=Place.HIDDEN), MISS), "there were free cores"
    assert not doubt(hidden, Miss(late_s=0.0))
    assert not doubt(hidden, Miss(late_s=2.5 * hidden.seconds)), "it is far slower than anything can have been made"
    assert not doubt(replace(hidden, cpu_pressure_s=1.0), MISS), "nobody stood without a core for so long"


def test_a_window_is_told_in_one_line() -> None:
    line = a_load(**BURNERS, steal_s=1.0, throttled_s=0.5).line
    assert "others 1.40, the server 0.40, hallmark 0.20 of 2 cores" in line
    assert "steal 0.10" in line
    assert "throttled for 0.5 s" in line
    assert "steal" not in a_load().line


def test_a_window_without_length_explains_nothing() -> None:
    assert explanation(a_load(seconds=0.0, waited_s=0.0), MISS) == ""
