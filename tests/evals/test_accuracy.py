"""Each eval target of the cell, measured by lm-eval through the server's API."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.evals


@pytest.mark.check("evals.{eval_target.name}")
def test_score_reaches_its_target(eval_target, evaluate, check):
    check.add(evaluate(eval_target))
