"""Readings of the device beside a point: recorded on an NVIDIA H200, of a tool that is run, and where there is none."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hallmark.perf.device_series import NVIDIA, DeviceReading, DeviceSeries, Tool, energy_j, observed, read_nvidia
from selftests.core.polling import comes_true

RECORDED = (Path(__file__).parent / "recorded" / "nvidia_smi_h200.csv").read_text(encoding="utf-8").splitlines()
"""vLLM on an H200 (driver 580.159.04), each third second: serving, idle, serving. Its index was added, other columns left out."""


def readings() -> list[DeviceReading]:
    found = [read_nvidia(line, 3.0 * place) for place, line in enumerate(RECORDED)]
    return [reading for reading in found if reading]


def test_what_an_h200_told_is_read() -> None:
    found = readings()
    assert len(found) == len(RECORDED)
    assert {reading.clock_mhz for reading in found} == {345, 1980}
    assert min(reading.power_w or 0 for reading in found) == pytest.approx(80, abs=1)
    assert max(reading.power_w or 0 for reading in found) == pytest.approx(127, abs=1)
    assert not any(reading.held_back_by for reading in found)


@pytest.mark.parametrize("line", ["", "No devices were found", "0, 345, 80.1", "index, clocks.sm [MHz], a, b, c, d, e, f, g"])
def test_a_line_that_is_no_reading_is_none(line: str) -> None:
    assert read_nvidia(line, 0.0) is None


def test_what_the_tool_does_not_tell_is_absent() -> None:
    found = read_nvidia("1, [N/A], [Not Supported], 41, 7, 100, Not Active, Active, [N/A]", 2.0)
    assert found == DeviceReading(
        at=2.0, index=1, clock_mhz=None, power_w=None, temperature_c=41, busy_share=0.07, memory_mib=100,
        held_back_by=("heat (hardware)",),
    )  # fmt: skip
    assert [evidence.name for evidence in observed([found], tokens=5)] == ["device_held_back_share"]


def test_tokens_per_joule_are_those_of_all_devices() -> None:
    two = [replace(reading, index=index) for reading in readings() for index in (0, 1)]
    one = {evidence.name: evidence for evidence in observed(readings(), tokens=1000)}
    both = {evidence.name: evidence for evidence in observed(two, tokens=1000)}
    assert both["device_power_mean_w"].value == pytest.approx(2 * float(one["device_power_mean_w"].value), rel=1e-3)
    assert both["tokens_per_joule"].value == pytest.approx(float(one["tokens_per_joule"].value) / 2, abs=1e-4)
    assert energy_j([(0.0, 100.0), (2.0, 200.0), (3.0, 200.0)]) == 500.0


def test_a_device_that_was_held_back_is_told_with_the_reason() -> None:
    hot = [replace(reading, held_back_by=("heat (driver)",) if place % 2 else ()) for place, reading in enumerate(readings())]
    (told,) = [evidence for evidence in observed(hot, tokens=1) if evidence.name == "device_held_back_share"]
    assert "held back by heat (driver)" in told.reason
    assert told.value == pytest.approx(0.5, abs=0.05)


def test_a_tool_is_read_while_it_is_needed_and_no_longer() -> None:
    program = f"import time\nwhile True: print({RECORDED[0]!r}, flush=True); time.sleep(0.01)"
    with DeviceSeries([Tool(command=(sys.executable, "-c", program), read=read_nvidia)]) as series:
        comes_true(lambda: len(series.readings) >= 3, within_s=20)
    assert series.readings[0].at < series.readings[-1].at
    count = len(series.readings)
    assert count >= 3
    assert series._process
    assert series._process.poll() is not None


def test_where_there_is_no_tool_nothing_is_told() -> None:
    with DeviceSeries([replace(NVIDIA, command=("no-such-tool-of-any-vendor",))]) as series:
        pass
    assert observed(series.readings, tokens=1) == []
