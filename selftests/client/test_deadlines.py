"""How long an exchange may last follows from the cell's slowest target and from what is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.client.deadlines import LONGEST_S, Deadline, Patience, patience_of
from hallmark.specs.catalogue import Selection, load_catalogue

SPECS = Path(__file__).resolve().parents[2] / "model_specs"


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (None, 10),
        ("{nope", 10),
        ({"max_tokens": 4}, 12),
        ({"max_completion_tokens": 4, "max_tokens": 8}, 14),
        ({"max_tokens": 10**9}, 60),
        ({"max_tokens": -1}, 60),
        ({"max_tokens": "many"}, 60),
        ({}, 60),
    ],
)
def test_a_request_has_the_time_of_its_longest_answer(body: object, seconds: float) -> None:
    assert Patience(first_s=10, token_s=0.5, longest_answer=100).of(body) == seconds


def test_no_exchange_lasts_longer_than_a_person_waits() -> None:
    assert Patience(first_s=10, token_s=10, longest_answer=10**6).of({}) == LONGEST_S


def test_a_slow_cell_is_given_more_time_than_a_fast_one() -> None:
    (cell,) = load_catalogue([SPECS]).select(Selection(models=("hallmark-tiny",), device="cpu"))
    (large,) = load_catalogue([SPECS]).select(Selection(models=("Llama-3.3-70B-Instruct",), device="t3k"))
    assert patience_of(cell).of({"max_tokens": 64}) < patience_of(large).of({"max_tokens": 64})
    assert patience_of(large).longest_answer == large.entry.max_context


def test_what_is_left_after_the_last_word_is_only_the_end() -> None:
    deadline = Deadline(100)
    deadline.all_is_there(5)
    assert deadline.left_s <= 5
    assert "[DONE]" in deadline.told
    nearly_over = Deadline(1)
    nearly_over.all_is_there(5)
    assert nearly_over.left_s <= 1
