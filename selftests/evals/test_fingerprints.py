"""The fingerprint beside a run: kept and read again, and what is said where there is no reference or no dtype."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hallmark.core.errors import UsageError
from hallmark.core.verdict import Verdict
from hallmark.evals.fingerprints import (
    FILE,
    determinism,
    judged_fingerprint,
    keep_fingerprint,
    kept_fingerprint,
    recorded_fingerprint,
)
from hallmark.evals.reference import Reference
from hallmark.stats.fingerprint import Fingerprint, Probe


def fingerprint(shift: float = 0.0) -> Fingerprint:
    return Fingerprint(way="prompt", probes={"code": Probe(tokens=("7", "9"), logprobs=(-1.0 - shift, -2.0 - shift))})


def reference(found: Fingerprint | None, discordance: float | None = None) -> Any:
    evals = {"addition": SimpleNamespace(discordance=discordance)}
    told = {"dtype": "float32", "cell": "here", "title": "vllm 0.32.0, float32"}
    return SimpleNamespace(fingerprint=found, evals=evals, adapters={"terse": fingerprint(0.7)}, **told)


def test_a_run_keeps_it_and_another_run_tells_the_noise(tmp_path: Path) -> None:
    for name, shift in (("one", 0.0), ("again", 0.004)):
        keep_fingerprint(tmp_path / name / "evals", fingerprint(shift))
    assert kept_fingerprint(tmp_path / "one" / "evals") == fingerprint()
    assert recorded_fingerprint(tmp_path / "one", None) == fingerprint()
    assert recorded_fingerprint(tmp_path / "one", tmp_path / "again") == replace(fingerprint(), noise=0.004)
    assert recorded_fingerprint(tmp_path / "none", None) is None


def test_a_file_that_is_no_fingerprint_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"way": "prompt"}', encoding="utf-8")
    with pytest.raises(UsageError, match="is no fingerprint"):
        kept_fingerprint(tmp_path)


@pytest.mark.parametrize("known", [None, reference(None)])
def test_without_one_to_hold_it_against_nothing_is_decided(known: Reference | None) -> None:
    found = judged_fingerprint(fingerprint(), known, cell="here", dtype="float32")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "hallmark reference record" in found.reason


@pytest.mark.parametrize(
    ("dtype", "where", "shift", "verdict"),
    [
        ("float32", "here", 0.0, Verdict.PASS),
        ("float32", "here", 0.02, Verdict.FAIL),
        ("float32", "on a GPU", 0.02, Verdict.PASS),
        ("float32", "on a GPU", 0.06, Verdict.FAIL),
        ("bfloat16", "here", 0.1, Verdict.PASS),
        ("", "here", 0.001, Verdict.PASS),
        ("", "here", 0.1, Verdict.INCONCLUSIVE),
        ("auto", "here", 0.9, Verdict.FAIL),
    ],
)
def test_the_dtype_and_the_place_decide_what_is_rounding(dtype: str, where: str, shift: float, verdict: Verdict) -> None:
    assert judged_fingerprint(fingerprint(shift), reference(fingerprint()), cell=where, dtype=dtype).verdict is verdict


def test_another_tokenizer_is_not_excused_by_a_dtype_that_nobody_told() -> None:
    other = Fingerprint(way="prompt", probes={"code": Probe(tokens=("7", "8"), logprobs=(-1.0, -2.0))})
    found = judged_fingerprint(other, reference(fingerprint()), cell="here", dtype="auto")
    assert found.verdict is Verdict.FAIL
    assert "the tokenizer" in found.reason


def test_how_many_answers_a_batch_changes_and_whether_that_explains_what_differs() -> None:
    answers = [("a", "a")] * 49 + [("a", "b")]
    assert determinism(answers, None, exact=False).value == 0.02
    assert "explains the 1 % of items" in determinism(answers, reference(None, 0.01), exact=False).reason
    assert "does not explain the 5 % of items" in determinism(answers, reference(None, 0.05), exact=False).reason
    assert determinism(answers, None, exact=False).verdict is Verdict.PASS
    assert determinism(answers, None, exact=True).verdict is Verdict.FAIL
