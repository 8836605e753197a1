"""An eval target of a spec -> a request to lm-eval -> Evidence with its verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hallmark.core.endpoint import Endpoint
from hallmark.core.errors import HarnessError
from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.evals.harness import EvalRequest, EvalScores
from hallmark.evals.paired import judge_difference
from hallmark.specs.cell import Cell
from hallmark.specs.model import EvalTarget
from hallmark.stats.intervals import wilson_interval
from hallmark.stats.judge import NOT_JUDGED, judge_score
from hallmark.stats.power import provable_margin
from hallmark.stats.sequential import USUAL_DISCORDANCE

ALIKE = "each subtask counts the same"
_MAX_RETRIES = 2
"""lm-eval repeats a request that failed; many repeats would hide a server that answers every third time."""


def make_request(cell: Cell, target: EvalTarget, endpoint: Endpoint, *, folder: Path, limit: int | None) -> EvalRequest:
    """What to ask of lm-eval for `target`; samples are written below `folder`."""
    chat = target.api == "chat"
    path = "/v1/chat/completions" if chat else "/v1/completions"
    model_args = {
        "model": endpoint.model,
        "base_url": endpoint.base_url + path,
        "num_concurrent": target.num_concurrent,
        "max_retries": _MAX_RETRIES,
        "timeout": target.timeout_s,
        "batch_size": 1 if chat else target.batch_size,
        "max_length": target.max_length or cell.entry.max_context,
    }
    if not chat:
        model_args |= {"tokenizer_backend": "huggingface", "tokenizer": cell.weights_source}
    return EvalRequest(
        task=target.task,
        task_dir=str(cell.beside_spec(target.task_dir)) if target.task_dir else "",
        model_type="local-chat-completions" if chat else "local-completions",
        model_args=model_args,
        gen_kwargs=target.gen_kwargs,
        limit=limit,
        samples_path=str(folder / f"{target.name}.samples.jsonl"),
    )


def gate(_: Cell, target: EvalTarget, scores: EvalScores) -> list[Evidence]:
    """hallmark's own gate of evals: on the items of a reference where there is one, else the score against the stated one."""
    alone = judge(target, scores)
    if scores.compared is None:
        return [replace(alone, reason=f"{alone.reason}; {_resolved_alone(alone)}")]
    difference = judge_difference(target, scores.compared)
    return [_beside(target, alone, scores), _with_other_gate(difference, alone)]


def _beside(target: EvalTarget, alone: Evidence, scores: EvalScores) -> Evidence:
    """The score where its difference to the reference decides: red where it is surely below its floor, or nothing was paired."""
    surely_below = alone.interval is not None and alone.target is not None and alone.interval.high < float(alone.target.limit)
    if scores.refused or _is_of_another_task(target, scores):
        return alone
    if scores.compared and scores.compared.stopped_by:
        reason = f"asked {alone.n:,} of {scores.total:,} items: the difference to the reference had decided by then"
        return replace(alone, verdict=Verdict.PASS, target=None, reason=reason)
    if surely_below:
        return alone
    return replace(alone, verdict=Verdict.PASS, reason="what decides is the difference to the reference on the same items")


def _with_other_gate(difference: Evidence, alone: Evidence) -> Evidence:
    """What the gate that was not used says, and what each resolves."""
    detail = difference.detail
    shown = f"seen with {detail['power']:.0%} from {100 * detail['loss_seen']:.2g} points lost on"
    mean = f"the mean of these {alone.n:,} items, {alone.value:.4g}, by itself"
    other = f"for comparison only, no part of the verdict: {mean} would be {alone.verdict}, and it {_half(alone)}"
    kept = {"score_alone": str(alone.verdict), "score_alone_reason": alone.reason}
    return replace(difference, reason=f"{difference.reason}; {shown}; {other}", detail={**detail, **kept})


def _resolved_alone(alone: Evidence) -> str:
    there = f"no reference: the score {_half(alone)}"
    usual = provable_margin(alone.n, discordance=USUAL_DISCORDANCE)
    return f"{there}, with one {100 * usual:.2g} at {USUAL_DISCORDANCE:.0%} discordance"


def _half(alone: Evidence) -> str:
    half = (alone.interval.high - alone.interval.low) / 2 if alone.interval else 1.0
    return f"resolves {100 * half:.2g} points"


def judge(target: EvalTarget, scores: EvalScores) -> Evidence:
    """The score (the mean, where there are several metrics) with its interval, held against the target's floor."""
    if scores.n < 1:
        raise HarnessError("lm-eval scored no item", where=target.task, hint="see its log")
    score = sum(_metric(scores, name) for name in target.metrics) / len(target.metrics)
    interval = wilson_interval(score, scores.n)
    verdict, reason = judge_score(score, scores.n, reference=target.reference, tolerance=target.tolerance, interval=interval)
    if verdict is Verdict.PASS and _is_of_another_task(target, scores):
        verdict = Verdict.INCONCLUSIVE
        reason = f"the task has {scores.total} items, the spec says {target.n}: its reference may be of another task"
    if scores.refused:
        # Whatever they said the second time: a client that does not ask twice would have got an error.
        verdict, reason = Verdict.FAIL, f"{scores.refused} requests were answered with an error and sent again; {reason}"
    return Evidence(
        name=" + ".join(target.metrics),
        value=score,
        n=scores.n,
        interval=interval,
        target=Target(relation=">=", limit=target.floor, reference=target.reference, source=target.source),
        verdict=verdict,
        reason=reason,
        detail={
            "task": target.task,
            "items_of_task": scores.total,
            "seconds": scores.seconds,
            "lm_eval": scores.lm_eval,
            "refused": scores.refused,
            "tolerance": target.tolerance,
            "few_shot": scores.few_shot,
            "from_items": scores.from_items,
            **({"subtasks": dict(scores.subtasks), "weights": _weights(scores)} if scores.subtasks else {}),
        },
    )


def _weights(scores: EvalScores) -> str:
    return ALIKE if scores.alike else "each item counts the same"


def _is_of_another_task(target: EvalTarget, scores: EvalScores) -> bool:
    """Whether the task has another number of items than the spec says."""
    return target.n is not None and scores.total != target.n


def on_few_samples(evidence: Evidence) -> Evidence:
    """Of a smoke run: a miss stands where even the upper bound of the score is below the floor; else nothing is decided."""
    interval, target = evidence.interval, evidence.target
    is_open = interval is not None and target is not None and interval.low < float(target.limit) <= interval.high
    if evidence.verdict is Verdict.PASS or not is_open or evidence.detail.get("refused"):
        return evidence
    return replace(evidence, verdict=Verdict.INCONCLUSIVE, reason=f"{NOT_JUDGED}: {evidence.reason}")


def _metric(scores: EvalScores, name: str) -> float:
    if name not in scores.metrics:
        raise HarnessError(f"lm-eval reports no metric '{name}'", hint="it has: " + ", ".join(sorted(scores.metrics)))
    if name.partition(",")[0] in scores.lower_is_better:
        raise HarnessError(f"of lm-eval's metric '{name}' less is better", hint="a score is held against a floor: name another")
    value = float(scores.metrics[name])
    if not 0 <= value <= 1:  # NaN, too
        raise HarnessError(f"lm-eval's metric '{name}' is {value:g}, which is no score", hint="name one between 0 and 1")
    return value
