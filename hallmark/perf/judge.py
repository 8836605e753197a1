"""A measured point against its spec: one Evidence per metric, one for the requests, one for the client. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.core.wording import finding
from hallmark.perf.sample import PointResult
from hallmark.perf.summary import summarise
from hallmark.specs.cell import Cell
from hallmark.specs.model import Metric, PerfPoint, Tier
from hallmark.stats.estimate import Absent, Estimate
from hallmark.stats.judge import judge_limit

ABSENT = "absent"
REQUESTS = "requests"
_ERRORS_SHOWN = 5


def gate(cell: Cell, point: PerfPoint, result: PointResult) -> list[Evidence]:
    """hallmark's own gate of perf points: held at the tier that the spec's status requires."""
    return judge_point(result, point, required=cell.impl.status.required_tier, tier_factors=cell.impl.tier_factors)


def judge_point(result: PointResult, point: PerfPoint, *, required: Tier, tier_factors: Mapping[Tier, float]) -> list[Evidence]:
    """All evidence of one point. Targets are held at the `required` tier: reaching a lower one is a FAIL that says so."""
    requests = judge_requests(result, point)
    metrics = [
        _judge_metric(metric, found, point=point, required=required, tier_factors=tier_factors)
        for metric, found in summarise(result).items()
    ]
    if requests.verdict is not Verdict.PASS:
        metrics = [_unsupported(evidence) for evidence in metrics]
    return [requests, *metrics, client_delay(result)]


def judge_requests(result: PointResult, point: PerfPoint) -> Evidence:
    """PASS only when every request of warm-up and window was answered in full; INCONCLUSIVE where all that were sent were."""
    good, failed = len(result.answered), len(result.failures)
    unsent = point.requests - good - failed
    errors = result.distinct_errors()[:_ERRORS_SHOWN]
    cached = result.cached_share > result.chance_share
    passed = result.faultless and good == point.requests and not cached and not result.curtailed
    is_open = bool(result.curtailed) and result.faultless and not cached
    gathered = sum(sample.gathered for sample in result.answered)
    reason = f"{good} of {point.requests} requests were answered in full" + (
        f", {gathered} in too few pieces" if gathered else ""
    )
    if result.sent_again:
        reason += f"; {result.sent_again} were sent again, because the server had closed the kept connection"
    if not passed:
        parts = [
            f"{failed} failed" if failed else "",
            f"{len(result.warmup_failures)} failed in the warm-up" if result.warmup_failures else "",
            f"{unsent} were not sent" if unsent and not result.curtailed else "",
            f"ended early: {result.stopped}" if result.stopped else "",
            _cache_at_work(result) if cached else "",
            *(f"{count} x {error}" for error, count in errors),
            # What went wrong stands before what follows from it.
            f"{unsent} were not sent: {_why_not_sent(result)}" if result.curtailed else "",
        ]
        reason = "; ".join([reason, *filter(None, parts)])
    return Evidence(
        name=REQUESTS,
        value=good,
        n=point.requests,
        verdict=Verdict.PASS if passed else Verdict.INCONCLUSIVE if is_open else Verdict.FAIL,
        reason=reason,
        target=Target(relation="==", limit=float(point.requests), source="every request counts"),
        detail={
            "failed": failed,
            "warmup_failed": len(result.warmup_failures),
            "not_sent": unsent,
            "gathered": gathered,
            "sent_again": result.sent_again,
            "cached_prompt_share": round(result.cached_share, 6),
            "cached_prompt_share_by_chance": round(result.chance_share, 6),
            "stopped": result.stopped,
            "curtailed": result.curtailed,
            "errors": [{"error": error, "count": count} for error, count in errors],
            "window_s": round(result.window_s, 6),
            "seed": result.seed,
            "salt": result.salt,
        },
    )


def _why_not_sent(result: PointResult) -> str:
    return "those that failed decide it" if result.curtailed == REQUESTS else f"{result.curtailed} is missed whatever they do"


def _cache_at_work(result: PointResult) -> str:
    """Prompts are random and fresh, so what a prefix cache may have of them by chance is known."""
    share, chance = result.cached_share, result.chance_share
    return (
        f"{result.cached_tokens} of {result.prompt_tokens} prompt tokens ({share:.1%}) came out of a prefix cache,"
        f" by chance it is {chance:.1%} at most: what was timed is the cache"
    )


def client_delay(result: PointResult) -> Evidence:
    """How late the load generator itself ran, so that a reader can tell its error from the server's."""
    mean, most = result.client_delay_mean_s * 1000, result.client_delay_max_s * 1000
    reason = f"the client's event loop ran {mean:.2f} ms late on average, {most:.2f} ms at most; it adds to every time above"
    detail = {"mean_ms": round(mean, 3), "went_first": result.client_went_first}
    return Evidence(name="client_delay_max_ms", value=round(most, 3), unit="ms", reason=reason, detail=detail)


