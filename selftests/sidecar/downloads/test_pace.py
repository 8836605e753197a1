"""A source that trickles or never ends gives its place to others; one that is slow enough keeps it."""

from __future__ import annotations

import pytest

from hallmark.core.errors import UsageError
from hallmark_services.sidecar.downloads.pace import Pace, PaceWatch
from hallmark_services.sidecar.downloads.settings import DownloadSettings

PACE = Pace(least_bytes_per_s=100, window_s=10, deadline_s=60)


def why(rate: float, *, phase: str = "downloading", until_s: int = 30, pace: Pace = PACE) -> str:
    """What a download of that many bytes a second, looked at each second, ends with."""
    watch = PaceWatch(pace, started_s=0)
    for second in range(until_s + 1):
        if reason := watch.too_slow(now_s=second, phase=phase, bytes_fetched=int(second * rate)):
            return f"{second} s: {reason}"
    return ""


def test_a_source_that_trickles_ends_after_one_window() -> None:
    assert why(99).startswith("10 s: the source sent 990 bytes in 10 s; at least 100 a second are wanted")
    assert why(0).startswith("10 s: the source sent 0 bytes in 10 s")


def test_a_source_that_does_not_finish_its_list_ends_after_ten_windows() -> None:
    patient = Pace(least_bytes_per_s=100, window_s=3, deadline_s=600)
    assert why(0, phase="listing", pace=patient) == ""
    assert why(0, phase="listing", pace=patient, until_s=40).startswith("31 s: the source did not list its files within 30 s")


def test_its_healthy_twin_goes_on() -> None:
    assert why(100) == ""
    assert why(1e9) == ""
    assert why(0, pace=Pace(least_bytes_per_s=0, window_s=10, deadline_s=60)) == ""


@pytest.mark.parametrize("phase", ["locking", "publishing", "starting"])
def test_what_waits_for_no_source_is_not_held_to_its_rate(phase: str) -> None:
    assert why(0, phase=phase) == ""


def test_a_source_that_slows_down_is_found_a_window_later() -> None:
    watch = PaceWatch(PACE, started_s=0)
    came = [min(second, 20) * 1000 for second in range(60)]
    ends = [s for s, count in enumerate(came) if watch.too_slow(now_s=s, phase="downloading", bytes_fetched=count)]
    assert ends[0] == 30


def test_whatever_it_does_it_ends_at_its_deadline() -> None:
    for phase in ("downloading", "locking"):
        assert why(1e9, phase=phase, until_s=70) == "61 s: it was not done within 60 s (RUNTIME_DOWNLOAD_DEADLINE)"


def test_its_settings_come_from_the_environment() -> None:
    environ = {"RUNTIME_DOWNLOAD_MIN_RATE": "0", "RUNTIME_DOWNLOAD_RATE_WINDOW": "30", "RUNTIME_DOWNLOAD_DEADLINE": "90"}
    assert DownloadSettings.of_environment(environ).pace == Pace(least_bytes_per_s=0, window_s=30, deadline_s=90)
    with pytest.raises(UsageError, match="RUNTIME_DOWNLOAD_DEADLINE"):
        DownloadSettings.of_environment({"RUNTIME_DOWNLOAD_DEADLINE": "0"})
