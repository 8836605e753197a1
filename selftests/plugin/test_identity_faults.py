"""A server that is not the one of its spec, or that dies, is rejected by the check whose matter it is: as whole commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from selftests.plugin.commands import LONGEST_S, Ended
from selftests.plugin.conftest import SEVERAL, Place

pytestmark = [pytest.mark.e2e, pytest.mark.long]

FAULTS = {
    "context-length=null": ({"server.model"}, "max_model_len is None, not 512"),
    'context-length={"tokens":512}': ({"server.model"}, "max_model_len is {'tokens': 512}, not 512"),
    "wrong-version": ({"server.version"}, "the server runs vllm 0.0.1, the spec says ==0.32.0"),
    "wrong-version=unknown": ({"server.version"}, "the server runs vllm unknown"),
    "wrong-model-name": ({"server.model"}, "the server serves some-other-model"),
    "lists-no-model": ({"server.model"}, "the server serves nothing, the spec says stand-in-"),
}
DIES = "dies-on-bad-request"
_EVERY = (*FAULTS, DIES)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Ended]:
    """Fault -> how the run of a server that has it ended; one command checks all of them, one after the other."""

    @cache
    def ended() -> dict[str, Ended]:
        place = Place(tmp_path_factory.mktemp("faults") / "place")
        models = place.specs_of(_EVERY)
        whole = place.release(model=SEVERAL).end(deadline_s=len(_EVERY) * LONGEST_S)
        assert whole.code == 1, whole.said
        return {fault: whole.of(model) for fault, model in models.items()}

    return lambda fault: ended()[fault]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(run_of: Callable[[str], Ended], fault: str) -> None:
    checks, reason = FAULTS[fault]
    ended = run_of(fault)
    assert ended.outcome == "REJECTED"
    assert ended.bad == {"spec.targets": "INCONCLUSIVE", **dict.fromkeys(checks, "FAIL")}
    assert reason in " ".join(ended.rows[check]["reason"] for check in checks)


def test_a_server_that_dies_of_a_bad_request_takes_the_rest_with_it(run_of: Callable[[str], Ended]) -> None:
    ended = run_of(DIES)
    assert ended.outcome == "REJECTED"
    failed = [check for check, verdict in ended.bad.items() if verdict == "FAIL"]
    assert failed == ["server.bad-request.invalid-json"]
    after = set(ended.bad) - {*failed, "spec.targets"}
    assert after
    assert {ended.rows[check]["reason"] for check in after} == {"server lost (see server.bad-request.invalid-json)"}


def test_the_clean_twin_passes_every_check(clean: Ended) -> None:
    assert clean.bad == {}
