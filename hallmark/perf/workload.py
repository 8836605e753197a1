"""The requests of a perf point: prompts of an exact number of tokens that no prefix cache has seen.

Prompts are token ids, so that their length needs no tokenizer here and is exact; the server's own count must agree.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hallmark.core.errors import HarnessError
from hallmark.perf.arrivals import due_times
from hallmark.perf.lengths import LEAST_OSL, lengths_of
from hallmark.perf.traces import BLOCK_TOKENS, TraceRequest
from hallmark.specs.model import PerfPoint

COMPLETIONS = "/v1/completions"
_OTHER_PROMPTS = 10_000
"""At least as many as one server sees in a run; fewer have less in common by chance."""
_HEAD = 8
"""Two prompts differ within so many tokens: well inside one block of any prefix cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One request, made before the clock starts."""

    body: bytes
    isl: int
    osl: int
    due_s: float = 0.0
    """In an open loop, from the window's first request on."""

    def row(self, *, open_at: float | None) -> dict[str, Any]:
        """For a run's folder; `open_at`: how many times as fast as planned an open loop sends, None for a closed one."""
        return {"due_s": None if open_at is None else round(self.due_s / open_at, 6), "isl": self.isl, "osl": self.osl}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The requests of one point."""

    warmup: tuple[Planned, ...]
    window: tuple[Planned, ...]
    seed: int
    salt: str
    cached_by_chance: float
    """Tokens per prompt that a prefix cache may rightly hold: by chance, or because a trace's prompts have them in common."""


def make_workload(
    point: PerfPoint, model: str, *, vocabulary: Sequence[int], seed: int, salt: str, trace: Sequence[TraceRequest] = ()
) -> Workload:
    """Warm-up and window of `point`. One (seed, salt) gives one workload; a fresh salt shares no prompt with any other.

    The warm-up has the most tokens that the point allows, so that the largest sizes are warm, too.
    `trace`: what the point's arrivals are recorded in, one for each request of the window; none where they are drawn.
    """
    warmup = point.warmup or point.concurrency
    rng = random.Random(f"{seed} {salt}")  # noqa: S311
    prompts = _distinct_prompts(point.isl, warmup + point.requests, vocabulary=vocabulary, rng=rng)
    recorded = trace or _drawn(point, seed=seed, salt=salt)
    shared = SharedBlocks(vocabulary, f"{seed} {salt}")
    asked = [shared.prompt(one, prompt) for one, prompt in zip(recorded, prompts[warmup:], strict=True)]

    def planned(prompt: list[int], *, osl: int, due_s: float = 0.0) -> Planned:
        return Planned(body=_body(model, prompt, osl=osl, seed=seed), isl=len(prompt), osl=osl, due_s=due_s)

    return Workload(
        warmup=tuple(planned(prompt, osl=point.osl) for prompt in prompts[:warmup]),
        window=tuple(
            planned(prompt, osl=min(max(one.osl, LEAST_OSL), point.osl), due_s=one.due_s)
            for one, prompt in zip(recorded, asked, strict=True)
        ),
        seed=seed,
        salt=salt,
        cached_by_chance=common_by_chance(len(set(vocabulary)), isl=point.isl) + shared.tokens / point.requests,
    )


def _drawn(point: PerfPoint, *, seed: int, salt: str) -> list[TraceRequest]:
    due = due_times(point.arrivals, point.requests, seed=seed, salt=salt) if point.arrivals else (0.0,) * point.requests
    lengths = lengths_of(point, point.requests, seed=seed, salt=salt)
    return [TraceRequest(due_s=moment, isl=isl, osl=osl) for moment, (isl, osl) in zip(due, lengths, strict=True)]


class SharedBlocks:
    """Prompts of a trace: equal blocks have equal tokens, whatever follows them is each prompt's own."""

    def __init__(self, vocabulary: Sequence[int], salt: str) -> None:
        self._vocabulary = vocabulary
        self._salt = salt
        self._seen: set[tuple[int, ...]] = set()
        self.tokens = 0
        """Of all prompts so far, those that an earlier one begins with as well."""

    def prompt(self, asked: TraceRequest, own: Sequence[int]) -> list[int]:
        """Of the tokens of its blocks, and then of its own; as long as is asked, or as `own` is if that is shorter."""
        length = min(asked.isl, len(own))
        blocks = asked.blocks[: -(-length // BLOCK_TOKENS)]
        known = next((size for size in range(len(blocks), 0, -1) if blocks[:size] in self._seen), 0)
        self.tokens += min(length, known * BLOCK_TOKENS)
        self._seen.update(blocks[:size] for size in range(1, len(blocks) + 1))
        tokens = [token for block in blocks for token in self._block(block)]
        return [*tokens, *own[: max(0, length - len(tokens))]][:length]

    def _block(self, number: int) -> list[int]:
        return random.Random(f"{self._salt} block {number}").choices(self._vocabulary, k=BLOCK_TOKENS)  # noqa: S311


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


def _distinct_prompts(isl: int, count: int, *, vocabulary: Sequence[int], rng: random.Random) -> list[list[int]]:
    """`count` prompts, no two of which begin alike, so that neither warm-up nor window can fill a cache for another."""
    head = min(isl, _HEAD)
    if len(set(vocabulary)) ** head < 2 * count:
        raise HarnessError(f"{len(set(vocabulary))} tokens make too few prompts of {isl} tokens for {count} distinct ones")
    seen: set[tuple[int, ...]] = set()
    prompts: list[list[int]] = []
    while len(prompts) < count:
        prompt = rng.choices(vocabulary, k=isl)
        if (begin := tuple(prompt[:head])) not in seen:
            seen.add(begin)
            prompts.append(prompt)
    return prompts


def _body(model: str, prompt: list[int], *, osl: int, seed: int) -> bytes:
    # No min_tokens: ignore_eos is enough to reach OSL, and masking the end token would cost the server time at each step.
    body = {
        "model": model,
        "prompt": prompt,
        "max_tokens": osl,
        "ignore_eos": True,
        # Past its end a model repeats its end token: left out of the text, it would make events that say nothing.
        "skip_special_tokens": False,
        "temperature": 0,
        "seed": seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return json.dumps(body, separators=(",", ":")).encode()
