"""Each fault of `/v1/models/{model}` turns its check red, says what is wrong, and leaves the other green."""

from __future__ import annotations

import pytest

from selftests.faulty.model_faults import LISTED, MODELS, OFFERED
from selftests.server.checking import Suite, bad, checks_in, served

CHECKS = checks_in("test_models.py")
ONE, UNKNOWN = "server.models.one", "server.models.unknown"
RIGHT = {OFFERED, LISTED, "one-model-is-page", "one-model-without-more", "one-model-by-slashes"}
"""No faults."""

FAULTS: dict[str, tuple[str, str]] = {
    "one-model-is-list": (ONE, "id of the model stand-in is None, not 'stand-in'"),
    "one-model-is-other": (ONE, "id of the model stand-in is 'another', not 'stand-in'"),
    "one-model-differs": (ONE, "max_model_len of the model stand-in is 1, in the list 512"),
    "one-model-in-ms": (ONE, "created of the model stand-in is 1795730855000, which is no time in seconds"),
    "one-model-not-found": (ONE, "GET /v1/models/stand-in answered 404 instead of 200"),
    "one-model-for-any-name": (UNKNOWN, "the model no-such-model, which is not served: answered 200"),
    "one-model-for-longer-names": (UNKNOWN, "the model stand-in-of-another-kind, which is not served: answered 200"),
    "unknown-model-is-400": (UNKNOWN, "status of the model no-such-model, which is not served is 400, not 404"),
    "unknown-model-untold": (UNKNOWN, "refused with 404, but without OpenAI's error object: {}"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_check_red(fault: str) -> None:
    check, reason = FAULTS[fault]
    found = bad(LISTED, fault, checks=CHECKS)
    assert set(found) == {check}, found
    assert found[check].startswith("FAIL"), found
    assert reason in found[check]


@pytest.mark.parametrize("model", ["stand-in", "maker/stand-in"])
@pytest.mark.parametrize("server", sorted({"", "only-openai", *RIGHT}))
def test_a_right_server_has_none_of_them_red(server: str, model: str) -> None:
    faults = [server] if server in ("", OFFERED, LISTED, "only-openai") else [server, OFFERED]
    with served(*faults, model=model) as url:
        assert Suite(url, model=model).red(CHECKS) == {}


@pytest.mark.parametrize(("server", "offered"), [("", False), ("one-model-is-page", False), (OFFERED, True), (LISTED, True)])
def test_a_server_is_asked_for_one_model_where_it_has_the_route(server: str, offered: bool) -> None:
    with served(*([server] if server else [])) as url:
        suite = Suite(url)
        assert {suite.run(one)[0].offered for one in CHECKS.values()} == {offered}


def test_every_fault_of_the_table_is_planted_and_every_check_has_its_fault() -> None:
    assert RIGHT | {*FAULTS} == set(MODELS)
    assert {check for check, _ in FAULTS.values()} == set(CHECKS)
