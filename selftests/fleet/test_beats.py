"""Signs of life are numbers that change; nobody compares clocks, and the next driver gives others."""

from __future__ import annotations

from pathlib import Path

from hallmark.fleet.beats import Beat, Listener


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_silence_counts_from_the_last_change(tmp_path: Path) -> None:
    clock, beat = Clock(), Beat(tmp_path / "beat")
    listener = Listener(tmp_path / "beat", clock=clock)
    clock.now += 5
    assert (listener.silent_s(), listener.ever) == (5, False)
    beat.beat()
    assert (listener.beats(), listener.beats(), listener.ever) == (True, False, True)
    clock.now += 7
    assert listener.silent_s() == 7
    beat.beat()
    assert listener.silent_s() == 0


def test_a_number_that_lay_there_is_nobody_who_lives_and_the_next_driver_gives_another(tmp_path: Path) -> None:
    path, clock = tmp_path / "beat", Clock()
    Beat(path).beat()
    listener = Listener(path, clock=clock)
    assert not listener.beats()
    Beat(path).beat()
    assert listener.beats()


def test_a_half_written_number_and_a_folder_that_is_gone_are_silence(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "beat"
    Beat(path).beat()  # raises nothing: the other side hears nothing, and acts on that
    listener = Listener(path)
    assert not listener.beats()
    path.parent.mkdir()
    path.write_text("")
    assert not listener.beats()
    path.write_text("00000000000000000007\n")
    assert listener.beats()
