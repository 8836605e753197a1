"""What a cell is held against: eval targets of its weights, performance targets of its points, tiers and statuses."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hallmark.specs.strict import Contradiction, Count, Fraction, Name, Positive, Quantity, Scalar, Strict
from hallmark.specs.traffic import Lengths, Prefixes, Shares, Turns


class Tier(StrEnum):
    """How much of the reference performance must be reached; each tier includes the ones before it."""

    FUNCTIONAL = "functional"
    """It works: by default a tenth of the throughput, and ten times the latency."""
    COMPLETE = "complete"
    """It is fit for use: by default half of the throughput, and twice the latency."""
    TARGET = "target"
    """The targets themselves."""


class Status(StrEnum):
    """What a model x device cell claims to be; decides the tier that is required of it."""

    FUNCTIONAL = "functional"
    """Requires tier functional."""
    COMPLETE = "complete"
    """Requires tier complete."""
    TOP_PERF = "top_perf"
    """Requires tier target."""

    @property
    def required_tier(self) -> Tier:
        return {Status.FUNCTIONAL: Tier.FUNCTIONAL, Status.COMPLETE: Tier.COMPLETE, Status.TOP_PERF: Tier.TARGET}[self]


class EvalTarget(Strict):
    """One lm-eval task and the score that it must reach."""

    name: Name
    """Its check is `evals.<name>`."""
    task: str
    """The name that lm-eval knows the task by."""
    task_dir: str = ""
    """Folder with the task's YAML, relative to the spec file; empty for a task that ships with lm-eval."""
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    """lm-eval metric keys such as `exact_match,none`; several are averaged."""
    cluster: str = ""
    """A field of the task's items that is the same for those that belong together, such as their passage; empty where none do."""
    reference: Fraction
    """The score to be reached, between 0 and 1."""
    tolerance: Fraction
    """In points of score: the interval's lower bound must reach reference - tolerance."""
    source: str
    """Where the reference comes from."""
    n: Positive | None = None
    """How many items the task has; a task of another size cannot pass. Absent where the task decides."""
    api: Literal["completions", "chat"] = "completions"
    """The API that it is asked over."""
    batch_size: Positive = 1
    """Prompts in one request, over completions."""
    num_concurrent: Positive = 8
    """Requests at a time."""
    max_length: Positive | None = None
    """Tokens of prompt and answer together, for lm-eval; empty for `max_context`."""
    gen_kwargs: dict[str, Scalar] = Field(default_factory=dict)
    """How answers are generated, where the task's own settings do not do: `temperature` and so on."""
    timeout_s: Positive = 3600
    """Seconds after which lm-eval is given up."""

    @property
    def floor(self) -> float:
        return self.reference - self.tolerance

    @model_validator(mode="after")
    def _can_be_missed(self) -> EvalTarget:
        if self.floor <= 0:
            raise Contradiction(f"no score can miss reference {self.reference:g} - tolerance {self.tolerance:g}", "tolerance")
        return self


class Metric(StrEnum):
    """What a perf point can be held against. Times in milliseconds, rates per second."""

    TTFT_MEAN = "ttft_mean_ms"
    """Time to first token, mean."""
    TTFT_P50 = "ttft_p50_ms"
    """Time to first token, median; from 6 requests up."""
    TTFT_P90 = "ttft_p90_ms"
    """Time to first token, 90th percentile; from 29 requests up."""
    TTFT_P99 = "ttft_p99_ms"
    """Time to first token, 99th percentile; from 299 requests up."""
    TPOT_MEAN = "tpot_mean_ms"
    """Time per output token after the first, mean."""
    TPOT_P50 = "tpot_p50_ms"
    """Time per output token after the first, median; from 6 requests up."""
    TPOT_P90 = "tpot_p90_ms"
    """Time per output token after the first, 90th percentile; from 29 requests up."""
    TPOT_P99 = "tpot_p99_ms"
    """Time per output token after the first, 99th percentile; from 299 requests up."""
    E2E_MEAN = "e2e_mean_ms"
    """Time of a whole answer, mean."""
    E2E_P50 = "e2e_p50_ms"
    """Time of a whole answer, median; from 6 requests up."""
    E2E_P90 = "e2e_p90_ms"
    """Time of a whole answer, 90th percentile; from 29 requests up."""
    E2E_P99 = "e2e_p99_ms"
    """Time of a whole answer, 99th percentile; from 299 requests up."""
    TOKENS_PER_USER = "tokens_per_s_per_user"
    """Tokens that one user gets a second, mean."""
    TOKENS = "tokens_per_s"
    """Tokens that all users get a second, over the whole window."""
    REQUESTS = "requests_per_s"
    """Requests answered a second, over the whole window."""

    @property
    def higher_is_better(self) -> bool:
        return self in (Metric.TOKENS_PER_USER, Metric.TOKENS, Metric.REQUESTS)


