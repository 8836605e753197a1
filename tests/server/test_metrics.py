"""What the server counts of itself is what its clients got of it."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from functools import partial
from itertools import pairwise

import pytest

from hallmark.client.asking import CHATS, COMPLETIONS, ask, complete, saying, streamed, together
from hallmark.client.counters import Growth, at_rest, read, read_until
from hallmark.client.exposition import kinds
from hallmark.client.text import count, part
from hallmark.core.errors import CheckFailed, Inconclusive, NotOffered

pytestmark = pytest.mark.server

ROUNDS = 3
REQUESTS = 8
SCRAPES = 8


class Got:
    """What clients were told of their requests, summed."""

    def __init__(self):
        self.prompt_tokens = self.generated_tokens = 0
        self.reasons = Counter()

    def add(self, usage, reasons):
        self.prompt_tokens += count(part(usage, "prompt_tokens"), "prompt_tokens")
        self.generated_tokens += count(part(usage, "completion_tokens"), "completion_tokens")
        self.reasons.update(reasons)

    @property
    def requests(self):
        return sum(self.reasons.values())


def one_request(client, endpoint, place):
    """(usage, why it ended), streamed or whole; no prompt is one that was read before."""
    asked = {**saying(endpoint, f"{uuid.uuid4()} {10 + place}+30="), "max_tokens": 2 + place}
    if place % 3 == 1:
        events = streamed(client, COMPLETIONS if endpoint == "completions" else CHATS, **asked)
        usage = next((event["usage"] for event in reversed(events) if event.get("usage")), None)
        reasons = [choice["finish_reason"] for event in events for choice in event["choices"] if choice.get("finish_reason")]
        return usage, reasons
    answer = ask(client, endpoint, **asked)
    return part(answer, "usage"), [part(answer, "choices", 0, "finish_reason")]


def some_requests(client, endpoints):
    """Of some at the same time: long and short, whole and streamed, of each endpoint."""
    got = Got()
    calls = [partial(one_request, client, endpoints[place % len(endpoints)], place) for place in range(REQUESTS)]
    for usage, reasons in together(calls):
        got.add(usage, reasons)
    return got


class Round:
    """What was got of what `send` asks for, and by how much the counters grew meanwhile; they may be late."""

    def __init__(self, client, send, *, fewest=None):
        before = at_rest(client)
        self.got = send()
        wanted = fewest or self.got.requests

        def there(reading):
            growth = Growth(before, reading)
            return growth.ended >= wanted and growth.generated_tokens >= self.got.generated_tokens and growth.quiet

        self.growth = Growth(before, read_until(client, there, within_s=client.first_s / 2 + before.names.late_s))
        if not self.growth.of_one_process:
            raise Inconclusive("more than one server answers at this address, each with counters of its own")

    @property
    def told(self):
        """(counted, got) of requests, prompt tokens and generated tokens."""
        counted = (self.growth.ended, self.growth.prompt_tokens, self.growth.generated_tokens)
        return tuple(zip(counted, (self.got.requests, self.got.prompt_tokens, self.got.generated_tokens), strict=True))

    @property
    def agrees(self):
        return self.growth.quiet and all(counted == got for counted, got in self.told)

    @property
    def falls_short(self):
        """Others can only add to what is counted."""
        return any(counted < got for counted, got in self.told)


def require_alone(rounds):
    """Inconclusive where what was counted too much may be the requests of others: it is not the same in each round."""
    if not all(one.growth.quiet for one in rounds):
        raise Inconclusive("others use the server: requests run or wait that are not ours")
    for pairs in zip(*(one.told for one in rounds), strict=True):
        more = {counted - got for counted, got in pairs}
        if len(more) > 1 and len({counted / got for counted, got in pairs}) > 1:
            raise Inconclusive(f"others use the server: it counted {', '.join(f'{c} where we got {g}' for c, g in pairs)}")


@pytest.mark.check(
    "server.metrics-counted",
    title="The server's counters grow by what its clients got: prompt tokens, generated tokens, requests by why they ended",
    needs=["completions", "extension:counters"],
    source="vLLM's own tests of its metrics: exact values after 10 requests",
    covers="M01",
    fault="streams-uncounted",
)
def test_counters_grow_by_what_clients_got(client, offers, check):
    """Where others use the server, it counts more, in each round otherwise; a server that counts wrongly does so each time."""
    endpoints = ["completions", *(["chat"] if offers.has("chat") else [])]
    rounds = []
    for _ in range(ROUNDS):
        rounds.append(Round(client, partial(some_requests, client, endpoints)))
        if rounds[-1].agrees or rounds[-1].falls_short:
            break
    else:
        require_alone(rounds)
    names = ("requests that ended", "prompt tokens", "generated tokens")
    for name, (counted, got) in zip(names, rounds[-1].told, strict=True):
        check.equal(f"{name}, as the server counts them", counted, got)
    growth = rounds[-1].growth
    if growth.after.names.reason:
        for reason, number in sorted(rounds[-1].got.reasons.items()):
            check.equal(f"requests that ended by {reason!r}, as the server counts them", growth.reasons().get(reason, 0), number)


CHOICES = 3


@pytest.mark.check(
    "server.metrics-choices",
    title="Of a request for n choices the server counts what it generated for each",
    needs=["completions", "extension:counters"],
    source="vllm #56361, sglang #6140",
    covers="M02",
    fault="choices-counted-once",
)
def test_choices_are_counted(client, unending, check):
    """Whether n choices are one request or n (or one more, that reads the prompt for all) is the engine's to say.

    The prompt counts once for each of those at most, and never in part.
    """
    asked = {**unending(6), "prompt": f"{uuid.uuid4()} 12+34=", "max_tokens": 6, "n": CHOICES, "temperature": 1, "seed": 1}

    def send():
        answer = complete(client, **asked)
        got = Got()
        got.add(part(answer, "usage"), [part(choice, "finish_reason") for choice in part(answer, "choices")])
        return got

    rounds = []
    for _ in range(ROUNDS):
        rounds.append(Round(client, send, fewest=1))
        ((ended, _), (prompt, once), (generated, made)) = rounds[-1].told
        whole, rest = divmod(prompt, once)
        if generated < made or (generated == made and not rest and 1 <= whole <= CHOICES + 1 and rounds[-1].growth.quiet):
            break
    else:
        require_alone(rounds)
    check.observe(f"requests that n={CHOICES} counts as", ended)
    check.equal(f"generated tokens of n={CHOICES}, as the server counts them", generated, made)
    check.equal(f"prompt tokens of n={CHOICES} that are in no whole prompt", rest, 0)
    check.at_least(f"times that the prompt of n={CHOICES} is counted", whole, 1)
    check.at_most(f"times that the prompt of n={CHOICES} is counted", whole, CHOICES + 1)


def falls(earlier, later):
    """The counters, and the parts of histograms, that are less in the later of two readings."""
    kind = kinds(later.text)
    growing = {name for name, what in kind.items() if what == "counter"}
    growing |= {f"{name}_total" for name in growing}
    growing |= {name + end for name, what in kind.items() if what == "histogram" for end in ("_bucket", "_count")}
    was = {(one.name, *sorted(one.labels.items())): one.value for one in earlier.samples if one.name in growing}
    return [
        f"{one.name} fell from {was[key]:g} to {one.value:g}"
        for one in later.samples
        if (key := (one.name, *sorted(one.labels.items()))) in was and one.value < was[key]
    ]


def histograms(reading):
    """(name, labels) -> (values of its buckets by their bounds, ascending; its count or None)."""
    families = [name for name, what in kinds(reading.text).items() if what == "histogram"]
    buckets, counts = {}, {}
    for one in reading.samples:
        rest = tuple(sorted((name, value) for name, value in one.labels.items() if name != "le"))
        family = one.name.removesuffix("_bucket").removesuffix("_count")
        if family in families and one.name.endswith("_bucket"):
            buckets.setdefault((family, rest), []).append((float(one.labels["le"]), one.value))
        elif family in families and one.name.endswith("_count"):
            counts[family, rest] = one.value
    return {key: ([value for _, value in sorted(found)], counts.get(key)) for key, found in buckets.items()}


@pytest.mark.check(
    "server.metrics-series",
    title="Counters never fall, and each histogram adds up: its buckets to its count, its count to the requests that ended",
    needs=["completions", "extension:counters"],
    source="OpenMetrics 1.0: counters are monotone, the +Inf bucket is the count",
    covers="M04",
    fault="counters-fall",
)
def test_counters_never_fall_and_histograms_add_up(client, check):
    """Read while requests run, one reading after the other; what adds up is judged when none runs."""
    before = at_rest(client)
    over = threading.Event()

    def scrape():
        found = []
        while not over.wait(0.02) and len(found) < SCRAPES:
            found.append(read(client))
        return found

    with_scrapes = together([scrape, *(partial(one_request, client, "completions", place) for place in range(REQUESTS))])
    over.set()

    def adds_up(reading):
        growth = Growth(before, reading)
        return growth.quiet and growth.of(reading.names.latencies + "_count") == growth.ended

    after = read_until(client, adds_up, within_s=client.first_s / 2)
    growth = Growth(before, after)
    if not growth.of_one_process:
        raise Inconclusive("more than one server answers at this address, each with counters of its own")
    series = [before, *with_scrapes[0], after]
    fallen = [told for earlier, later in pairwise(series) for told in falls(earlier, later)]
    check.observe("readings", len(series))
    check.equal("counters that fell", len(fallen), 0, detail={"fell": fallen[:5]})
    found = histograms(after)
    for (name, _), (values, number) in found.items():
        if values != sorted(values):
            raise CheckFailed(f"buckets of {name} hold {values}: each must hold what the one before it holds, too")
        if values[-1] != number:
            raise CheckFailed(f"the last bucket of {name} holds {values[-1]:g}, its _count is {number}")
    check.at_least("histograms", len(found), 1)
    latencies = after.names.latencies
    check.equal(f"values that {latencies} got", growth.of(latencies + "_count"), growth.ended)


PREFIX = "What was read before need not be read again. " * 5
BY_CHANCE = 8
"""Tokens that a new prompt may begin with as another did: one of its own, and some digits."""


class Reread:
    """One request, and how many tokens of its prompt came from the cache: as usage tells, and as the server counts."""

    def __init__(self, client, prompt, *, known):
        before = at_rest(client)
        usage = part(complete(client, prompt=prompt, max_tokens=1), "usage")
        self.prompt_tokens = count(part(usage, "prompt_tokens"), "prompt_tokens")
        self.told = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        # Where usage does not tell: nothing of a new prompt, something of a known one.
        self.least, self.most = (1, self.prompt_tokens) if known else (0, BY_CHANCE)
        if self.told is not None:
            self.least = self.most = count(self.told, "cached_tokens")

        def there(reading):
            growth = Growth(before, reading)
            return growth.ended and growth.quiet and growth.cached_tokens >= self.least

        self.growth = Growth(before, read_until(client, there, within_s=client.first_s / 2 + before.names.late_s))
        if not self.growth.of_one_process:
            raise Inconclusive("more than one server answers at this address, each with counters of its own")
        self.counted = self.growth.cached_tokens


def require_alone_in_cache(rounds):
    """Inconclusive where what was counted too much may be of others: it is not the same in each round, nor the same share."""
    if not all(one.growth.quiet for pair in rounds for one in pair):
        raise Inconclusive("others use the server: requests run or wait that are not ours")
    for ones in zip(*rounds, strict=True):
        more, shares = {one.counted - one.most for one in ones}, {one.counted / one.prompt_tokens for one in ones}
        if len(more) > 1 and len(shares) > 1:
            counted = ", ".join(f"{one.counted} where at most {one.most} can be ours" for one in ones)
            raise Inconclusive(f"others use the server: of tokens from the cache it counted {counted}")


@pytest.mark.check(
    "server.metrics-cached",
    title="Tokens from the prefix cache are counted: none of a new prompt, some of a known one, as many as usage tells",
    needs=["completions", "extension:cache_counters"],
    source="vLLM: vllm:prefix_cache_hits, in tokens (v0.32, 2026-08); SGLang: sglang:cached_tokens_total",
    covers="M12",
    fault="cache-hits-uncounted",
)
def test_tokens_from_the_cache_are_counted(client, check):
    """Where others use the server, it counts more, in each round otherwise; they can take nothing away."""
    rounds = []
    for _ in range(ROUNDS):
        prompt = f"{uuid.uuid4()} {PREFIX}"
        rounds.append([Reread(client, prompt, known=known) for known in (False, True)])
        again = rounds[-1][1]
        if not again.told and not again.counted:
            raise NotOffered("the same prompt a second time does not come from a cache, by usage and by its counters")
        if any(one.counted < one.least for one in rounds[-1]) or all(one.counted <= one.most for one in rounds[-1]):
            break
    else:
        require_alone_in_cache(rounds)
    for what, one in zip(("a new prompt", "a known prompt"), rounds[-1], strict=True):
        name = f"cached tokens of {what}, as the server counts them"
        if one.told is not None:
            check.equal(name, one.counted, one.told)
            continue
        if one.least:
            check.at_least(name, one.counted, one.least)
        check.at_most(name, one.counted, one.most)
