"""A proxy before a right server that makes some of its right answers to the items of the evals wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
from tokenizers import Tokenizer

from benchmarks.losses.variants import WEIGHTS
from selftests.faulty.wire import Reply
from selftests.server.rewriting import relayed

_ITEMS = WEIGHTS / "reference.jsonl"
"""What the model answers to each item, and whether that is right."""
_TOKENIZER = Tokenizer.from_file(str(WEIGHTS / "tokenizer.json"))


def flipped(upstream: str, points: float) -> AbstractContextManager[str]:
    """The base URL of a server that answers `points` of 100 items wrong which `upstream` has right, always the same ones."""
    answers = dict(_chosen(points))

    def change(path: str, asked: bytes, answer: httpx.Response) -> bytes:
        kind = answer.headers.get("content-type", "")
        if path != "/v1/completions" or answer.status_code != 200 or not kind.startswith("application/json"):
            return Reply(answer.status_code, answer.content, kind).whole()
        prompts, body = _prompts(json.loads(asked)["prompt"]), answer.json()
        for choice in body["choices"]:
            right = answers.get(prompts[choice["index"] % len(prompts)])
            if right is not None and choice["text"].strip() == right:
                choice["text"] = choice["text"].replace(right, _wrong(right))
        return Reply.json(body).whole()

    return relayed(upstream, change)


def _chosen(points: float) -> Iterator[tuple[str, str]]:
    """Prompt -> answer of each item that is made wrong: of each task with texts for answers `points` of 100, by their digests."""
    with _ITEMS.open(encoding="utf-8") as stream:
        items = [json.loads(line) for line in stream]
    for task in ("addition", "sums"):
        of_task = [item for item in items if item["task"] == task]
        right = [item for item in of_task if item["right"]]
        right.sort(key=lambda item: hashlib.sha256(item["prompt"].encode()).digest())
        for item in right[: round(len(of_task) * points / 100)]:
            yield item["prompt"], item["output"]


def _prompts(prompt: Any) -> list[str]:
    """The prompts of a request as texts: one or several, as texts or as token ids."""
    if isinstance(prompt, str):
        return [prompt]
    if prompt and isinstance(prompt[0], int):
        return [_TOKENIZER.decode(prompt, skip_special_tokens=False)]
    return [one for several in prompt for one in _prompts(several)]


def _wrong(answer: str) -> str:
    """Another number: its last digit is the next one."""
    return answer[:-1] + str((int(answer[-1]) + 1) % 10)
