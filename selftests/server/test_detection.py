"""The detection table tells of every fault and of every check, and is what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selftests.faulty.faults import FAULTS
from selftests.server.detection import CLEAN, all_checks, fits, measure, tried
from selftests.server.detection_page import PAGE, RECORD, Measured, page, read_measured, write_measured
from selftests.server.planted import ELSEWHERE, TWINS, Planting, plantings

RECORDED = read_measured(RECORD)
MISSING = "python -m selftests.server.detection --missing"


def test_every_fault_is_measured_or_has_a_reason() -> None:
    planted = {one.name for one in plantings()}
    assert sorted(set(FAULTS) - planted - set(ELSEWHERE) - TWINS) == []
    assert sorted(one.fault for one in plantings() if one.fault not in RECORDED) == [], f"{MISSING} measures them"


def test_nothing_is_told_of_what_is_no_more() -> None:
    there = {"", *(one.fault for one in plantings())}
    assert sorted(set(RECORDED) - there) == []
    assert sorted({check for found in RECORDED.values() for check in found.red} - set(all_checks())) == []
    assert sorted(set(ELSEWHERE) - set(FAULTS)) == []


def test_every_fault_turned_a_check_red() -> None:
    assert [name for name, found in RECORDED.items() if name and not found.red] == []


def test_every_check_was_turned_red_by_a_fault() -> None:
    seen = {check for name, found in RECORDED.items() if name for check in found.red}
    assert sorted(set(all_checks()) - seen) == [], f"a new check needs its fault; then {MISSING}"


def test_the_clean_twin_passed_all() -> None:
    assert RECORDED[""].red == ()


def test_the_page_is_made_of_what_was_measured() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(RECORDED, len(all_checks())), f"{MISSING} writes another page"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    record = {"": Measured(red=()), "no-role": Measured(red=("server.stream-role",), says='it is "None"', rarest="5")}
    write_measured(tmp_path / "record.json", record)
    assert read_measured(tmp_path / "record.json") == record
    assert set(json.loads((tmp_path / "record.json").read_text())) == {"", "no-role"}
    assert read_measured(tmp_path / "nothing.json") == {}


def test_a_row_tells_the_fault_its_value_its_checks_and_what_one_of_them_says() -> None:
    red = tuple(f"server.range.{name}" for name in ("temperature", "top_p", "n", "seed", "max_tokens", "logit_bias", "b"))
    record = {"": Measured(red=()), "greedy-wavers": Measured(red=red, says="it | wavers at 127.0.0.1:4711", rarest="40")}
    made = page(record, 9)
    assert "1 of 1 faults, planted one at a time" in made
    assert "(planted: `5`) (still seen at `40`)" in made
    assert "`server.range.max_tokens` [2] | it \\| wavers at ... |" in made


@pytest.mark.parametrize(
    ("fault", "file", "checks"),
    [
        ("no-role", "test_streaming.py", ("server.stream-role",)),
        ("listen-but-not-healthy", "test_identity.py", ("server.health",)),
        ("prefix-cache", "test_chat.py", ()),
    ],
)
def test_measuring_sees_what_the_fault_turns_red(fault: str, file: str, checks: tuple[str, ...]) -> None:
    assert measure(Planting(fault=fault, files=(file,))).red == checks


def test_a_fault_is_tried_on_the_checks_of_its_area_and_those_of_every_answer() -> None:
    files = {one.run.__module__ for one in tried(Planting(fault="no-role")).values()}
    assert files == {"suite_test_streaming", "suite_test_chat", "suite_test_every_answer"}
    assert len(tried(CLEAN)) > len(tried(Planting(fault="no-role")))
    assert fits("server.range.seed", "server.range.{field}")
    assert not fits("server.stop", "server.stop-{endpoint}")