_LEAST_TIMEOUT_S = 600.0


class Arrivals(Strict):
    """When requests are due, whether or not earlier ones have been answered: an open loop."""

    kind: Literal["constant", "poisson", "gamma", "trace"]
    """`constant`: evenly; `poisson`: each by itself, as of many users; `gamma`: in bursts or more evenly, by `shape`; `trace`: as
    recorded, with the lengths that are recorded, of which `isl` and `osl` are the most."""
    rate: Quantity | None = None
    """Requests per second, on average; of a trace what is recorded."""
    shape: Quantity = 1.0
    """Of `gamma`: 1 is `poisson`, below it requests come in bursts, above it more evenly (`--burstiness` of vLLM's bench)."""

    trace: str = ""
    """Of `trace`: the file, relative to the spec file."""
    format: Literal["hallmark", "mooncake", "burstgpt", "azure"] = "hallmark"
    """Of `trace`: who publishes such files."""
    speed: Quantity = 1.0
    """Of `trace`: 2 sends twice as fast as recorded."""

    @property
    def name(self) -> str:
        """As it stands in the name of a check, such as `poisson8`, `gamma8-0.5` or `trace-conversation-x2`."""
        if self.kind == "trace":
            faster = f"-x{self.speed:g}" if self.speed != 1 else ""
            return f"trace-{re.sub(r'[^A-Za-z0-9_]+', '-', PurePosixPath(self.trace).stem)}{faster}"
        return f"{self.kind}{self.rate:g}" + (f"-{self.shape:g}" if self.kind == "gamma" else "")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Arrivals:
        if self.kind != "gamma" and self.shape != 1:
            raise Contradiction(f"only gamma has a shape, and this is {self.kind}", "shape")
        if self.kind == "trace" and (not self.trace or self.rate is not None):
            raise Contradiction("a trace has a file, and no rate of its own", "trace")
        if self.kind != "trace" and (self.rate is None or self.trace or self.speed != 1):
            raise Contradiction(f"{self.kind} has a rate, and neither a file nor a speed", "rate")
        return self


_TIMES = ("ttft", "tpot", "e2e")
_QUANTILES = ("p50", "p90", "p95", "p99")


class Goodput(Strict):
    """How many requests must meet several times at once."""

    share: Annotated[Fraction, Field(gt=0, lt=1)]
    """Of all requests, as many as 0.95."""
    ttft_ms: Quantity | None = None
    """Time to first token, at most."""
    tpot_ms: Quantity | None = None
    """Time per output token after the first, at most."""
    e2e_ms: Quantity | None = None
    """Time of the whole answer, at most."""

    @property
    def limits(self) -> dict[str, float]:
        found = {f"{what}_ms": getattr(self, f"{what}_ms") for what in _TIMES}
        return {name: float(value) for name, value in found.items() if value is not None}

    @model_validator(mode="after")
    def _limits_something(self) -> Goodput:
        if not self.limits:
            raise Contradiction("goodput needs a time that requests must meet: ttft_ms, tpot_ms or e2e_ms", "share")
        return self


class Objectives(Strict):
    """What traffic must meet together; no tier scales it."""

    quantiles: dict[Annotated[str, Field(pattern=rf"^({'|'.join(_TIMES)})_({'|'.join(_QUANTILES)})_ms$")], Quantity] = Field(
        default_factory=dict
    )
    """Such as `ttft_p99_ms: 200`: at most 1 % of all requests take longer."""
    goodput: Goodput | None = None
    """How many requests must meet several times at once."""

    @model_validator(mode="after")
    def _states_one(self) -> Objectives:
        if not self.quantiles and not self.goodput:
            raise Contradiction("states no objective: quantiles, goodput, or both", "quantiles")
        return self


