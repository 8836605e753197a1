"""Each fault of `/v1/embeddings` turns its checks red, says what is wrong, and leaves the others green."""

from __future__ import annotations

import pytest

from selftests.faulty.embeddings import EMBEDDINGS, OFFERED
from selftests.server.checking import Suite, bad, checks_in, served

CHECKS = checks_in("test_embeddings.py")
RIGHT = {OFFERED, "dimensions-refused"}
"""No faults."""
EVERY = {"form", "base64", "order", "dimensions"}

FAULTS: dict[str, tuple[set[str], str]] = {
    "embeddings-object": ({"form"}, "object of each is"),
    "embeddings-lost": ({"form", "order"}, "embeddings is 3, not 4"),
    "embeddings-uncounted": ({"form"}, "prompt_tokens of 4 texts is 35, not 54"),
    "embedding-null": (EVERY, "an embedding is no list of numbers: [None, "),
    "embedding-zero": (EVERY, "an embedding is 24 zeros"),
    "base64-big-endian": ({"base64"}, "embedding 0 is another vector in base64: their likeness is"),
    "base64-doubles": ({"base64"}, "embedding 0 has 192 bytes in base64, and 24 numbers of 4 bytes each"),
    "base64-ignored": ({"base64"}, "asked for base64, embedding 0 is ["),
    "base64-refused": ({"base64"}, "POST /v1/embeddings answered 400 instead of 200"),
    "base64-scaled": ({"base64"}, "their likeness is 0.5, not 0.999"),
    "base64-of-next": ({"base64"}, "embedding 0 is another vector in base64"),
    "embeddings-swapped": ({"order"}, "among others, text 1 gets an embedding that is that of text 2 alone"),
    "indices-equal": ({"form", "order"}, "index of each is '[0, 0, 0, 0]', not '[0, 1, 2, 3]'"),
    "embeddings-blend": ({"order"}, "among others, text 0 gets an embedding that is none of them alone"),
    "dimensions-ignored": ({"dimensions"}, "dimensions where 12 of 24 were asked for is 24, not 12"),
    "no-dimensions-given": ({"dimensions"}, "0 dimensions are not refused: answered 200"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(fault: str) -> None:
    checks, reason = FAULTS[fault]
    found = bad(OFFERED, fault, checks=CHECKS)
    assert set(found) == {f"server.embeddings.{name}" for name in checks}, found
    assert all(told.startswith("FAIL") for told in found.values()), found
    assert reason in " ".join(found.values()), found


@pytest.mark.parametrize("server", sorted(RIGHT))
def test_a_right_server_has_none_of_them_red(server: str) -> None:
    assert bad(OFFERED, server, checks=CHECKS) == {}


def test_embeddings_that_are_all_alike_show_nothing_of_their_order() -> None:
    found = bad(OFFERED, "embeddings-alike", checks=CHECKS)
    assert list(found) == ["server.embeddings.order"]
    assert found["server.embeddings.order"].startswith("INCONCLUSIVE"), found


def test_a_server_without_embeddings_is_asked_for_none() -> None:
    with served() as base_url:
        suite = Suite(base_url)
        assert not any(suite.run(one)[0].offered for one in CHECKS.values())


def test_every_fault_of_the_table_is_planted_and_every_check_has_its_fault() -> None:
    assert RIGHT | {"embeddings-alike", *FAULTS} == set(EMBEDDINGS)
    assert {f"server.embeddings.{name}" for checks, _ in FAULTS.values() for name in checks} == set(CHECKS)
