"""The server's numerics beside the reference's, then each eval target of the cell, measured by lm-eval through its API."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.evals


@pytest.mark.check(
    "evals.fingerprint",
    title="The server gives fixed texts the log-probabilities that the reference gave them, but for rounding",
    needs=["completions", "spec"],
    source="arXiv 2512.03816, 2511.20621: fingerprints of served models",
    fault="prompt-logprobs-lower",
    again=True,
)
def test_the_numerics_are_those_of_the_reference(cell, fingerprint, check):
    """Only where a spec names it: some engines die of a request for the log-probabilities of a prompt."""
    check.extend(fingerprint())


@pytest.mark.check(
    "evals.{eval_target.name}",
    title="{eval_target.task} reaches {eval_target.floor:.4g}",
    source="the spec: evals",
    fault="wrong-answers",
)
def test_score_reaches_its_target(eval_target, evaluate, check):
    check.extend(evaluate(eval_target))
