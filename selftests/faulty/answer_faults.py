"""Faults of single answers, now and then: what only somebody sees who looks at every answer. In answers that are not streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WHAT: Mapping[str, tuple[str, str]] = {
    "logprobs-now-and-then-null": ("each so many-th answer tells null for its last log-probability", "5"),
    "end-mark-leaks": ("each so many-th answer that came to its end has the mark of the end in its text", "20"),
    "one-character-again": ("each so many-th answer is one character again and again", "50"),
    "ids-come-again": ("each so many-th answer has the id of the one before", "100"),
    "times-in-ms-now-and-then": ("each so many-th answer says in milliseconds when it was created", "100"),
    "totals-off-now-and-then": ("the total of each so many-th answer is 1 too high", "100"),
    "bytes-lost-in-text": ("each so many-th answer has broken characters in the place of those beyond ASCII", "1"),
}
END = "<|end|>"


def whole_of(body: dict[str, Any], chosen: Mapping[str, str]) -> dict[str, Any]:
    """`body` with the faults whose turn it is."""
    number = int(str(body["id"]).rpartition("-")[2])

    def its_turn(name: str) -> bool:
        return name in chosen and number % int(chosen[name]) == 0

    if its_turn("ids-come-again"):
        body["id"] = str(body["id"])[:-8] + f"{number - 1:08d}"
    if its_turn("times-in-ms-now-and-then"):
        body["created"] *= 1000
    if its_turn("totals-off-now-and-then") and "usage" in body:
        body["usage"]["total_tokens"] += 1
    for choice in body["choices"]:
        if its_turn("end-mark-leaks") and choice["finish_reason"] == "stop":
            _say(choice, _said(choice) + END)
        if its_turn("one-character-again"):
            _say(choice, "!" * max(12, len(_said(choice))))
        if its_turn("bytes-lost-in-text"):
            _say(choice, "".join(letter if letter.isascii() else "\N{REPLACEMENT CHARACTER}" for letter in _said(choice)))
        if its_turn("logprobs-now-and-then-null"):
            _lose_last(choice.get("logprobs") or {})
    return body


def _said(choice: Mapping[str, Any]) -> str:
    return str(choice.get("text") or (choice.get("message") or {}).get("content") or "")


def _say(choice: dict[str, Any], text: str) -> None:
    if "text" in choice:
        choice["text"] = text
    elif choice["message"].get("content"):
        choice["message"]["content"] = text


def _lose_last(told: dict[str, Any]) -> None:
    if told.get("token_logprobs"):
        told["token_logprobs"][-1] = None
    for row in (told.get("content") or [])[-1:]:
        row["logprob"] = None
