"""A reference from a run to the next: recorded, compared with, and refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selftests.plugin.commands import Ended, records_in
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import MODEL, eval_target

pytestmark = pytest.mark.e2e


def record_of(folder: Path, check: str) -> dict[str, Any]:
    return next(record for record in records_in(folder / "records.jsonl") if record["check"] == check)


def eval_record(folder: Path) -> dict[str, Any]:
    return record_of(folder, "evals.addition")


@pytest.mark.long
def test_a_run_is_recorded_and_the_next_compared_with_it(place: Place) -> None:
    place.spec(evals=[eval_target(tolerance=0.1)], items=100)
    first = place.release(workflow="evals").end()
    assert first.code == 0, first.said
    (alone,) = eval_record(first.folders[0])["evidence"]
    assert "no reference: the score resolves" in alone["reason"]
    recorded = place.start(["hallmark", "reference", "record", str(first.folders[0])]).end()
    assert recorded.code == 0, recorded.said
    path = place.specs / "references" / f"{MODEL}.json.gz"
    assert f"{path}: {MODEL}, vllm 0.32.0, " in recorded.out
    assert "evals.addition: stand_in_addition, exact_match,none 1.0000 on 100 items, lm-eval 0.4.13, 0-shot" in recorded.out
    assert "exists already" in place.start(["hallmark", "reference", "record", str(first.folders[0])]).end().err

    again = place.release(workflow="evals").end()
    assert again.code == 0, again.said
    record = eval_record(again.folders[0])
    assert [evidence["name"] for evidence in record["evidence"]] == ["exact_match,none", "difference to the reference"]
    assert record["evidence"][1]["reason"].startswith("0 lost and 0 gained of the first ")
    assert record["evidence"][0]["n"] == 80, "one block, which is whole requests of ten, eight at a time"

    place.spec(evals=[eval_target(tolerance=0.1)], items=100, faults="wrong-answers=0.4")
    worse = place.release("--no-early-stop", workflow="evals").end()
    assert worse.code == 1, worse.said
    record = eval_record(worse.folders[0])
    assert [evidence["n"] for evidence in record["evidence"]] == [100, 100, 12]
    assert "Healed by nothing that was tried" in record["evidence"][2]["reason"]
    assert {"question", "expected", "answered", "alone"} <= record["evidence"][2]["detail"]["items"][0].keys()
    assert "against the reference on the same 100 items" in record["reason"] + record["evidence"][1]["reason"]
    refused = place.start(["hallmark", "reference", "record", str(worse.folders[0])]).end()
    assert refused.code == 2
    assert "evals.addition is FAIL, and a reference is of a good server" in refused.err

    path.write_bytes(path.read_bytes()[:-40])
    damaged = place.release(workflow="evals").end()
    assert damaged.code == 2
    assert [line for line in damaged.err.splitlines() if line] == [
        f"ERROR: {path}: is no reference, or a damaged one (EOFError) - record it again: hallmark reference record"
    ]
    assert not damaged.folders


@pytest.mark.long
def test_a_fingerprint_is_kept_recorded_and_held_against(place: Place) -> None:
    def evals(faults: str = "") -> tuple[Ended, dict[str, Any]]:
        named = {"checks": ["evals.fingerprint"], "features": ["completions", "logprobs"]}
        place.spec(evals=[eval_target(tolerance=0.1)], items=100, impl=named, faults=faults)
        ended = place.release(workflow="evals").end()
        return ended, record_of(ended.folders[0], "evals.fingerprint")

    first, record = evals()
    assert (first.code, record["verdict"]) == (4, "INCONCLUSIVE"), first.said
    assert "no reference with a fingerprint" in record["reason"]
    recorded = place.start(["hallmark", "reference", "record", str(first.folders[0])]).end()
    assert recorded.code == 0, recorded.said
    assert "log-probabilities of prompts, 0 nats differing by chance" in recorded.out

    same, record = evals()
    assert (same.code, record["verdict"]) == (0, "PASS"), same.said
    assert record["evidence"][0]["value"] == 0.0

    other, record = evals("prompt-logprobs-lower")
    assert (other.code, record["verdict"]) == (1, "FAIL"), other.said
    assert "at all positions: other weights" in record["reason"]

    signed = ["hallmark", "reference", "record", str(first.folders[0]), "--replace", "--adapter"]
    assert "is not NAME=FOLDER" in place.start([*signed, "terse"]).end().err
    assert "has no fingerprint of the adapter terse" in place.start([*signed, f"terse={place.specs}"]).end().err
    assert "with the adapter left on: terse" in place.start([*signed, f"terse={other.folders[0]}"]).end().out
    _, record = evals("prompt-logprobs-lower")
    assert "from those with the adapter terse: it is left on" in record["reason"]
