"""The sidecar's metrics and the adapters: each fault turns exactly its own check red, and the clean twin is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from selftests.plugin.commands import LONGEST_S, Ended
from selftests.plugin.conftest import SEVERAL, Place

pytestmark = [pytest.mark.e2e, pytest.mark.long]

ADAPTER = {
    "name": "subtract",
    "path": "../adapter",
    "checks": [{"prompt": "57+23=", "expected": "34", "without": "80", "max_tokens": 8}],
}
METRICS, LORA, MIXED = "server.runtime-metrics", "server.lora.subtract", "server.lora-mixed.subtract"
NONE = ""
"""In the place of a fault: the clean twin."""
FAULTS = {
    "miscounts-tokens": (METRICS, "tokens counted is"),
    "slow-clock": (METRICS, "the client measured"),
    "lora-refused": (LORA, "cannot be loaded, on purpose"),
    "lora-ignored": (LORA, "it should begin with '34'"),
    "lora-sticks": (LORA, "/v1/models still lists it"),
    "lora-leaks": (LORA, "answers of the model afterwards is"),
}


ALSO = {"lora-refused": {MIXED: "FAIL"}, "lora-ignored": {MIXED: "INCONCLUSIVE"}, "lora-leaks": {MIXED: "INCONCLUSIVE"}}
"""What becomes of the check of a mixed batch, to which such an adapter shows nothing."""


def fields(place: Place, adapter: dict[str, Any] = ADAPTER) -> dict[str, Any]:
    """Of a spec whose cell has a sidecar and an adapter."""
    (place.folder / "adapter").mkdir()
    # A pace that the buckets of the histograms can tell from a busy machine's delays.
    return {"impl": {"runtime": True}, "weights": {"lora": [adapter]}, "engine_args": {"ttft_ms": 100, "itl_ms": 10}}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Fault -> how the run of a server that has it ended; one command runs them all, one after the other."""
    place = Place(tmp_path_factory.mktemp("faults") / "place")
    of_all = fields(place)
    # At this pace the checks of other features take half a minute for each server.
    models = place.specs_of([*FAULTS, NONE, "no-metrics"], features=["lora"], **of_all)
    whole = place.release(model=SEVERAL).end(deadline_s=len(models) * LONGEST_S)
    assert whole.code == 1, whole.said
    place.require_nobody_left()
    return {fault: whole.of(model) for fault, model in models.items()}


def test_the_clean_twin_has_none_of_them_red(faulty: dict[str, Ended]) -> None:
    ended = faulty[NONE]
    assert ended.bad == {"spec.targets": "INCONCLUSIVE"}
    assert {METRICS, LORA, "server.runtime-series"} <= set(ended.rows)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_check_red(faulty: dict[str, Ended], fault: str) -> None:
    check, reason = FAULTS[fault]
    ended = faulty[fault]
    assert ended.outcome == "REJECTED"
    assert ended.bad == {"spec.targets": "INCONCLUSIVE", check: "FAIL", **ALSO.get(fault, {})}
    assert reason in ended.rows[check]["reason"]


def test_an_adapter_that_is_asked_for_what_the_model_says_anyway_shows_nothing(place: Place) -> None:
    adapter = ADAPTER | {"checks": [{"prompt": "57+23=", "expected": "80"}]}
    place.spec(faults="lora-ignored", features=["lora"], **fields(place, adapter))
    ended = place.release().end().must_end(4, "INCONCLUSIVE")
    assert ended.bad == {"spec.targets": "INCONCLUSIVE", LORA: "INCONCLUSIVE", MIXED: "INCONCLUSIVE"}
    assert "without subtract, too" in ended.rows[LORA]["reason"]


def test_an_engine_without_metrics_fails_both(faulty: dict[str, Ended]) -> None:
    ended = faulty["no-metrics"]
    assert ended.outcome == "REJECTED"
    assert ended.bad == {"spec.targets": "INCONCLUSIVE", "server.runtime-series": "FAIL", METRICS: "FAIL"}
    assert "the sidecar offers no" in ended.rows["server.runtime-series"]["reason"]
