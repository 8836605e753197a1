"""The requests of a perf point: prompts of an exact number of tokens that no prefix cache has seen.

Prompts are token ids, so that their length needs no tokenizer here and is exact; the server's own count must agree.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from hallmark.core.errors import HarnessError
from hallmark.specs.model import PerfPoint

COMPLETIONS = "/v1/completions"
_OTHER_PROMPTS = 10_000
"""At least as many as one server sees in a run; fewer have less in common by chance."""
_HEAD = 8
"""Two prompts differ within so many tokens: well inside one block of any prefix cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The request bodies of one point, made before the clock starts."""

    warmup: tuple[bytes, ...]
    window: tuple[bytes, ...]
    seed: int
    salt: str
    cached_by_chance: float
    """Tokens per prompt that a prefix cache may hold of it without having seen it."""


def make_workload(point: PerfPoint, model: str, *, vocabulary: Sequence[int], seed: int, salt: str) -> Workload:
    """Warm-up and window of `point`. One (seed, salt) gives one workload; a fresh salt shares no prompt with any other."""
    warmup = point.warmup or point.concurrency
    prompts = _distinct_prompts(point.isl, warmup + point.requests, vocabulary=vocabulary, rng=random.Random(f"{seed} {salt}"))  # noqa: S311
    bodies = [_body(model, prompt, osl=point.osl, seed=seed) for prompt in prompts]
    return Workload(
        warmup=tuple(bodies[:warmup]),
        window=tuple(bodies[warmup:]),
        seed=seed,
        salt=salt,
        cached_by_chance=common_by_chance(len(set(vocabulary)), isl=point.isl),
    )


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
