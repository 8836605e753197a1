"""The README of the checks says of every requirement which checks cover it, or why none does."""

from __future__ import annotations

import pytest

from hallmark.specs.suites import DeclaredCheck
from selftests.server.requirements_table import (
    COMMAND,
    PAGE,
    Requirement,
    complaints,
    declared,
    listed_requirements,
    page,
    read_requirements,
    with_table,
)

COVERED = Requirement(id="P01", area="Protocol (P)", asks="Chunks belong together", first=True, beyond="others")
LEFT_OUT = Requirement(id="P02", area="Protocol (P)", asks="It ends", left_out="it never does")
CHECK = DeclaredCheck(id="server.chunks", title="Chunks", covers=("P01",), file="server/test_x.py")


def test_requirements_and_checks_fit() -> None:
    assert list(complaints(listed_requirements(), declared())) == []


def test_the_page_is_what_the_command_writes() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == with_table(text, page(listed_requirements(), declared())), f"{COMMAND} writes another table"


def test_a_row_says_what_covers_it_or_why_nothing_does() -> None:
    made = page([COVERED, LEFT_OUT], [CHECK])
    assert "| P01 ★ | Chunks belong together | `server.chunks`; not seen: others |" in made
    assert "| P02 | It ends | **left out**: it never does |" in made
    assert "2 requirements: 1 covered by a check, 1 left out with the reason" in made


@pytest.mark.parametrize(
    ("rows", "covers", "says"),
    [
        ([COVERED], ("P01", "P09"), "server.chunks covers P09, which requirements.yaml does not have"),
        ([COVERED], (), "P01 is covered by no check: left_out has to say why"),
        ([LEFT_OUT], ("P02",), "P02 is covered: take its left_out away"),
        ([COVERED, COVERED], ("P01",), "P01 is listed 2 times"),
    ],
)
def test_what_does_not_fit_is_said(rows: list[Requirement], covers: tuple[str, ...], says: str) -> None:
    check = DeclaredCheck(id="server.chunks", title="Chunks", covers=covers, file="server/test_x.py")
    assert says in " ".join(complaints(rows, [check]))


def test_a_word_that_a_requirement_does_not_have() -> None:
    with pytest.raises(TypeError, match="skipped"):
        read_requirements("P: {area: Protocol, requirements: {P01: {asks: It ends, skipped: yes}}}")


def test_a_page_without_a_place_for_the_table() -> None:
    with pytest.raises(ValueError, match="no place for the table"):
        with_table("# Mine\n", "made")
