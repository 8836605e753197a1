"""The runtime sidecar of a cell with `runtime: true`: its standard metrics are there, and they are true."""

from __future__ import annotations

import threading
import time

import pytest

from hallmark.client.exposition import gained, read_samples, total
from hallmark.client.text import last_usage
from hallmark.core.errors import CheckFailed, Disturbed
from hallmark.core.load import Miss, explanation

pytestmark = pytest.mark.server

PREFIX = "matrixinfer:"
TOKENS = PREFIX + "generation_tokens_total"
TTFT = PREFIX + "time_to_first_token_seconds"
PER_TOKEN = PREFIX + "time_per_output_token_seconds"
E2E = PREFIX + "e2e_request_latency_seconds"
STANDARD = (TOKENS, PREFIX + "num_requests_waiting", TTFT + "_count", PER_TOKEN + "_count", E2E + "_count")
REQUESTS = 6
ROUNDS, CALM_ROUNDS = 10, 3
SETTLES_WITHIN_S = 10.0


def scrape(runtime_client):
    return read_samples(runtime_client.get("/metrics").require(200).body_text)


def one_stream(client):
    """(tokens, TTFT in s, mean time per later token in s) of one streamed completion, as a client sees it."""
    body = client.body(prompt="12+34=", temperature=0, max_tokens=24, ignore_eos=True)
    began = time.perf_counter()
    arrivals, events = [], []
    for event in client.stream("/v1/completions", {**body, "stream": True, "stream_options": {"include_usage": True}}):
        events.append(event)
        if event.get("choices"):
            arrivals.append(time.perf_counter())
    tokens = last_usage(events)
    return tokens, arrivals[0] - began, (arrivals[-1] - arrivals[0]) / max(tokens - 1, 1)


@pytest.mark.check(
    "server.runtime-series",
    title="The sidecar offers every standard series and names its source",
    needs="runtime",
    source="the sidecar's own list of series",
    fault="no-metrics",
)
def test_every_standard_series_is_there(client, runtime_client, check):
    one_stream(client)
    samples = scrape(runtime_client)
    for name in STANDARD:
        value = total(samples, name)
        if value is None:
            raise CheckFailed(f"the sidecar offers no {name}")
        check.observe(name, value)
    sources = {s.labels.get("metric", ""): s.labels.get("source", "") for s in samples if s.name == PREFIX + "metric_source_info"}
    for name in STANDARD:
        check.equal(f"source of {name} told", bool(sources.get(name.removesuffix("_count"))), True, detail={"sources": sources})


def settled(runtime_client, before, tokens):
    """The samples once the engine has counted everything; it counts a moment after it answers."""
    deadline = time.monotonic() + SETTLES_WITHIN_S
    while True:
        after = scrape(runtime_client)
        counted = (total(after, TOKENS) or 0) - (total(before, TOKENS) or 0)
        if (counted >= tokens and gained(before, after, E2E).count >= REQUESTS) or time.monotonic() > deadline:
            return after
        threading.Event().wait(0.1)


class Round:
    """Some streams, and what the sidecar says of them."""

    def __init__(self, client, runtime_client, machine):
        before = scrape(runtime_client)
        with machine.window() as window:
            streams = [one_stream(client) for _ in range(REQUESTS)]
        self.load = window.load
        self.tokens = sum(stream[0] for stream in streams)
        self.waits = {TTFT: REQUESTS, PER_TOKEN: self.tokens - REQUESTS}
        self.seen = {TTFT: [stream[1] for stream in streams], PER_TOKEN: [stream[2] for stream in streams]}
        # A first token takes more waking up than those that follow, so it may have had twice its share of what went wrong.
        self.shares = {TTFT: min(1.0, 2 * sum(self.seen[TTFT]) / self.load.seconds), PER_TOKEN: 1.0}
        after = settled(runtime_client, before, self.tokens)
        self.counted = (total(after, TOKENS) or 0) - (total(before, TOKENS) or 0)
        self.gains = {name: gained(before, after, name) for name in (TTFT, PER_TOKEN, E2E)}

    def client_mean(self, name):
        return sum(self.seen[name]) / len(self.seen[name])

    def allowed(self, name):
        return self.gains[name].resolution(max(self.gains[name].mean, self.client_mean(name)))

    def agrees(self, name):
        return abs(self.gains[name].mean - self.client_mean(name)) <= self.allowed(name)

    def disturbance(self, name):
        """Why the machine may have made the difference, or hidden one that is too large; empty where it has not.

        A client that had no core saw everything later than it was: then two times may differ that should not, and agree that
        should not, either.
        """
        difference = abs(self.gains[name].mean - self.client_mean(name))
        late_s = 2 * self.allowed(name) if self.agrees(name) else difference
        return explanation(self.load, Miss(late_s=late_s * self.waits[name], share=self.shares[name]))

    @property
    def disturbed(self):
        return any(self.disturbance(name) for name in (TTFT, PER_TOKEN))

    @property
    def agreed(self):
        return self.counted == self.tokens and self.agrees(TTFT) and self.agrees(PER_TOKEN)


@pytest.mark.check(
    "server.runtime-metrics",
    title="The standard metrics agree with what the client counted and timed",
    needs="runtime",
    source="the client's own counts",
    fault="miscounts-tokens",
)
def test_metrics_agree_with_the_client(client, runtime_client, machine, check):
    """Tokens and requests exactly; times within the width of the histogram's bucket, which is all that it can tell.

    Somebody else's request (a gateway's probe, say) may come between: then all of it is measured again, twice at most. It is
    longer tried to find the machine less busy. The last round counts as it is.
    """
    for attempt in range(1, ROUNDS + 1):
        found = Round(client, runtime_client, machine)
        if not found.disturbed and (found.agreed or attempt >= CALM_ROUNDS):
            break
    check.equal("tokens counted", found.counted, found.tokens)
    check.equal("requests counted", found.gains[E2E].count, REQUESTS)
    check.equal("first tokens counted", found.gains[TTFT].count, REQUESTS)
    for name in (TTFT, PER_TOKEN):
        told, seen, allowed = found.gains[name].mean, found.client_mean(name), found.allowed(name)
        check.observe(f"mean {name}", told, unit="s", n=REQUESTS, detail={"client": seen, "resolution": allowed})
        both = f"{name}: the sidecar says {told:.4g} s, the client measured {seen:.4g} s (± {allowed:.4g})"
        if why := found.disturbance(name):
            raise Disturbed(f"{why}; {both}")
        if not found.agrees(name):
            raise CheckFailed(both)
