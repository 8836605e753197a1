"""The items that a server got wrong, from samples as lm-eval writes them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hallmark.evals.failed_items import failed_items
from hallmark.evals.reference import EvalReference

REFERENCE = EvalReference(
    task="t",
    metric="exact_match,none",
    api="completions",
    few_shot=0,
    gen_kwargs={},
    lm_eval="0.4",
    questions=("",) * 4,
    prompts=("",) * 4,
    answers=("",) * 4,
    right="0110",
)


def generated(number: int, said: str, *, score: float, read: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "doc_id": number,
        "target": "133",
        "arguments": [[f"{number}+40=", {"until": ["\n"]}]],
        "resps": [[said]],
        "filtered_resps": [said if read is None else read],
        "filter": "none",
        "exact_match": score,
    } | more


def chosen(number: int, *logprobs: float, target: int) -> dict[str, Any]:
    answers = [[logprob, False] for logprob in logprobs]
    return {
        "doc_id": number,
        "target": target,
        "arguments": [["next:", f" {place}"] for place in range(len(logprobs))],
        "resps": [[answer] for answer in answers],
        "filtered_resps": answers,
        "filter": "none",
        "acc": float(max(range(len(logprobs)), key=logprobs.__getitem__) == target),
    }


def samples(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "sums.samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_what_was_asked_expected_and_answered_those_that_the_reference_has_right_first(tmp_path: Path) -> None:
    rows = [generated(0, "1", score=0), generated(1, "133", score=1), generated(2, "so it is 13", read="13", score=0)]
    found = failed_items(samples(tmp_path, *rows), "exact_match,none", reference=REFERENCE, most=5)
    assert found is not None
    assert (found.failed, found.n, found.lost, found.file) == (2, 3, 1, "evals/sums.samples.jsonl")
    assert [(item.number, item.line, item.question, item.expected) for item in found.items] == [
        (2, 3, "2+40=", "133"),
        (0, 1, "0+40=", "133"),
    ]
    assert [item.answered for item in found.items] == ["so it is 13\nread as: 13", "1"]
    assert [item.why for item in found.items] == ["exact_match 0; the reference has it right", "exact_match 0"]


def test_of_choices_the_likeliest_is_the_answer(tmp_path: Path) -> None:
    path = samples(tmp_path, chosen(0, -3.0, -1.0, target=0), chosen(1, -1.0, -3.0, target=0))
    found = failed_items(path, "acc,none", reference=None, most=5)
    assert found is not None
    assert (found.failed, found.lost) == (1, None)
    assert [(item.expected, item.answered, item.why) for item in found.items] == [(" 0", " 1", "acc 0")]


def test_of_many_only_the_first_are_held_and_of_a_long_one_the_end(tmp_path: Path) -> None:
    rows = [generated(number, "x" * 5000, score=0) for number in range(200, 0, -1)]
    rows[-1]["arguments"] = [["an example\n" * 900 + "the question", {}]]
    found = failed_items(samples(tmp_path, *rows), "exact_match,none", reference=replace(REFERENCE, right="0000"), most=3)
    assert found is not None
    assert (found.failed, [item.number for item in found.items]) == (200, [1, 2, 3])
    assert found.items[0].question.endswith("the question")
    assert len(found.items[0].question) < 2000
    assert len(found.items[0].answered) < 1000


@pytest.mark.parametrize("content", ["", "nope\n", "[]\n", '{"filter": "none"}\n', '{"filter": "other", "doc_id": 1}\n'])
def test_what_tells_nothing_is_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "sums.samples.jsonl"
    path.write_text(content, encoding="utf-8")
    assert failed_items(path, "exact_match,none", reference=None, most=5) is None
    assert failed_items(tmp_path / "none", "exact_match,none", reference=None, most=5) is None


def test_of_several_filters_and_metrics_those_that_count(tmp_path: Path) -> None:
    rows = [generated(0, "1", score=0, filter="flexible"), generated(0, "1", score=1) | {"f1": 0.5}]
    path = samples(tmp_path, *rows)
    found = failed_items(path, "exact_match,none + f1,none", reference=None, most=5)
    assert found is not None
    assert (found.n, [item.why for item in found.items]) == (1, ["f1 0.5"])
    assert failed_items(path, "exact_match,flexible", reference=None, most=5) is not None
