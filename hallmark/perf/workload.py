"""The requests of a perf point: prompts of an exact number of tokens, of which no prefix cache has seen more than the point says.

Over completions prompts are token ids, so that their length needs no tokenizer here; chats are counted by the model's own. Either
way it is exact, and the server's own count must agree.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hallmark.core.errors import HarnessError
from hallmark.perf.arrivals import due_times
from hallmark.perf.lengths import LEAST_OSL, lengths_of
from hallmark.perf.prompts import HEAD, KnownPrompts, Part, Prompt, TokenPrompts
from hallmark.perf.shares import PLAIN, Kind, kinds_drawn, kinds_of, structure
from hallmark.perf.traces import BLOCK_TOKENS, TraceRequest
from hallmark.specs.model import PerfPoint

if TYPE_CHECKING:
    from hallmark.client.oracle import TokenOracle
    from hallmark.perf.chat_prompts import ChatPrompts

COMPLETIONS = "/v1/completions"
PATHS: Mapping[str, str] = {"completions": COMPLETIONS, "chat": "/v1/chat/completions"}
"""`api` of a point -> its route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One request, made before the clock starts."""

    body: bytes
    isl: int
    osl: int
    due_s: float = 0.0
    """In an open loop, from the window's first request on."""
    group: int | None = None
    """Whose prefix its prompt begins with; None where none is shared."""
    kind: Kind = PLAIN
    conversation: int = 0
    turn: int = 0
    """Of its conversation, from 0 on; a request that stands alone is the only one of its own."""

    def row(self, *, open_at: float | None) -> dict[str, Any]:
        """For a run's folder; `open_at`: how many times as fast as planned an open loop sends, None for a closed one."""
        due_s = None if open_at is None or self.turn else round(self.due_s / open_at, 6)
        lengths = {"due_s": due_s, "isl": self.isl, "osl": self.osl}
        return {**lengths, "group": self.group, "kind": self.kind.name, "conversation": self.conversation, "turn": self.turn}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The requests of one point."""

    warmup: tuple[Planned, ...]
    window: tuple[Planned, ...]
    seed: int
    salt: str
    cached_by_chance: float
    """Tokens per prompt of the window that a prefix cache may rightly hold: by chance, or because prompts share them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One request before its prompt is made."""

    parts: tuple[Part, ...]
    osl: int
    due_s: float = 0.0
    group: int | None = None
    conversation: int = 0
    turn: int = 0


def make_workload(
    point: PerfPoint,
    model: str,
    *,
    vocabulary: Sequence[int],
    seed: int,
    salt: str,
    trace: Sequence[TraceRequest] = (),
    tokenizer: TokenOracle | None = None,
) -> Workload:
    """Warm-up and window of `point`. One (seed, salt) gives one workload; a fresh salt shares no prompt with any other.

    The warm-up has the most tokens that the point allows, so that the largest sizes are warm, too; each group's prefix in turn;
    and each kind of request. `trace`: what the point's arrivals are recorded in, one for each request of the window; none where
    they are drawn. `tokenizer`: the model's own, which a point over chat needs.
    """
    warmup = list(_warmup(point))
    prompts = _prompts(point, vocabulary, f"{seed} {salt}", tokenizer)
    _require_enough(prompts.symbols, point, warmup)
    by_chance = prompts.by_chance(point.isl)
    # What a model has read says nothing to an adapter: their caches are apart.
    known: defaultdict[str, KnownPrompts] = defaultdict(lambda: KnownPrompts(by_chance=by_chance))
    allowed: list[float] = []

    def planned(asked: _Asked, kind: Kind) -> Planned:
        prompt = prompts.make(asked.parts)
        allowed.append(known[kind.adapter].add(prompt.ids))
        return Planned(
            body=_body(kind.adapter or model, prompt, asked.osl, seed=seed, structured=kind.structured),
            isl=len(prompt.ids),
            osl=asked.osl,
            due_s=asked.due_s,
            group=asked.group,
            kind=kind,
            conversation=asked.conversation,
            turn=asked.turn,
        )

    warm = tuple(map(planned, warmup, itertools.cycle(kinds_of(point))))
    allowed.clear()
    kinds = kinds_drawn(point, seed=seed, salt=salt)
    window = _recorded(point, trace) if trace else _drawn(point, seed=seed, salt=salt)
    return Workload(
        warmup=warm,
        window=tuple(planned(asked, kinds[asked.conversation]) for asked in window),
        seed=seed,
        salt=salt,
        cached_by_chance=sum(allowed) / point.requests,
    )


def _prompts(point: PerfPoint, vocabulary: Sequence[int], salt: str, tokenizer: TokenOracle | None) -> TokenPrompts | ChatPrompts:
    if point.api == "completions":
        return TokenPrompts(vocabulary, salt)
    if tokenizer is None:
        raise HarnessError(f"{point.name} is asked over chat, whose prompts cannot be counted without the model's tokenizer")
    from hallmark.perf.chat_prompts import ChatPrompts  # imported where chats are asked: it brings a tokenizer's library

    return ChatPrompts(tokenizer, salt)


def _warmup(point: PerfPoint) -> Iterator[_Asked]:
    shared = point.prefixes.tokens if point.prefixes else 0
    for number in range(point.warmup or point.concurrency):
        group = number % point.prefixes.groups if point.prefixes else None
        own = Part(label=f"warm {number}", tokens=point.isl - shared, own=True)
        yield _Asked(parts=(*_prefix(point, group), own), osl=point.osl, group=group)


def _drawn(point: PerfPoint, *, seed: int, salt: str) -> Iterator[_Asked]:
    count, turns = point.conversations, point.turns.number if point.turns else 1
    due = due_times(point.arrivals, count, seed=seed, salt=salt) if point.arrivals else (0.0,) * count
    lengths = lengths_of(point, point.requests, seed=seed, salt=salt)
    groups = random.Random(f"{seed} {salt} groups")  # noqa: S311 - a draw is no secret
    for number, moment in enumerate(due):
        group = groups.randrange(point.prefixes.groups) if point.prefixes else None
        of_turns = lengths[number * turns : (number + 1) * turns]
        for turn, (parts, osl) in enumerate(_conversation(point, number, _prefix(point, group), of_turns)):
            yield _Asked(parts=parts, osl=osl, due_s=moment, group=group, conversation=number, turn=turn)


def _conversation(
    point: PerfPoint, number: int, said: tuple[Part, ...], lengths: Sequence[tuple[int, int]]
) -> Iterator[tuple[tuple[Part, ...], int]]:
    """The prompt and the OSL of each turn: all that was said before, and something new."""
    longest = lengths[0][0] - sum(part.tokens for part in said) - (len(lengths) - 1) * point.osl
    for turn, (_, osl) in enumerate(lengths):
        # What does not part evenly among the turns belongs to the first.
        new = longest // len(lengths) + (longest % len(lengths) if turn == 0 else 0)
        said = (*said, Part(label=f"own {number} {turn}", tokens=new, own=True))
        yield said, osl
        said = (*said, Part(label=f"answer {number} {turn}", tokens=osl, answer=True))


def _prefix(point: PerfPoint, group: int | None) -> tuple[Part, ...]:
    return (Part(label=f"prefix {group}", tokens=point.prefixes.tokens),) if point.prefixes else ()


def _recorded(point: PerfPoint, trace: Sequence[TraceRequest]) -> Iterator[_Asked]:
    """Of the tokens of its blocks, and then of its own; as long as is recorded, within what the point allows."""
    for number, one in enumerate(trace):
        isl = min(one.isl, point.isl)
        blocks = one.blocks[: -(-isl // BLOCK_TOKENS)]
        parts = [
            Part(label=f"block {block}", tokens=min(BLOCK_TOKENS, isl - place * BLOCK_TOKENS))
            for place, block in enumerate(blocks)
        ]
        if own := max(0, isl - len(blocks) * BLOCK_TOKENS):
            parts.append(Part(label=f"own {number}", tokens=own, own=True))
        elif point.api == "chat":  # what its template adds makes its last part shorter: it is no block's then
            parts[-1] = Part(label=f"own {number}", tokens=parts[-1].tokens, own=True)
        yield _Asked(parts=tuple(parts), osl=min(max(one.osl, LEAST_OSL), point.osl), due_s=one.due_s, conversation=number)


def _require_enough(vocabulary: int, point: PerfPoint, warmup: Sequence[_Asked]) -> None:
    """HarnessError where prompts could not be told apart, so that warm-up or window would fill a cache for another."""
    count = len(warmup) + point.requests
    if vocabulary ** min(point.isl, HEAD) < 2 * count:
        raise HarnessError(f"{vocabulary} tokens make too few prompts of {point.isl} tokens for {count} distinct ones")


def _body(model: str, prompt: Prompt, osl: int, *, seed: int, structured: bool) -> bytes:
    # No min_tokens: ignore_eos is enough to reach OSL, and masking the end token would cost the server time at each step.
    body: Mapping[str, Any] = {
        "model": model,
        **prompt.fields,
        "max_tokens": osl,
        "ignore_eos": True,
        # Past its end a model repeats its end token: left out of the text, it would make events that say nothing.
        "skip_special_tokens": False,
        "temperature": 0,
        "seed": seed,
        "stream": True,
        "stream_options": {"include_usage": True},
        **(structure(osl) if structured else {}),
    }
    return json.dumps(body, separators=(",", ":")).encode()
