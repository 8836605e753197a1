"""The assertions of a plain test are its evidence, as far as they were certainly made."""

from __future__ import annotations

import pytest

from hallmark.plugin.settling import certain_assertions

BEFORE = "def test(cell):\n    answer = ask(cell)\n"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("assert answer.ok", ["answer.ok"]),
        ("assert answer.ok, 'why'\n    assert answer.n == 3", ["answer.ok", "answer.n == 3"]),
        ("for a in answer: assert a", []),
        ("if answer:\n        assert answer.ok", []),
        ("with suppress(Exception):\n        assert answer.ok", []),
        ("try:\n        assert answer.ok\n    except AssertionError: pass", []),
        ("if not answer:\n        return\n    assert answer.ok", []),
        ("assert answer.ok\n    if not answer:\n        return\n    assert answer.n", ["answer.ok"]),
        ("assert True", []),
        ("assert 1 == 1", []),
        ("assert (answer.ok, 'why')", []),
        ("pass", []),
    ],
)
def test_only_what_was_certainly_asserted_counts(body: str, found: list[str]) -> None:
    assert list(certain_assertions(f"{BEFORE}    {body}\n")) == found


def test_decorators_and_methods_do_not_matter() -> None:
    assert list(certain_assertions("    @mark.x\n    def test(self, cell):\n        assert cell.ok\n")) == ["cell.ok"]
    assert list(certain_assertions("async def test(cell):\n    assert cell.ok\n")) == []
