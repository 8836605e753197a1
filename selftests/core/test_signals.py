"""SIGINT, SIGTERM and SIGHUP: the first raises, later ones do not, and one that comes too early waits."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hallmark.core.signals import ENDING, EndSignals, held_back


@pytest.fixture
def signals() -> Iterator[EndSignals]:
    """Taken by the test; the handlers of this process are put back after it, whatever became of them."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield EndSignals()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("first", ENDING)
@pytest.mark.parametrize("second", ENDING)
def test_the_first_raises_and_the_second_does_not(signals: EndSignals, first: signal.Signals, second: signal.Signals) -> None:
    signals.take()
    with pytest.raises(KeyboardInterrupt, match=first.name):
        signal.raise_signal(first)
    signal.raise_signal(second)
    assert signals.first is first
    with pytest.raises(KeyboardInterrupt, match=first.name):
        signals.raise_again()


def test_while_the_end_goes_on_the_first_is_noted_only(signals: EndSignals) -> None:
    signals.take()
    signals.raise_again()
    signals.only_note()
    signal.raise_signal(signal.SIGTERM)
    assert signals.first is signal.SIGTERM


def test_they_are_given_back_unless_one_has_come(signals: EndSignals) -> None:
    before = [signal.getsignal(number) for number in ENDING]
    signals.take()
    signals.give_back()
    assert [signal.getsignal(number) for number in ENDING] == before
    signals.take()
    signals.only_note()
    signal.raise_signal(signal.SIGTERM)
    signals.give_back()
    assert [signal.getsignal(number) for number in ENDING] == [signal.SIG_IGN] * len(ENDING)


def test_ignored_from_the_start_nohups_is_left_and_a_shells_is_not(signals: EndSignals) -> None:
    """A shell has SIGINT ignored by what it starts with &; that a `kill -INT` is not meant nobody has said."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    signals.take()
    signal.raise_signal(signal.SIGHUP)
    assert signals.first is None
    with pytest.raises(KeyboardInterrupt, match="SIGINT"):
        signal.raise_signal(signal.SIGINT)


CHILD = """
import sys
from collections.abc import Iterator
from hallmark.core.signals import EndSignals
sys.stdin.read()
try:
    EndSignals().take()
except KeyboardInterrupt as exc:
    print(exc)
"""


def test_a_process_that_is_not_ready_for_one_gets_it_when_it_is() -> None:
    with held_back():
        child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.send_signal(signal.SIGTERM)
    assert child.communicate() == ("SIGTERM\n", None)
    assert child.returncode == 0
