"""Faults of sampling, and what a right server makes of biases and penalties. Pure but for chance."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from selftests.faulty.jobs import Job, Refused
from selftests.faulty.model import END, VOCABULARY, encode

WHAT: Mapping[str, tuple[str, str]] = {
    "greedy-wavers": ("each so many-th answer at temperature 0 begins with another letter", "5"),
    "top-p-ignored": ("top_p is ignored", ""),
    "top-k-ignored": ("top_k is ignored", ""),
    "seed-lost-in-batch": ("a seed is ignored where others are under way that have none", ""),
    "seed-shared": ("where others are under way, their seed counts", ""),
    "choices-alike": ("n choices are n times the first", ""),
    "choices-unseeded": ("of n choices the seed decides the first alone", ""),
    "bias-ignored": ("logit_bias is ignored", ""),
    "ban-ignored": ("a logit_bias below 0 is ignored", ""),
    "penalties-ignored": ("penalties are ignored", ""),
    "penalties-spread": ("a penalty counts for all that are under way", ""),
    "sampling-sharpened": ("one letter is drawn four times of five", ""),
    "ranges-ignored": ("this field's value is never refused", "temperature"),
}


def checked(body: dict[str, Any], chosen: Mapping[str, str]) -> dict[str, Any]:
    """The body, less what a server that does not look takes for its default; Refused for what a right one refuses."""
    field = chosen.get("ranges-ignored", "")
    if field in body:
        return {name: value for name, value in body.items() if name != field}
    seed = body.get("seed")
    if isinstance(seed, int) and not -(2**63) <= seed < 2**63:
        raise Refused("seed is out of range", param="seed")
    for name in ("presence_penalty", "frequency_penalty"):
        value = body.get(name)
        if value is not None and not (isinstance(value, int | float) and -2 <= value <= 2):
            raise Refused(f"{name} must be between -2 and 2", param=name)
    if "top-k-from-one" in chosen and isinstance(body.get("top_k"), int) and body["top_k"] < 1:
        raise Refused("top_k must be at least 1", param="top_k")
    _bias(body)
    return body


def _bias(body: Mapping[str, Any]) -> dict[int, float]:
    bias = body.get("logit_bias") or {}
    if not isinstance(bias, dict):
        raise Refused("logit_bias must be an object", param="logit_bias")
    try:
        read = {int(token): float(value) for token, value in bias.items()}
    except (TypeError, ValueError) as exc:
        raise Refused("logit_bias must map token ids to numbers", param="logit_bias") from exc
    if any(not 0 <= token < VOCABULARY for token in read):
        raise Refused("a token of logit_bias is out of the vocabulary", param="logit_bias")
    return read


def job_of(job: Job, body: Mapping[str, Any], chosen: Mapping[str, str], *, others: Iterable[Job], number: int) -> Job:
    """What the server takes a request for; `others`: what else is under way."""
    sampling, others = job.sampling, list(others)
    if "top-p-ignored" in chosen:
        sampling = replace(sampling, top_p=1.0)
    if "top-k-ignored" in chosen:
        sampling = replace(sampling, top_k=0)
    if "seed-lost-in-batch" in chosen and any(other.sampling.seed is None for other in others):
        sampling = replace(sampling, seed=None)
    if "seed-shared" in chosen and others:
        sampling = replace(sampling, seed=others[0].sampling.seed)
    bias = {} if "bias-ignored" in chosen else _bias(body)
    if "ban-ignored" in chosen:
        bias = {token: value for token, value in bias.items() if value > 0}
    penalty = (
        0.0
        if "penalties-ignored" in chosen
        else max(float(body.get(f"{kind}_penalty") or 0) for kind in ("presence", "frequency"))
    )
    if "penalties-spread" in chosen:
        penalty = max([penalty, *(other.penalty for other in others)])
    wavers = "greedy-wavers" in chosen and sampling.greedy and number % int(chosen["greedy-wavers"]) == 0
    return replace(job, sampling=sampling, bias=bias, penalty=penalty, wavers=wavers)


def tokens_of(made: Iterator[int], job: Job, index: int, chosen: Mapping[str, str]) -> Iterator[int]:
    """What is said, after biases and penalties."""
    forced = [token for token, value in job.bias.items() if value >= 100]
    banned = {token for token, value in job.bias.items() if value <= -100}
    rng = random.Random(f"{job.sampling.seed} {index}") if job.sampling.seed is not None else random.Random()
    for place, token in enumerate(made):
        if job.wavers and place == 0:
            token = encode("#")[0]
        if forced:
            yield _of_forced(forced, place, job, rng)
        elif token in banned:
            yield encode("-")[0]
        elif "sampling-sharpened" in chosen and not job.sampling.greedy and token != END and rng.random() < 0.8:
            yield encode("e")[0]
        else:
            yield token


def _of_forced(forced: list[int], place: int, job: Job, rng: random.Random) -> int:
    """At temperature 0 the first of them, and by turns where what was said is penalised."""
    if not job.sampling.greedy:
        return rng.choice(forced)
    return forced[place % len(forced)] if job.penalty else forced[0]


def index_of(index: int, job: Job, chosen: Mapping[str, str]) -> int | None:
    """Which choice this one is, to chance; None for one that no seed decides."""
    if "choices-alike" in chosen:
        return 0
    return None if "choices-unseeded" in chosen and index and job.n > 1 else index
