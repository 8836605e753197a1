"""First targets, measured from the server that runs: a score on the sample questions, and two performance points."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hallmark.client.oracle import TokenOracle
from hallmark.core.errors import HallmarkError
from hallmark.core.verdict import Verdict
from hallmark.evals.harness import EvalRequest, Harness, straight_to
from hallmark.perf.judge import judge_requests
from hallmark.perf.loadgen import measure
from hallmark.perf.sample import PointResult
from hallmark.perf.summary import summarise
from hallmark.specs.model import Metric, PerfPoint
from hallmark.stats.estimate import Estimate
from hallmark.stats.intervals import wilson_interval
from hallmark.workflows.init.questions import METRIC, task_name
from hallmark.workflows.init.served import Served

Say = Callable[[str], None]
_LONGEST_S = 60.0
"""Of one performance point, and twice that of the questions."""
_ISL, _OSL = 64, 32
_USERS = 8
_ALONE = (Metric.TTFT_MEAN, Metric.TPOT_MEAN)
_TOGETHER = (Metric.TTFT_MEAN, Metric.TOKENS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What the server scored on the sample questions."""

    reference: float
    tolerance: float
    """As much as a sample of this size needs: a server exactly at the reference passes."""
    n: int


def score(served: Served, *, tokenizer: str, task_dir: Path, api_key: str, say: Say) -> Score | None:
    """Ask the questions in `task_dir` through lm-eval, as every later run will; None, and why, where that gives no target."""
    say("lm-eval asks the sample questions")
    environ = straight_to(urlsplit(served.url).hostname or "", os.environ) | ({"OPENAI_API_KEY": api_key} if api_key else {})
    harness = Harness(environ=environ, log_path=task_dir / "lm_eval.log")
    request = EvalRequest(
        task=task_name(served.name),
        task_dir=str(task_dir),
        model_type="local-completions",
        model_args={
            "model": served.model,
            "base_url": f"{served.url}/v1/completions",
            "num_concurrent": _USERS,
            "max_retries": 2,
            "timeout": 2 * _LONGEST_S,
            "batch_size": 1,
            "max_length": served.max_context,
            "tokenizer_backend": "huggingface",
            "tokenizer": tokenizer,
        },
        gen_kwargs={},
        limit=None,
        samples_path=str(task_dir / "samples.jsonl"),
    )
    try:
        found = harness.evaluate(request, timeout_s=2 * _LONGEST_S, check=lambda: None)
    except HallmarkError as exc:
        say(f"no eval target: {str(exc).splitlines()[0]}")
        return None
    finally:
        harness.stop()
    return _target(found.metrics[METRIC], found.n, say)


def _target(share: float, n: int, say: Say) -> Score | None:
    reference = math.floor(share * 10_000) / 10_000
    tolerance = math.ceil((reference - wilson_interval(reference, n).low) * 100) / 100
    if reference - tolerance <= 0:
        say(f"no eval target: {share:.0%} of the {n} sample questions were answered right, too few to miss; put in your own")
        return None
    return Score(reference=reference, tolerance=tolerance, n=n)


def points(served: Served, *, folder: Path, api_key: str, source: str, say: Say) -> tuple[PerfPoint, ...]:
    """One user alone, and several together, as far as all their requests are answered; `folder` holds the tokenizer."""
    try:
        vocabulary = TokenOracle.from_folder(folder).ordinary_ids()
    except HallmarkError as exc:
        say(f"no performance target: {exc}")
        return ()

    def measured(users: int, metrics: tuple[Metric, ...], per_user: int) -> PerfPoint | None:
        planned = _point(served, users=users, requests=users * per_user, targets={metrics[0]: 1.0}, source=source)
        say(f"measuring {planned.name}: {planned.requests} requests")
        result = measure(served.url, served.model, planned, vocabulary=vocabulary, api_key=api_key, limit_s=_LONGEST_S)
        if (requests := judge_requests(result, planned)).verdict is not Verdict.PASS:
            say(f"no targets of {planned.name}: {requests.reason}")
            return None
        targets = dict(_cautious(result, metrics))
        return planned.model_copy(update={"targets": targets}) if targets else None

    several = min(_USERS, _sequences(served.engine_args))
    alone = measured(1, _ALONE, 12) or measured(1, _ALONE, 3)
    together = measured(several, _TOGETHER, 6) if alone and several > 1 else None
    return tuple(filter(None, (alone, together)))


def _sequences(engine_args: Mapping[str, object]) -> int:
    """How many requests the server works on at a time, where that is known; else more than are sent."""
    most = engine_args.get("max_num_seqs")
    return most if isinstance(most, int) and most > 0 else _USERS


def _point(served: Served, *, users: int, requests: int, targets: Mapping[Metric, float], source: str) -> PerfPoint:
    context = served.max_context or _ISL + _OSL
    isl, osl = min(_ISL, max(1, context // 2)), min(_OSL, max(2, context // 4))
    return PerfPoint(isl=isl, osl=osl, concurrency=users, requests=requests, targets=dict(targets), source=source)


def _cautious(result: PointResult, metrics: tuple[Metric, ...]) -> Iterator[tuple[Metric, float]]:
    """What was measured, rounded to one digit: a rate down, a time up."""
    found = summarise(result)
    for metric in metrics:
        if isinstance(estimate := found[metric], Estimate) and estimate.value > 0:
            yield metric, rounded(estimate.value, up=not metric.higher_is_better)


def rounded(value: float, *, up: bool) -> float:
    """`value`, above 0, to one significant digit."""
    digits = -math.floor(math.log10(value))
    scaled = value * 10.0**digits
    whole = math.ceil(scaled - 1e-9) if up else math.floor(scaled + 1e-9)
    return round(whole / 10.0**digits, max(0, digits))
