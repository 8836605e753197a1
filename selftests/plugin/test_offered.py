"""What the spec declares is demanded, what else is offered is checked, and what is neither is demanded of nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from selftests.faulty import running
from selftests.plugin.commands import Ended
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import EVERY, MODEL, WEIGHTS

pytestmark = pytest.mark.e2e

LEAST_SPEC = f"""\
schema_version: 2
family: mine
weights: [{{ name: {MODEL}, path: {WEIGHTS}, outside_folder: true }}]
impls:
  - {{ name: other, engine: {{ name: some-engine }}, status: functional, devices: {{ cpu: {{ max_context: 512 }} }} }}
"""
CHATS = {"server.chat", "server.stream-chat", "server.usage-chat"}


def absent(ended: Ended) -> dict[str, str]:
    """Check -> why, of what the report lists as not offered."""
    return {absence["check"]: absence["reason"] for absence in ended.report["not_offered"]}


@pytest.mark.long
def test_five_lines_are_enough_for_a_right_server_of_any_engine(place: Place) -> None:
    """It answers 404 to all of vLLM's extras and 400 to every field that OpenAI's reference does not have, and is right."""
    (Path(place.specs) / "mine.yaml").write_text(LEAST_SPEC, encoding="utf-8")
    with running("only-openai") as server:
        ended = place.pytest("-m", "server", f"--server-url={server.base_url}").end()
    assert ended.outcome == "PARTIAL", ended.causes
    judged = {check: row for check, row in ended.rows.items() if row["kind"] == "server"}
    undecided = {check: row["reason"] for check, row in judged.items() if row["verdict"] != "PASS"}
    assert set(undecided) == {"server.version", "server.model"}, undecided
    assert "does not tell it by /version" in undecided["server.version"]
    assert "is not known" in undecided["server.model"]


@pytest.mark.long
def test_what_is_offered_and_not_declared_is_checked(place: Place) -> None:
    place.spec(offered=EVERY, faults="half-characters")
    ended = place.release("--", "-k", "(chat or structured) and not responses").end()
    manifest = {row["check"] for row in ended.rows.values() if row["demanded"]}
    assert not CHATS & manifest
    assert ended.rows["server.chat"]["verdict"] == "PASS"
    assert ended.rows["server.stream-chat"]["verdict"] == "FAIL", "offered and wrong"
    assert ended.outcome == "REJECTED"
    left = {check for check in absent(ended) if not check.startswith(("server.structured.grammars.", "server.responses."))}
    assert left == set(), "grammars are vLLM's own, and the stand-in has none, nor /v1/responses"


@pytest.mark.long
@pytest.mark.parametrize("declared", [False, True])
def test_what_is_not_offered(place: Place, declared: bool) -> None:
    """Neither good nor bad where nobody declares it; a failure where the spec does."""
    features = ["completions", *(["logprobs"] if declared else [])]
    place.spec(features=features, offered=EVERY, faults="no-logprobs")
    junit = place.folder / "own.xml"
    ended = place.release("--", "-k", "logprobs or max_tokens", f"--junitxml={junit}").end()
    if declared:
        assert ended.rows["server.logprobs"]["verdict"] == "FAIL"
        assert ended.outcome == "REJECTED"
        assert "server.logprobs" not in absent(ended)
        return
    assert "server.logprobs" not in ended.rows, "it is no row of the decision: neither passed nor missing"
    assert "as if it had not been asked for it" in absent(ended)["server.logprobs"]
    assert ended.outcome == "PARTIAL"
    assert {row["verdict"] for row in ended.rows.values() if row["measured"]} == {"PASS"}
    assert "server.logprobs" in (ended.folder / "report.md").read_text(encoding="utf-8")
    assert "not offered" in ended.out
    assert "<skipped" in junit.read_text(encoding="utf-8")


def test_a_probe_that_fails_is_not_taken_for_a_no(place: Place) -> None:
    """Each chat is answered 500: whether chats are offered is not known, so their checks run, and meet it."""
    place.spec(offered=EVERY, faults="error-after=2")
    ended = place.release("--", "-k", "sentence").end()
    assert ended.rows["server.chat"]["verdict"] == "FAIL"
    assert "answered 500" in ended.rows["server.chat"]["reason"]
    assert absent(ended) == {}