def unit_of(metric: Metric) -> str:
    if not metric.higher_is_better:
        return "ms"
    return "1/s" if metric is Metric.REQUESTS else "tokens/s"


def tier_limit(metric: Metric, reference: float, factor: float) -> float:
    """The reference at a tier: a part of its throughput, or a multiple of its latency."""
    return reference * factor if metric.higher_is_better else reference / factor


def _judge_metric(
    metric: Metric, found: Estimate | Absent, *, point: PerfPoint, required: Tier, tier_factors: Mapping[Tier, float]
) -> Evidence:
    target = _target(metric, point, required=required, tier_factors=tier_factors)
    if isinstance(found, Absent):
        verdict = Verdict.INCONCLUSIVE if target else Verdict.PASS
        return Evidence(
            name=metric.value, value=ABSENT, unit=unit_of(metric), n=0, verdict=verdict, reason=found.reason, target=target
        )
    evidence = Evidence(
        name=metric.value,
        value=found.value,
        unit=unit_of(metric),
        n=found.n,
        target=target,
        interval=found.interval,
    )
    if target is None:
        return evidence
    verdict, more, detail = _judge_tiers(
        metric, found, reference=point.targets[metric], required=required, tier_factors=tier_factors
    )
    return replace(evidence, verdict=verdict, reason=f"{finding(evidence)}{more}", detail=detail)


def _target(metric: Metric, point: PerfPoint, *, required: Tier, tier_factors: Mapping[Tier, float]) -> Target | None:
    reference = point.targets.get(metric)
    if reference is None:
        return None
    return Target(
        relation=">=" if metric.higher_is_better else "<=",
        limit=tier_limit(metric, reference, tier_factors[required]),
        reference=reference,
        tier=required.value,
        source=point.source,
    )


def _judge_tiers(
    metric: Metric, found: Estimate, *, reference: float, required: Tier, tier_factors: Mapping[Tier, float]
) -> tuple[Verdict, str, dict[str, Any]]:
    """The verdict at the required tier, what there is to say about it besides the numbers, and what became of each tier."""
    limits = {tier: tier_limit(metric, reference, tier_factors[tier]) for tier in Tier}
    judged = {
        tier: judge_limit(found.value, found.interval, limit=limit, higher_is_better=metric.higher_is_better)
        for tier, limit in limits.items()
    }
    reached = [tier for tier in Tier if judged[tier][0] is Verdict.PASS]
    best = str(reached[-1]) if reached else "none"
    verdict = judged[required][0]
    more = "; it may lie on either side of that: more requests are needed to tell" if verdict is Verdict.INCONCLUSIVE else ""
    if verdict is not Verdict.PASS:
        more += f"; tier reached: {best}"
    tiers = {str(tier): {"limit": limits[tier], "verdict": str(judged[tier][0])} for tier in Tier}
    return verdict, more, {"reached": best, "tiers": tiers}


def _unsupported(evidence: Evidence) -> Evidence:
    """What the requests that did succeed say under a load that was not the one asked for: shown, never a PASS."""
    if evidence.target is None or evidence.verdict is not Verdict.PASS:
        return evidence
    reason = f"not all requests were sent and succeeded, so the load was not the point's; of those that did: {evidence.reason}"
    return replace(evidence, verdict=Verdict.INCONCLUSIVE, reason=reason)
