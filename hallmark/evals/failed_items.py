"""The items that a server got wrong, as a person reads them: what was asked, what was expected, what was answered, and why."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hallmark.evals.items import SEVERAL
from hallmark.evals.reference import EvalReference

_QUESTION, _ANSWER = 1_500, 600
"""In characters, of what is shown; of a question its end, in front of which the examples stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedItem:
    """One item that was not wholly right."""

    number: int
    """Its place in the task, from 0."""
    line: int
    """Its row in the file of samples, from 1."""
    question: str
    expected: str
    answered: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedItems:
    """Those of one eval."""

    items: tuple[FailedItem, ...]
    """The first of them: those that the reference has right, then by their places."""
    failed: int
    n: int
    lost: int | None
    """How many of them the reference has right; None without one."""
    file: str
    """Where all of them stand, in the run's folder."""


def failed_items(samples: Path, metric: str, *, reference: EvalReference | None, most: int) -> FailedItems | None:
    """Of the samples in that file, by lm-eval's key of the metric, or of several; None where they do not tell."""
    try:
        return _found(samples, metric, reference, most)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _found(samples: Path, metric: str, reference: EvalReference | None, most: int) -> FailedItems | None:
    failed, n, lost = 0, 0, 0
    first: list[tuple[tuple[bool, int], int, Mapping[str, Any], list[str]]] = []
    with samples.open(encoding="utf-8") as stream:
        for line, row, missed in _rows(stream, metric):
            n += 1
            if not missed:
                continue
            number = int(row["doc_id"])
            was_right = reference is not None and number < reference.n and reference.score_of(number) == 1
            failed, lost = failed + 1, lost + was_right
            first.append(((not was_right, number), line, row, missed))
            if len(first) > 20 * most:  # of ten thousand wrong answers only a few are held
                first = heapq.nsmallest(most, first, key=lambda one: one[0])
    shown = heapq.nsmallest(most, first, key=lambda one: one[0])
    items = [_item(row, line, missed, lost=not key[0]) for key, line, row, missed in shown]
    known = lost if reference else None
    return FailedItems(items=tuple(items), failed=failed, n=n, lost=known, file=f"evals/{samples.name}") if n else None


def _rows(lines: Iterable[str], metric: str) -> Iterator[tuple[int, Mapping[str, Any], list[str]]]:
    """(line, row, the metrics that it is not wholly right by) of each item."""
    names = [one.partition(",") for one in metric.split(SEVERAL)]
    for line, text in enumerate(lines, start=1):
        row = json.loads(text)
        wanted = [name for name, _, kept_by in names if row.get("filter", "none") == (kept_by or "none")]
        if wanted:
            yield line, row, [f"{name} {float(row[name]):g}" for name in wanted if float(row[name]) < 1]


def _item(row: Mapping[str, Any], line: int, missed: list[str], *, lost: bool) -> FailedItem:
    choices = _choices(row)
    why = ", ".join(missed) + ("; the reference has it right" if lost else "")
    question = _text(row["arguments"][0][0])
    return FailedItem(
        number=int(row["doc_id"]),
        line=line,
        question=question if len(question) <= _QUESTION else f"… {question[-_QUESTION:]}",
        expected=_cut(_expected(row, choices)),
        answered=_cut(_answered(row, choices)),
        why=why,
    )


def _choices(row: Mapping[str, Any]) -> list[tuple[str, float]]:
    """(text, log-probability) of each, where the task compares likelihoods."""
    answers = row["filtered_resps"]
    if not all(isinstance(answer, list) and len(answer) == 2 and isinstance(answer[1], bool) for answer in answers):
        return []
    asked = [_text(arguments[1]) for arguments in row["arguments"]]
    return [(text, float(answer[0])) for text, answer in zip(asked, answers, strict=True)]


def _expected(row: Mapping[str, Any], choices: list[tuple[str, float]]) -> str:
    target = row.get("target")
    if choices and str(target).isdecimal() and int(str(target)) < len(choices):
        return choices[int(str(target))][0]
    return _text(target)


def _answered(row: Mapping[str, Any], choices: list[tuple[str, float]]) -> str:
    """The likeliest choice; else what was said, and what was read out of it where that is something else."""
    if choices:
        return max(choices, key=lambda choice: choice[1])[0]
    said = "\n".join(_text(answer) for answers in row["resps"] for answer in answers)
    read = "\n".join(map(_text, row["filtered_resps"]))
    return said if read == said else f"{_cut(said)}\nread as: {read}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    """Beginning and end: what an answer comes to stands at its end."""
    half = _ANSWER // 2
    return text if len(text) <= _ANSWER else f"{text[:half]} … {text[-half:]}"
