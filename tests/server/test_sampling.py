"""What decides a sample decides it: the seed, the temperature, and nothing else."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from hallmark.client.asking import COMPLETIONS, complete, text_of, together
from hallmark.client.free_text import FREE_NATS, OPENINGS, UNDONE
from hallmark.client.text import part
from hallmark.core.errors import Inconclusive
from hallmark.stats.frequencies import judge_frequencies
from hallmark.stats.sameness import Said, judge_same
from hallmark.stats.seeds import judge_repeats, judge_variety

pytestmark = pytest.mark.server

SEEDS = 8


@pytest.mark.check(
    "server.seed",
    title="The same seed gives the same text, another seed gives another",
    needs="completions",
    source="OpenAI API: seed",
    covers=["G01", "I14"],
    fault="nondeterministic",
)
def test_a_seed_repeats_a_sample(client, free_text, check):
    """At temperature 1 one seed gives one text and another seed another; at temperature 0 there is one text only.

    What equal and different texts show depends on how freely the model goes on, which is measured first.
    """
    free = free_text.freest(client)
    check.observe("opening that the model continues most freely", free.opening, detail={"nats": free.nats, "tokens": free.length})
    draw = partial(free_text.draw, client, free.opening, max_tokens=free.length)
    once, again = ([draw(seed=seed) for seed in range(SEEDS)] for _ in range(2))
    texts = [drawn for drawn, _ in once]
    check.add(judge_repeats(texts, [drawn for drawn, _ in again]), judge_variety(texts))
    # An answer that was kept from the first time repeats anything, and shows nothing.
    check.equal("answers that were made anew", len({id_ for _, id_ in [*once, *again]}), 2 * SEEDS)
    greedy = {draw(seed=seed, temperature=0)[0].text for seed in range(4)}
    check.equal("different texts among 4 seeds at temperature 0", len(greedy), 1)


def drawn_text(client, asked, **fields):
    return part(complete(client, **asked, **fields), "choices", 0, "text")


@pytest.mark.check(
    "server.greedy",
    title="The same request at temperature 0 is answered the same each time",
    needs="completions",
    source="OpenAI API, 2026-08-21: temperature",
    covers=["G01", "I03"],
    fault="greedy-wavers",
)
def test_greedy_answers_repeat(client, same_answers, check):
    pairs = {}
    for opening in OPENINGS:
        first, *others = (same_answers.ask(client, prompt=opening, max_tokens=24) for _ in range(4))
        pairs |= {f"{opening!r}, time {time}": (first, other) for time, other in enumerate(others, start=2)}
    check.add(judge_same("repeats that differ", pairs, same_answers.noise))


@pytest.mark.check(
    "server.greedy-ways",
    title="The likeliest token alone is drawn at temperature 0, and where top_p or top_k leaves no other",
    needs="completions",
    source="OpenAI API, 2026-08-21: temperature, top_p",
    covers="G05",
    fault="top-p-ignored",
)
def test_ways_to_be_greedy(client, offers, same_answers, check):
    ways = {"top_p": {"temperature": 1, "top_p": 1e-6}}
    if offers.has("field:top_k"):
        ways["top_k"] = {"temperature": 1, "top_k": 1}
    calls = [(f"{opening!r} by {way}", opening, fields) for opening in OPENINGS for way, fields in ways.items()]
    greedy = {opening: same_answers.ask(client, prompt=opening, max_tokens=16) for opening in OPENINGS}
    others = together([partial(same_answers.ask, client, prompt=opening, max_tokens=16, **more) for _, opening, more in calls])
    pairs = {label: (greedy[opening], other) for (label, opening, _), other in zip(calls, others, strict=True)}
    check.add(judge_same("answers that are not the greedy one", pairs, same_answers.noise))


@pytest.mark.check(
    "server.seed-in-batch",
    title="A seed gives its text also among requests without a seed",
    needs="completions",
    source="OpenAI API, 2026-08-21: seed; vllm #51226, tt-metal #53802",
    covers="G02",
    fault="seed-lost-in-batch",
)
def test_a_seed_counts_among_others(client, offers, free_text, check):
    """The seeded request alone, twice; then among others at the same time, three times. Where even alone it does not repeat, the
    check of seeds fails, and nothing can be seen here. Some that differ may hang on rounding in a batch: half of them do not.
    """
    free = free_text.freest(client)
    if free.nats[free.opening] < FREE_NATS:
        raise Inconclusive("the model is too sure of its words to tell one seed from another")
    asked = {"prompt": free.opening, "max_tokens": free.length, "temperature": 1, "top_p": 1, **offers.only(**UNDONE)}
    seeds = (11, 12, 13, 14)
    alone, again = ([drawn_text(client, asked, seed=seed) for seed in seeds] for _ in range(2))
    if alone != again:
        raise Inconclusive("alone, a seed does not repeat its text: server.seed judges that")
    calls = [partial(drawn_text, client, asked, **({"seed": seeds[place // 4]} if place % 4 == 0 else {})) for place in range(16)]
    rounds = [together(calls)[::4] for _ in range(3)]
    same = sum(found == wanted for texts in rounds for found, wanted in zip(texts, alone, strict=True))
    check.at_least("seeded texts that others did not change, of 12", same, 6, n=12)


@pytest.mark.check(
    "server.seed-together",
    title="At the same time, one seed gives one text and other seeds give others",
    needs="completions",
    source="OpenAI API, 2026-08-21: seed; tt-metal #53802, tensorrtllm_backend #468",
    covers="G03",
    fault="seed-shared",
)
def test_seeds_at_the_same_time(client, free_text, check):
    free = free_text.freest(client)
    draw = partial(free_text.draw, client, free.opening, max_tokens=free.length)
    seeds = [3] * 8 + list(range(20, 28))
    found = [one for one, _ in together([partial(draw, seed=seed) for seed in seeds])]
    same, others = found[:8], found[8:]
    most = max(sum(one.text == other.text for other in same) for one in same)
    check.at_least("texts of one seed that are the same, of 8", most, 6, n=8)
    check.add(judge_variety(others))


@pytest.mark.check(
    "server.seed-choices",
    title="With one seed, n choices differ from each other, and all come again",
    needs="completions",
    source="OpenAI API, 2026-08-21: n, seed; vllm #12584, #14280",
    covers="G04",
    fault="choices-alike",
)
def test_a_seed_repeats_all_choices(client, offers, free_text, check):
    free = free_text.freest(client)
    asked = {"prompt": free.opening, "max_tokens": free.length, "temperature": 1, "top_p": 1, **offers.only(**UNDONE)}
    asked |= {"n": 4, "seed": 9}
    once, again = ([text_of(choice) for choice in part(complete(client, **asked), "choices")] for _ in range(2))
    if free.nats[free.opening] < FREE_NATS:
        raise Inconclusive("the model is too sure of its words to tell choices apart")
    check.equal("choices that came again", sum(a == b for a, b in zip(once, again, strict=True)), 4)
    check.at_least("different texts of 4 choices", len(set(once)), 2, n=4)


@pytest.mark.check(
    "server.logit-bias",
    title="A bias of +100 forces a token, and one of -100 bans it",
    needs="completions",
    source="OpenAI API, 2026-08-21: logit_bias, -100 to 100",
    covers="G06",
    fault="bias-ignored",
)
def test_a_bias_forces_and_bans(client, tokenizer, wordy, check):
    asked, free = wordy(16)
    letters = [letter for letter in "kqxzj" if letter not in free and len(tokenizer.ids(letter)) == 1]
    assert letters, f"no letter to force: all are in {free!r}"
    (forced,) = tokenizer.ids(letters[0])
    text = drawn_text(client, {**asked, "max_tokens": 4}, logit_bias={str(forced): 100})
    check.equal(f"text of {letters[0]!r} with a bias of 100", text.replace(" ", ""), letters[0] * 4)
    present = sorted({letter for letter in free if letter.isalnum() and len(tokenizer.ids(letter)) == 1}, key=free.index)
    if not present:
        raise Inconclusive(f"no letter of {free!r} is a token of its own")
    (banned,) = tokenizer.ids(present[0])
    told = complete(client, **asked, logit_bias={str(banned): -100})
    ids = tokenizer.ids(part(told, "choices", 0, "text"))
    check.equal(f"the token {present[0]!r} with a bias of -100 is there", banned in ids, False)


@pytest.mark.check(
    "server.penalties",
    title="A penalty on what was said makes an answer repeat itself less, among others as alone",
    needs="completions",
    source="OpenAI API, 2026-08-21: frequency_penalty; vllm #27878, #26467",
    covers="G07",
    fault="penalties-ignored",
)
def test_penalties_have_their_effect(client, tokenizer, same_answers, check):
    """The model is bound to a few letters, of which it says one again and again; 2 for each time that it was said adds up to more
    than any other can lack. Its neighbours without a penalty must say what they say alone.
    """
    ids = [tokenizer.ids(letter)[-1] for letter in "abc"]
    asked = {"prompt": "a b c a b c", "max_tokens": 24, "logit_bias": {str(token): 100 for token in ids}}
    plain, alone = (drawn_text(client, asked, frequency_penalty=value) for value in (0, 2))
    check.equal("frequency_penalty=2 changes what is said", alone != plain, True, detail={"with": alone, "without": plain})
    most = {name: max(Counter(text).values()) for name, text in (("with", alone), ("without", plain))}
    check.at_most("times that one letter is said with a penalty", most["with"], most["without"])
    found = together([partial(drawn_text, client, asked, frequency_penalty=2 * (place % 2)) for place in range(16)])
    pairs = {f"request {place}": (Said(text=alone if place % 2 else plain), Said(text=text)) for place, text in enumerate(found)}
    check.add(judge_same("answers that the penalties of others changed", pairs, same_answers.noise))


TIMES = 40
EACH = 25


@pytest.mark.check(
    "server.sampling-frequencies",
    title="At temperature 1 tokens are drawn as often as their probabilities say",
    needs=["completions", "logprobs"],
    source="OpenAI API, 2026-08-21: temperature, logprobs; arXiv 2511.20621",
    covers="G09",
    fault="sampling-sharpened",
)
def test_tokens_are_drawn_as_often_as_told(client, offers, free_text, check):
    """1,000 first tokens against the log-probabilities that the server itself tells (G-test, a false alarm in 10,000 runs)."""
    freely = {
        "prompt": free_text.freest(client).opening,
        "max_tokens": 1,
        "top_p": 1,
        **offers.only(**{**UNDONE, "ignore_eos": True}),
    }
    told = complete(client, **freely, logprobs=5, temperature=1, seed=1)
    tops = part(told, "choices", 0, "logprobs", "top_logprobs", 0)
    calls = [partial(complete, client, **freely, temperature=1, n=EACH, logprobs=0) for _ in range(TIMES)]
    drawn = Counter(part(choice, "logprobs", "tokens", 0) for answer in together(calls) for choice in part(answer, "choices"))
    check.add(judge_frequencies(tops, drawn))


RANGES = {
    "temperature": (-0.1, 1e9, "warm"),
    "top_p": (-0.1, 1.1, "all"),
    "n": (0, -1, "many"),
    "presence_penalty": (-2.1, 2.1, "high"),
    "frequency_penalty": (-2.1, 2.1, "high"),
    "max_tokens": (-1, "many", 1.5),
    "seed": ("one", 1.5, 2**70),
    "logit_bias": ({"1": "high"}, [1], "high"),
}


@pytest.mark.parametrize(
    "field",
    ["temperature", "top_p", "n", "presence_penalty", "frequency_penalty", "max_tokens", "seed", "logit_bias"],
)
@pytest.mark.check(
    "server.range.{field}",
    title="A value that {field} cannot have is refused, and the server goes on",
    needs="completions",
    source="OpenAI API, 2026-08-21: ranges of parameters; vllm #4529, #57018",
    covers=["G11", "G12"],
    fault="ranges-ignored",
)
def test_values_out_of_range_are_refused(field, client, check):
    before = drawn_text(client, {"prompt": "12+34=", "max_tokens": 4})
    for value in RANGES[field]:
        answer = client.post(COMPLETIONS, client.body(**{"prompt": "a", "max_tokens": 1, "temperature": 0, field: value}))
        assert 400 <= answer.status < 500, f"{field}={value!r} is answered {answer.status}: {answer.excerpt}"
        check.observe(f"status of {field}={value!r}", answer.status)
    check.equal("the answer to a good request after it", drawn_text(client, {"prompt": "12+34=", "max_tokens": 4}), before)
