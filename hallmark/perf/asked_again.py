"""Asks the checked requests of a window once more after it: some as the window did, timed, each alone with log-probabilities.

This costs the time of a few answers. What the window measured is not touched by it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import nullcontext

from hallmark.client.asking import PATHS, streamed
from hallmark.client.errors import NoAnswerInTime
from hallmark.client.oracle import TokenOracle
from hallmark.client.same_answers import SameAnswers, said_in, said_in_chat
from hallmark.core.errors import CheckFailed
from hallmark.perf.connection import Address
from hallmark.perf.loops import Bounds, ClosedLoop, no_progress
from hallmark.perf.quality import AskedAgain, Lone
from hallmark.perf.reading import read_timed
from hallmark.perf.sample import Checked, Failed, PointResult, Sample
from hallmark.perf.workload import Planned, make_workload
from hallmark.specs.model import PerfPoint

_REPEATED = 3
"""So many requests are sent as they were."""
_MOST_TOKENS = 64
"""An answer is compared that far."""


def ask_again(
    result: PointResult, point: PerfPoint, judge: SameAnswers, tokenizer: TokenOracle, *, api_key: str = "", limit_s: float
) -> AskedAgain:
    """Of a window without a fault. CheckFailed where a request is not answered this time, within `limit_s` seconds."""
    client = judge.offers.client
    repeated = [Planned(body=one.body, isl=one.isl, osl=one.osl) for one in result.checked[:_REPEATED]]
    # A prompt that no workload of this run has made.
    like_it = point.model_copy(
        update={"requests": len(repeated) + 1, "warmup": 1, "arrivals": None, "turns": None, "shares": None}
    )
    fresh = make_workload(
        like_it,
        client.model,
        vocabulary=tokenizer.ordinary_ids(),
        seed=result.seed,
        salt=f"{result.salt} again",
        tokenizer=tokenizer,
    ).window
    address = Address.of(client.base_url, PATHS[point.api], api_key=api_key)
    samples = _timed(_in_turns(fresh, repeated), address, point, limit_s)
    lone = tuple(_alone(checked, point, judge, tokenizer) for checked in result.checked)
    differ = any(alone is not within for alone, within in (one.texts for one in lone))
    return AskedAgain(lone=lone, noise=judge.noise if differ else None, repeated=samples[1::2], fresh=samples[::2])


def _in_turns(fresh: Sequence[Planned], repeated: Sequence[Planned]) -> list[Planned]:
    """A machine that becomes quicker or slower meanwhile is so for both."""
    return [one for pair in zip(fresh, repeated, strict=False) for one in pair] + [fresh[-1]]


def _timed(asked: list[Planned], address: Address, point: PerfPoint, limit_s: float) -> tuple[Sample, ...]:
    bounds = Bounds(limit_s=limit_s, during=nullcontext(), should_stop=lambda: None)
    loop = ClosedLoop(address, point.concurrency, bounds)
    asyncio.run(loop.run([], [one.body for one in asked], progress=no_progress))
    return tuple(
        _whole(read_timed(timed, isl=one.isl, osl=one.osl), limit_s) for timed, one in zip(loop.window_sent, asked, strict=True)
    )


def _whole(found: Sample | Failed, limit_s: float) -> Sample:
    if isinstance(found, Sample):
        return found
    told = f"a request like the window's, sent right after it: {found.error}"
    raise NoAnswerInTime(told, waited_s=limit_s) if found.late else CheckFailed(told)


def _alone(checked: Checked, point: PerfPoint, judge: SameAnswers, tokenizer: TokenOracle) -> Lone:
    asked = json.loads(checked.body)
    asked["max_tokens"] = min(checked.osl, _MOST_TOKENS)
    events = streamed(judge.offers.client, PATHS[point.api], **asked, **judge.asked_of(point.api))
    said = (said_in if point.api == "completions" else said_in_chat)(events)
    return Lone(
        checked=checked,
        said=said,
        asked=asked["max_tokens"],
        counted=tokenizer.count(checked.text),
        counted_alone=tokenizer.count(said.text),
    )
