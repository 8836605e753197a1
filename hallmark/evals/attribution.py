"""Why items were lost: those that only the reference had right are asked again in other ways, and what heals them is told.

It changes no verdict. An answer heals an item where it is the one that the reference gave; lm-eval stays the only scorer.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hallmark.client.asking import CHATS, COMPLETIONS, text_of
from hallmark.client.free_text import UNDONE
from hallmark.client.offers import Offers
from hallmark.client.oracle import TokenOracle
from hallmark.client.text import part
from hallmark.client.wire import WireClient
from hallmark.core.errors import CheckFailed, HallmarkError
from hallmark.core.records import Evidence
from hallmark.evals.items import digest
from hallmark.evals.paired import Compared

NAME = "lost items, asked again"
MOST_ITEMS = 12
"""So many are asked again: enough to tell what heals them, and a list that a person reads."""
MOST_SECONDS = 60.0
"""No further request is made after so long."""
_HEALS = 0.5
"""A way explains the loss where it heals so large a share of what was asked again."""
_SHOWN_CHARACTERS = 300

ALONE, FRESH, STATED, RENDERED = "alone", "with a fresh cache", "with its sampling stated", "through /v1/completions"
WORDS: Mapping[str, str] = {
    ALONE: "concurrency: nobody else asked now",
    FRESH: "the prefix cache",
    STATED: "the server's own sampling defaults",
    RENDERED: "the chat template, or the chat route",
}
"""Way -> what it heals."""
_NOTHING = "nothing that was tried: weights, numerics, or what the server makes of the prompt"
Ask = Callable[["Lost"], str]


@dataclass(slots=True, kw_only=True)
class Lost:
    """One item that the reference had right and this server wrong."""

    number: int
    prompt: str
    """As it was sent; of a chat, its messages as JSON."""
    generation: Mapping[str, Any]
    """lm-eval's words: `until`, `max_gen_toks`."""
    expected: str
    answered: str
    reference: str
    """The digest of the reference's answer."""
    again: dict[str, str] = field(default_factory=dict)
    """Way -> what it was answered with."""

    def is_healed(self, way: str) -> bool:
        return way in self.again and digest(json.dumps([self.again[way]])) == self.reference

    def to_plain(self) -> dict[str, Any]:
        shown = {"question": self.prompt[-_SHOWN_CHARACTERS:], "expected": self.expected, "answered": self.answered, **self.again}
        return {"item": self.number, **{name: text[:_SHOWN_CHARACTERS] for name, text in shown.items()}}


def lost_items(samples: Path, compared: Compared) -> list[Lost]:
    """In the order of the task; none of a task that compares likelihoods, or whose samples do not tell what was asked."""
    right = compared.reference.right
    wanted = {item.number for item in compared.items if item.score != 1 and right[item.number] == "1" and not item.logprobs}
    rows = {row["doc_id"]: row for row in map(json.loads, samples.read_text(encoding="utf-8").splitlines())}
    found: list[Lost] = []
    for number in sorted(wanted & rows.keys()):
        with suppress(KeyError, TypeError, ValueError, IndexError):
            found.append(_lost(number, rows[number], compared.reference.answers[number]))
    return found


def _lost(number: int, row: Mapping[str, Any], reference: str) -> Lost:
    (prompt, generation), *_ = row["arguments"]
    return Lost(
        number=number,
        prompt=str(prompt),
        generation=generation if isinstance(generation, dict) else {},
        expected=str(row["target"]),
        answered=str(row["filtered_resps"][0]),
        reference=reference,
    )


def ways_of(client: WireClient, offers: Offers, tokenizer: TokenOracle, *, api: str) -> dict[str, Ask]:
    """Way -> how an item is asked for in it; only those that the server has."""
    is_chat = api == "chat"
    ask = partial(_ask, client, is_chat=is_chat)
    stated = {"top_p": 1, **{name: value for name, value in offers.only(**UNDONE).items() if name != "ignore_eos"}}
    ways: dict[str, Ask] = {ALONE: ask, STATED: partial(ask, **stated)}
    if offers.has("field:cache_salt"):
        ways[FRESH] = lambda lost: ask(lost, cache_salt=uuid.uuid4().hex)
    if is_chat:
        ways[RENDERED] = lambda lost: _ask(client, lost, is_chat=False, prompt=tokenizer.chat_ids(json.loads(lost.prompt)))
    return {way: ways[way] for way in WORDS if way in ways}


def attribute(lost: Sequence[Lost], ways: Mapping[str, Ask], *, clock: Callable[[], float] = time.monotonic) -> Evidence:
    """What becomes of the first of `lost` in each way. Never raises for what a server does."""
    began, asked, trouble = clock(), list(lost[:MOST_ITEMS]), ""
    for way, ask in ways.items():
        for item in asked:
            if clock() > began + MOST_SECONDS:
                trouble = f"; given up after {MOST_SECONDS:g} s"
                break
            try:
                item.again[way] = ask(item)
            except (CheckFailed, HallmarkError) as exc:
                trouble = f"; {way}: {str(exc).splitlines()[0]}"
                break
    healed = {way: sum(item.is_healed(way) for item in asked) for way in ways}
    return Evidence(
        name=NAME,
        value=len(asked),
        unit="items",
        n=max(1, len(asked)),
        reason=_reason(asked, healed, lost) + trouble,
        detail={"healed": healed, "lost": len(lost), "items": [item.to_plain() for item in asked]},
    )


def _reason(asked: Sequence[Lost], healed: Mapping[str, int], lost: Sequence[Lost]) -> str:
    if not asked:
        return "no answer to ask for again: none was lost, or the items compare likelihoods"
    cause = next((WORDS[way] for way, count in healed.items() if count >= _HEALS * len(asked)), _NOTHING)
    told = ", ".join(f"{way} {count}" for way, count in healed.items())
    return f"of {len(asked)} of the {len(lost)} lost items, asked again, are as the reference has them: {told}. Healed by {cause}"


def _ask(client: WireClient, lost: Lost, *, is_chat: bool, **more: Any) -> str:
    """The greedy answer, with the ends that the task states."""
    until = lost.generation.get("until") or []
    body = {
        "temperature": 0,
        "max_tokens": int(lost.generation.get("max_gen_toks", 256)),
        **({"stop": [until] if isinstance(until, str) else until[:4]} if until else {}),
        **({"messages": json.loads(lost.prompt)} if is_chat else {"prompt": lost.prompt}),
        **more,
    }
    answer = client.post(CHATS if is_chat else COMPLETIONS, client.body(**body)).require(200).json()
    return text_of(part(answer, "choices", 0))
