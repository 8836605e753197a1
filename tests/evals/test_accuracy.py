"""Each eval target of the cell, measured by lm-eval through the server's API."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.evals


@pytest.mark.check(
    "evals.{eval_target.name}",
    title="{eval_target.task} reaches {eval_target.floor:.4g}",
    source="the spec: evals",
    fault="wrong-answers",
)
def test_score_reaches_its_target(eval_target, evaluate, check):
    check.extend(evaluate(eval_target))
