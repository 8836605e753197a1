"""Prompts of an exact number of tokens, and what of them a prefix cache may rightly hold. Pure.

A prompt is put together of parts. Parts of one label have the same tokens wherever they stand, such as the prefix of a group or a
block of a trace; a part that is a request's own begins as no other does.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HEAD = 8
"""Two own parts differ within so many tokens: well inside one block of any prefix cache."""
_OTHER_PROMPTS = 10_000
"""At least as many as one server sees in a run; fewer have less in common by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Of a prompt, from its begin on."""

    label: str
    tokens: int
    own: bool = False
    """Whether it is this request's alone (or its conversation's), and none may begin alike."""
    answer: bool = False
    """Whether it stands for what was answered to the parts before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a request sends, and what a server reads of it."""

    fields: Mapping[str, Any]
    """Of the request's body."""
    ids: list[int]
    """All tokens of the prompt, those of a template among them."""


class TokenPrompts:
    """Prompts as token ids, so that their length needs no tokenizer here."""

    def __init__(self, vocabulary: Sequence[int], salt: str) -> None:
        self._vocabulary = vocabulary
        self._salt = salt
        self._drawn: dict[str, int] = {}
        """Label of an own part -> how often it was drawn until it began as no other."""
        self._heads: set[tuple[int, ...]] = set()

    @property
    def symbols(self) -> int:
        """Of how many tokens prompts are made."""
        return len(set(self._vocabulary))

    def by_chance(self, isl: int) -> float:
        """Tokens that a prompt has in common with unknown ones, on average and at most."""
        return common_by_chance(self.symbols, isl=isl)

    def make(self, parts: Sequence[Part]) -> Prompt:
        """A prompt of as many tokens as all parts have."""
        ids: list[int] = []
        for part in parts:
            ids += self._own(part) if part.own else self._draw(part.label, part.tokens)
        return Prompt(fields={"prompt": ids}, ids=ids)

    def _own(self, part: Part) -> list[int]:
        times = self._drawn.get(part.label, 0)
        tokens = self._draw(f"{part.label} {times}", max(part.tokens, HEAD))
        if part.label not in self._drawn:
            while tuple(tokens[:HEAD]) in self._heads:
                times += 1
                tokens = self._draw(f"{part.label} {times}", max(part.tokens, HEAD))
            self._heads.add(tuple(tokens[:HEAD]))
            self._drawn[part.label] = times
        return tokens[: part.tokens]

    def _draw(self, label: str, tokens: int) -> list[int]:
        """More tokens of one label begin as fewer do."""
        return random.Random(f"{self._salt} {label}").choices(self._vocabulary, k=tokens)  # noqa: S311 - a prompt is no secret


class KnownPrompts:
    """All prompts so far: with how many tokens a new one begins as one of them, or as any other by chance."""

    def __init__(self, *, by_chance: float) -> None:
        self._by_chance = by_chance
        """What prompts that are not known here have in common with one of these, on average and at most."""
        self._sorted: list[list[int]] = []

    def add(self, ids: list[int]) -> float:
        """How many of the prompt's tokens a cache may hold before it was sent; it is known from then on.

        Over several prompts the sum does not depend on their order.
        """
        place = bisect.bisect(self._sorted, ids)
        known = max((in_common(ids, other) for other in self._sorted[max(0, place - 1) : place + 1]), default=0)
        self._sorted.insert(place, ids)
        return max(self._by_chance, known)


def in_common(one: Sequence[int], other: Sequence[int]) -> int:
    """With how many equal tokens both begin."""
    same, most = 0, min(len(one), len(other))
    while same < most:
        middle = (same + most + 1) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            most = middle - 1
    return same


def common_by_chance(vocabulary: int, *, isl: int) -> float:
    """How many of its first tokens a random prompt of `isl` tokens shares with some earlier one, on average and at most.

    That one of n others begins with the same k tokens has a chance of n / vocabulary^k at most; a cache that keeps every
    prompt token by token (and not in blocks) finds the sum of these over k.
    """
    shared, chance = 0.0, float(_OTHER_PROMPTS)
    for _ in range(isl):
        chance /= vocabulary
        shared += min(1.0, chance)
    return shared
