"""What was noticed in a server's answers outlives the process that noticed it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.client.answer_watch import AnswerWatch
from hallmark.client.kept_answers import FILE, keep, take_up
from hallmark.core.errors import InfrastructureError

WRONG = {"id": "a", "created": 1795814181000, "choices": [{"index": 0, "text": "so </s>", "finish_reason": "stop"}]}


def test_what_was_found_before_counts_behind_the_break(tmp_path: Path) -> None:
    before, behind = AnswerWatch(), AnswerWatch()
    before.body({"prompt": "x", "max_tokens": 4}, WRONG)
    assert before.found["created"].count == 1
    assert before.marks, "else the mark below would prove nothing"
    keep(before, tmp_path, str)
    take_up(behind, tmp_path)
    assert (behind.answers, behind.found["created"]) == (before.answers, before.found["created"])
    before.judge_marks(["</s>"])
    behind.judge_marks(["</s>"])
    assert behind.found["marks"].count + behind.noted["marks"].count == 1
    assert (behind.found["marks"], behind.noted["marks"]) == (before.found["marks"], before.noted["marks"])


def test_a_run_that_begins_has_seen_nothing(tmp_path: Path) -> None:
    watch = AnswerWatch()
    take_up(watch, tmp_path)
    assert watch.answers == 0


@pytest.mark.parametrize(
    "content", ["", "[]", '{"answers": 1}', '{"answers": 1, "found": {}, "noted": {}, "marks": [["a", {}]]}']
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content, encoding="utf-8")
    with pytest.raises(InfrastructureError, match="cannot be read"):
        take_up(AnswerWatch(), tmp_path)
