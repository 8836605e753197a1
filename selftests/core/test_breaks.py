"""What the marks of a chain say of a run that broke off: whether it ended, and what had been measured by then."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.core.breaks import (
    Break,
    has_ended,
    other_subjects,
    read_break,
    read_breaks,
    subjects_before,
    was_interrupted,
)
from hallmark.core.chain import ChainWriter, Mark

BREAK = {"records": 3, "broke_off_at": "a", "resumed_at": "b", "seconds": 2.0, "why": "its process was killed"}
ENDS, STOPPED, RESUMED = ("ends", {"interrupted": False}), ("ends", {"interrupted": True}), ("resumed", BREAK)


@pytest.mark.parametrize(
    ("marks", "ended", "interrupted"),
    [
        ([], False, False),
        ([ENDS], True, False),
        ([STOPPED], False, True),
        ([ENDS, STOPPED], False, True),
        ([STOPPED, RESUMED], False, False),
        ([STOPPED, RESUMED, ENDS], True, False),
        ([RESUMED, STOPPED], False, True),
    ],
)
def test_an_end_is_none_where_the_run_was_gone_on_with(
    tmp_path: Path, marks: list[tuple[Mark, dict[str, object]]], ended: bool, interrupted: bool
) -> None:
    chain = ChainWriter(tmp_path / "records.jsonl")
    for mark, content in [("begins", {}), *marks]:
        chain.mark(mark, content)
    assert (has_ended(chain.path), was_interrupted(chain.path)) == (ended, interrupted)
    assert read_breaks(chain.path) == tuple(Break(**BREAK) for mark, _ in marks if mark == "resumed")


@pytest.mark.parametrize("told", [{}, BREAK | {"records": "many"}, BREAK | {"seconds": None}])
def test_a_break_that_is_told_in_no_known_way_is_none(told: dict[str, object]) -> None:
    assert read_break(told) is None


def test_what_was_measured_first_is_what_later_is_held_against() -> None:
    marks = [{"chain": "resumed", "subjects": {"weights:a": "1" * 64}}, {"chain": "resumed", "subjects": {"weights:a": "2" * 64}}]
    before = subjects_before([*marks, {"chain": "resumed"}, {"chain": "ends", "subjects": {"b": "3"}}])
    assert before == {"weights:a": "1" * 64}
    assert list(other_subjects(before, {"weights:a": "1" * 64, "device:x": "4"})) == []
    assert list(other_subjects(before, {})) == []
    (told,) = other_subjects(before, {"weights:a": "2" * 64})
    assert told == "weights:a is 222222222222, it was 111111111111 before the run was gone on with"
