"""What a point's answers say: the same as when nothing else is asked, as long as was counted, and computed and not kept. Pure.

A server can be quick because it answers wrongly, briefly, or out of a store of earlier answers. So some requests of the window,
which are like all others, are asked once more after it. Nothing is known beforehand that the server could have kept, and no
prompt comes twice within the window, where a prefix cache would make the second one's first token quicker.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.perf.sample import Checked, Sample
from hallmark.stats.sameness import Noise, Said, judge_same

QUALITY, LENGTH, CACHED = "quality", "answer_length", "cached_answers"
_SHARE, _LEAST, _MOST = 0.1, 4, 16
"""So much of a window is checked, but neither fewer requests nor more."""
_BACKED = 0.7
"""At least so many of the tokens that are counted must be in a text: made into tokens anew, it may have somewhat fewer."""
_SHORT = 2
"""So many answers without their tokens are no accident of a tokenizer."""
_AT_ONCE = 0.4
"""A whole answer in so much of the time that others take for their tokens after the first alone was not computed."""
_BROKEN = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lone:
    """A checked answer of the window beside what the server says to the same request alone."""

    checked: Checked
    said: Said
    """Its first tokens, so many as were asked for (`asked`)."""
    asked: int
    counted: int
    """How many tokens the model's own tokenizer makes of the window's text ..."""
    counted_alone: int
    """... and of the lone one."""

    @property
    def is_short(self) -> bool:
        """Whether neither the pieces nor the text of the answer have the tokens that usage counts.

        A tokenizer may make one token of what a model says in many, as of blank lines. Then it does so of the lone answer, too,
        whose tokens are told one by one.
        """
        least = _BACKED * self.checked.osl
        merged = len(self.said.tokens) == self.asked and self.counted_alone < _BACKED * self.asked
        return not merged and self.counted < least and self.checked.pieces < least

    @property
    def texts(self) -> tuple[Said, Said]:
        """The lone answer, and that of the window as far as the lone one goes."""
        said = self.said
        alone = said.text.rstrip(_BROKEN)  # where the lone answer ended, a character may be unfinished
        if self.checked.text.startswith(alone):
            return said, said
        return said, _in_tokens_of(said, self.checked.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedAgain:
    """What came of the checked requests of a window once it was over."""

    lone: tuple[Lone, ...]
    noise: Noise | None
    """The server's own; None where no answer differs."""
    repeated: tuple[Sample, ...]
    """Requests that are in the window, byte for byte ..."""
    fresh: tuple[Sample, ...]
    """... and new ones of their kind: one before, one between two, and one after them."""


def checked_places(count: int) -> tuple[int, ...]:
    """Which of `count` requests are checked, evenly spread, in order."""
    several = min(count, _MOST, max(_LEAST, round(_SHARE * count)))
    return tuple((2 * place + 1) * count // (2 * several) for place in range(several))


def judge_quality(again: AskedAgain) -> list[Evidence]:
    """FAIL where the window's answers are others than alone, shorter than counted, or come out of a store when repeated."""
    return [_judge_same(again), _judge_length(again.lone), _judge_cached(again.repeated, again.fresh)]


def _judge_same(again: AskedAgain) -> Evidence:
    pairs = {f"answer {place}": one.texts for place, one in enumerate(again.lone, start=1)}
    found = judge_same(QUALITY, pairs, again.noise or Noise())
    told = found.reason or f"{found.n} answers of the window are what the server says when nothing else is asked"
    target = Target(relation="==", limit=0, source="an answer counts where it is right")
    return replace(found, reason=told, target=target, detail=found.detail if again.noise else {})


def _judge_length(lone: Sequence[Lone]) -> Evidence:
    short = [one for one in lone if one.is_short]
    failed = len(short) >= _SHORT
    reason = f"{len(lone)} answers of the window have the tokens that usage counts"
    if short:
        worst = min(short, key=lambda one: one.counted)
        reason = (
            f"{len(short)} of {len(lone)} answers are shorter than usage says: it counts {worst.checked.osl} tokens,"
            f" and the text is {worst.counted} in {worst.checked.pieces} pieces"
        )
    return Evidence(
        name=LENGTH,
        value=len(short),
        n=len(lone),
        verdict=Verdict.FAIL if failed else Verdict.PASS,
        reason=reason,
        target=Target(relation="<=", limit=_SHORT - 1, source="tokens count where they come"),
    )


def _judge_cached(repeated: Sequence[Sample], fresh: Sequence[Sample]) -> Evidence:
    """Prefix caching makes the first token of a repeated prompt come sooner, and no other: those have to be computed again.

    The median of the new ones counts: one whose tokens came late and together seems to have taken no time for them.
    """
    best_s = min(sample.e2e_s / sample.output_tokens for sample in repeated)
    usual_s = statistics.median(sample.tpot_s for sample in fresh)
    quick = [sample for sample in repeated if sample.e2e_s / sample.output_tokens < _AT_ONCE * usual_s]
    reason = (
        f"a repeated request takes {1000 * best_s:.3g} ms for each token, its first one included,"
        f" and new ones {1000 * usual_s:.3g} ms without it"
    )
    if quick:
        reason = f"{len(quick)} of {len(repeated)} repeated requests were answered out of a store of answers: {reason}"
    return Evidence(
        name=CACHED,
        value=len(quick),
        n=len(repeated),
        verdict=Verdict.FAIL if quick else Verdict.PASS,
        reason=reason,
        target=Target(relation="==", limit=0, source="an answer that is kept was not timed"),
    )


def _in_tokens_of(lone: Said, text: str) -> Said:
    """`text`, which parts from the lone answer, in its tokens up to where it does, and then what was said instead.

    One text can be cut into tokens in several ways. Of all tokens that were likely at some place and lead further along `text`
    than the lone answer does, the one that was nearest to being chosen is taken.
    """
    said = "".join(lone.tokens)
    if not said or said != lone.text:  # nothing tells which token stands where
        return Said(text=text, finish_reason=lone.finish_reason)
    starts = list(itertools.accumulate(map(len, lone.tokens), initial=0))
    shared = next((place for place, (one, other) in enumerate(zip(said, text, strict=False)) if one != other), len(text))
    parted = max(place for place, start in enumerate(starts[:-1]) if start <= shared)
    leads = [
        (lone.logprobs[place] - value, place, token)
        for place in range(min(parted + 1, len(lone.tops)))
        for token, value in lone.tops[place].items()
        if token != lone.tokens[place] and starts[place] + len(token) > shared and text.startswith(token, starts[place])
    ]
    _, place, instead = min(leads, default=(0.0, parted, text[starts[parted] : starts[parted] + 1]))
    return Said(text=text, finish_reason=lone.finish_reason, tokens=(*lone.tokens[:place], instead))
