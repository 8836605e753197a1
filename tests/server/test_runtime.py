"""The runtime sidecar of a cell with `runtime: true`: its standard metrics are there, and they are true."""

from __future__ import annotations

import threading
import time

import pytest

from hallmark.client.exposition import gained, read_samples, total
from hallmark.client.text import last_usage
from hallmark.core.errors import CheckFailed

pytestmark = pytest.mark.server

PREFIX = "matrixinfer:"
TOKENS = PREFIX + "generation_tokens_total"
TTFT = PREFIX + "time_to_first_token_seconds"
PER_TOKEN = PREFIX + "time_per_output_token_seconds"
E2E = PREFIX + "e2e_request_latency_seconds"
STANDARD = (TOKENS, PREFIX + "num_requests_waiting", TTFT + "_count", PER_TOKEN + "_count", E2E + "_count")
REQUESTS = 6
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


@pytest.mark.check("server.runtime-series")
def test_every_standard_series_is_there(client, runtime_client, check):
    one_stream(client)
    samples = scrape(runtime_client)
    for name in STANDARD:
        value = total(samples, name)
        if value is None:
            raise CheckFailed(f"the sidecar offers no {name}")
        check.observe(name, value)
    sources = {s.labels.get("metric", ""): s.labels for s in samples if s.name.endswith("_source_info")}
    check.observe("sources told", len(sources), detail={"sources": {k: dict(v) for k, v in sources.items()}})


def settled(runtime_client, before, tokens):
    """The samples once the engine has counted everything; it counts a moment after it answers."""
    deadline = time.monotonic() + SETTLES_WITHIN_S
    while True:
        after = scrape(runtime_client)
        counted = (total(after, TOKENS) or 0) - (total(before, TOKENS) or 0)
        if (counted >= tokens and gained(before, after, E2E).count >= REQUESTS) or time.monotonic() > deadline:
            return after
        threading.Event().wait(0.1)


@pytest.mark.check("server.runtime-metrics")
def test_metrics_agree_with_the_client(client, runtime_client, check):
    """Tokens and requests exactly; times within the width of the histogram's bucket, which is all that it can tell.

    Somebody else's request (a gateway's probe, say) may come between: then it is measured again, twice at most.
    """
    for _ in range(3):
        before = scrape(runtime_client)
        streams = [one_stream(client) for _ in range(REQUESTS)]
        tokens = sum(stream[0] for stream in streams)
        after = settled(runtime_client, before, tokens)
        counted = (total(after, TOKENS) or 0) - (total(before, TOKENS) or 0)
        if counted == tokens:
            break
    check.equal("tokens counted", counted, tokens)
    check.equal("requests counted", gained(before, after, E2E).count, REQUESTS)
    check.equal("first tokens counted", gained(before, after, TTFT).count, REQUESTS)
    for name, seen in ((TTFT, [s[1] for s in streams]), (PER_TOKEN, [s[2] for s in streams])):
        gain, mean = gained(before, after, name), sum(seen) / len(seen)
        allowed = gain.resolution(max(gain.mean, mean))
        check.observe(f"mean {name}", gain.mean, unit="s", n=int(gain.count), detail={"client": mean, "resolution": allowed})
        if not abs(gain.mean - mean) <= allowed:
            raise CheckFailed(f"{name}: the sidecar says {gain.mean:.4g} s, the client measured {mean:.4g} s (± {allowed:.4g})")