class PerfPoint(Strict):
    """One measurement: `requests` requests of ISL `isl` and OSL `osl` tokens, of `concurrency` users or as they are due."""

    isl: Positive
    """Tokens of each prompt; with `lengths` the most."""
    osl: Annotated[Positive, Field(gt=1)]
    """Tokens of each answer; with `lengths` the most."""
    lengths: Lengths | None = None
    """Lengths that are drawn for each request, by the run's seed."""
    prefixes: Prefixes | None = None
    """What prompts have in common; absent where each is unlike all others."""
    api: Literal["completions", "chat"] = "completions"
    """The API that it is measured over. What a chat's template adds counts for `isl`."""
    shares: Shares | None = None
    """What parts of the requests are for adapters, and for structured output; absent where all are plain."""
    turns: Turns | None = None
    """Conversations; absent where each request stands alone. With `arrivals` it is conversations that arrive."""
    concurrency: Positive
    """Users, each of whom sends its next request when the last is answered; with `arrivals` the most requests under way."""
    arrivals: Arrivals | None = None
    """An open loop: requests are sent when they are due. Times count from then on, also where one had to wait for its turn."""
    requests: Positive
    """Requests that are measured; each must be answered in full."""
    warmup: Count = 0
    """Requests sent before the window; 0 stands for one per user."""
    timeout_s: Positive | None = None
    """Seconds for warm-up and window together; absent for twice what the targets leave them, and ten minutes at least."""
    targets: Annotated[dict[Metric, Quantity], Field(min_length=1)]
    """Reference values. The tier factors scale them: latency is divided, throughput multiplied."""
    objectives: Objectives | None = None
    """What its traffic must meet besides, whatever the tier."""
    source: str
    """Where the reference values come from."""

    @property
    def name(self) -> str:
        drawn = self.lengths or Lengths.model_construct()
        isl = drawn.isl.name_with(self.isl) if drawn.isl else self.isl
        osl = drawn.osl.name_with(self.osl) if drawn.osl else self.osl
        more = [part.name for part in (self.arrivals, self.prefixes) if part]
        more += ["chat"] if self.api == "chat" else []
        more += [part.name for part in (self.shares, self.turns) if part]
        return "-".join([f"isl{isl}-osl{osl}-c{self.concurrency}", *more])

    @property
    def osl_is_fixed(self) -> bool:
        """Whether every answer has `osl` tokens, and not that many at most."""
        return not (self.lengths and self.lengths.osl) and not (self.arrivals and self.arrivals.kind == "trace")

    def longest_s(self, factor: float) -> float:
        """Seconds that warm-up and window may take where the targets are just reached at a tier's factor; 0 if none limits it."""
        sent = self.requests + (self.warmup or self.concurrency)
        of_a_user = -(-sent // self.concurrency)
        work = {Metric.TOKENS: sent * self.osl, Metric.REQUESTS: sent, Metric.TOKENS_PER_USER: of_a_user * self.osl}
        seconds = [work[metric] / (rate * factor) for metric, rate in self.targets.items() if metric in work]
        if whole_ms := self.targets.get(Metric.E2E_MEAN):
            seconds.append(of_a_user * whole_ms / 1000 / factor)
        return min(seconds, default=0.0)

    @property
    def conversations(self) -> int:
        """How many the window has; a request that stands alone is one."""
        return self.requests // self.turns.number if self.turns else self.requests

    def limit_s(self, factor: float) -> float:
        """Seconds after which the measurement is given up."""
        thinking = (self.turns.number - 1) * self.turns.think_s if self.turns else 0.0
        of_a_user = -(-self.conversations // self.concurrency)
        return self.timeout_s or max(_LEAST_TIMEOUT_S, 2 * self.longest_s(factor)) + of_a_user * thinking

    def plus(self, own: PerfPoint) -> PerfPoint:
        """This point with the targets of `own` besides; for the rest `own` says how it is measured."""
        source = "; ".join(dict.fromkeys((self.source, own.source)))
        return own.model_copy(update={"targets": {**self.targets, **own.targets}, "source": source})

    def require_possible(self) -> None:
        """Raise Contradiction for a throughput in total that the users together cannot have."""
        total, each = self.targets.get(Metric.TOKENS), self.targets.get(Metric.TOKENS_PER_USER)
        if total and each and total > each * self.concurrency:
            raise Contradiction(
                f"impossible target: tokens_per_s {total:g} is above "
                f"tokens_per_s_per_user x concurrency = {each:g} x {self.concurrency}",
                *("targets", "tokens_per_s"),
            )

    @model_validator(mode="after")
    def _possible(self) -> PerfPoint:
        self.require_possible()
        if self.requests < self.concurrency:
            raise Contradiction(f"requests ({self.requests}) must be at least concurrency ({self.concurrency})", "requests")
        self._require_traffic()
        return self

    def _require_traffic(self) -> None:
        """Raise Contradiction where what is said of the requests does not go together."""
        recorded = self.arrivals is not None and self.arrivals.kind == "trace"
        if recorded and (self.lengths or self.prefixes):
            raise Contradiction("a trace has lengths and prefixes of its own", "lengths" if self.lengths else "prefixes")
        for name in ("isl", "osl"):
            if drawn := getattr(self.lengths, name, None):
                drawn.require_below(getattr(self, name), "lengths", name)
        drawn = self.lengths.isl if self.lengths else None
        shortest = (drawn and drawn.low) or self.isl
        if self.prefixes and self.prefixes.tokens >= shortest:
            raise Contradiction(f"a prompt may have {shortest} tokens, no more than the prefix", "prefixes", "tokens")
        if self.shares and self.shares.structured and self.api != "chat":
            raise Contradiction("structured output is asked for over chat: add `api: chat`", "shares", "structured")
        if self.shares and self.shares.least * self.conversations < 1:
            what = "conversations" if self.turns else "requests"
            raise Contradiction(f"{self.shares.least:g} of {self.conversations} {what} is none", "shares")
        if self.turns:
            self._require_turns(self.turns)

    def _require_turns(self, turns: Turns) -> None:
        if (self.lengths and self.lengths.isl) or (self.arrivals and self.arrivals.kind == "trace"):
            raise Contradiction("the prompts of a conversation grow with its turns, their lengths are not drawn", "turns")
        if self.requests % turns.number:
            raise Contradiction(f"{self.requests} requests are no whole conversations of {turns.number} turns", "requests")
        shared = self.prefixes.tokens if self.prefixes else 0
        if self.isl - shared - (turns.number - 1) * self.osl < turns.number:
            raise Contradiction(
                f"isl ({self.isl}) has no room for {turns.number} turns with answers of {self.osl} tokens", "turns"
            )


def joined(base: tuple[PerfPoint, ...], own: tuple[PerfPoint, ...]) -> tuple[PerfPoint, ...]:
    """The points of `base`, each with what `own` adds to it, then those that only `own` has."""
    additions = {point.name: point for point in own}
    there = [point.plus(additions.pop(point.name)) if point.name in additions else point for point in base]
    return (*there, *additions.values())


def require_agreement(
    base: tuple[PerfPoint, ...], own: tuple[PerfPoint, ...], *at: str | int, named: str = "base_targets"
) -> None:
    """Raise Contradiction, `at` the place of `own`, where it changes what `base` (as it is named) asks.

    It may add metrics and points.
    """
    there = {point.name: point for point in base}
    for place, point in enumerate(own):
        common = there.get(point.name, point)
        for metric, value in point.targets.items():
            wanted = common.targets.get(metric, value)
            if wanted != value:
                raise Contradiction(
                    f"{metric} {value:g} contradicts the {named}, which say {wanted:g}", *at, place, "targets", metric.value
                )
        try:
            common.plus(point).require_possible()
        except Contradiction as exc:
            raise Contradiction(f"with the {named}: {exc}", *at, place, *exc.at) from exc
