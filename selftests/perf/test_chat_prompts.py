"""Chats of exactly as many tokens as asked, by tokenizers with a token for each letter, for each word, and for parts of words."""

from __future__ import annotations

import itertools
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from hallmark.client.oracle import TokenOracle
from hallmark.core.errors import HarnessError, UsageError
from hallmark.perf.chat_prompts import ChatPrompts
from hallmark.perf.prompts import Part, in_common
from hallmark.perf.workload import Workload, make_workload
from hallmark.specs.model import Metric, PerfPoint

WEIGHTS = Path(__file__).resolve().parents[2] / "fixtures" / "hallmark_tiny"
TEMPLATE = "{{ '<s>' }}You are kind.\n{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}\n{% endfor %}[assistant]"
SYLLABLES = ["ba", "ke", "li", "mo", "nu", "pra", "ste", "tri", "vo", "zu"]


@cache
def trained(merges: int) -> TokenOracle:
    """A byte-level tokenizer as models have it; with more merges whole words are tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    draw = random.Random(merges)
    words = ["".join(draw.choices(SYLLABLES, k=draw.randint(1, 3))) for _ in range(400)]
    trainer = trainers.BpeTrainer(
        vocab_size=256 + merges,
        special_tokens=["<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(draw.choices(words, k=20)) for _ in range(200)], trainer)
    return TokenOracle(tokenizer, {}, TEMPLATE)


def an_oracle(tokens: str) -> TokenOracle:
    """By what its tokens stand for."""
    return TokenOracle.from_folder(WEIGHTS) if tokens == "letters" else trained({"parts": 60, "words": 500}[tokens])


TOKENS = ("letters", "parts", "words")


def a_point(**given: Any) -> PerfPoint:
    fields: dict[str, Any] = {"isl": 90, "osl": 4, "concurrency": 4, "requests": 40, "source": "x", "api": "chat"}
    return PerfPoint.model_validate(fields | {"targets": {Metric.TTFT_MEAN: 1.0}} | given)


def made(point: PerfPoint, oracle: TokenOracle, *, salt: str = "s") -> Workload:
    return make_workload(point, "m", vocabulary=(), seed=1, salt=salt, tokenizer=oracle)


def ids_of(workload: Workload, oracle: TokenOracle) -> list[list[int]]:
    return [oracle.chat_ids(json.loads(one.body)["messages"]) for one in (*workload.warmup, *workload.window)]


@pytest.mark.parametrize("tokens", TOKENS)
def test_each_chat_has_exactly_its_tokens_and_shares_its_prefix_alone(tokens: str) -> None:
    oracle = an_oracle(tokens)
    point = a_point(lengths={"isl": {"kind": "uniform", "low": 70}}, prefixes={"groups": 2, "tokens": 30})
    workload = made(point, oracle)
    planned, ids = [*workload.warmup, *workload.window], ids_of(workload, oracle)
    assert [len(one) for one in ids] == [one.isl for one in planned]
    assert len({one.isl for one in planned}) > 10
    groups = [[one for plan, one in zip(planned, ids, strict=True) if plan.group == group] for group in (0, 1)]
    template = in_common(groups[0][0], groups[1][0])
    own = [one[template + 32 :] for group in groups for one in group]
    assert all(in_common(group[0], one) >= template + 20 for group in groups for one in group), "words of about 30 tokens"
    assert max(in_common(one, other) for place, one in enumerate(own) for other in own[:place]) < 20
    assert template + 20 < workload.cached_by_chance < template + 60


@pytest.mark.parametrize("tokens", TOKENS)
def test_what_chats_have_in_common_by_chance_is_no_less_than_they_have(tokens: str) -> None:
    oracle = an_oracle(tokens)
    workload = made(a_point(requests=200), oracle)
    ids = sorted(ids_of(workload, oracle))
    neighbours = [in_common(one, other) for one, other in itertools.pairwise(ids)]
    assert sum(neighbours) / len(neighbours) <= ChatPrompts(oracle, "x").by_chance(90) <= 60


def test_a_salt_makes_the_same_again_and_another_nothing_of_it() -> None:
    oracle = an_oracle("words")
    one, again, other = (ids_of(made(a_point(), oracle, salt=salt), oracle) for salt in ("a", "a", "b"))
    assert one == again
    assert not {tuple(ids) for ids in one} & {tuple(ids) for ids in other}


def test_a_template_that_leaves_no_room_is_told() -> None:
    prompts = ChatPrompts(an_oracle("letters"), "s")
    with pytest.raises(UsageError, match="3 tokens are too few for a chat"):
        prompts.make([Part(label="own", tokens=3, own=True)])


def test_a_chat_needs_the_tokenizer() -> None:
    with pytest.raises(HarnessError, match="isl90-osl4-c4-chat is asked over chat"):
        make_workload(a_point(), "m", vocabulary=(), seed=1, salt="s")
