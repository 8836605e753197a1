"""Each fault of streams and of the form of answers turns its checks red, says what is wrong, and leaves the others green."""

from __future__ import annotations

import pytest

from selftests.faulty.streaming_faults import WHAT
from selftests.server.checking import bad, checks_in

EVERY = checks_in("test_streaming.py")
OF_TIME = {check: one for check, one in EVERY.items() if "incremental" in check or "compressed" in check}
CHECKS = {check: one for check, one in EVERY.items() if check not in OF_TIME}
EVERY_STREAM = {
    check
    for check in CHECKS
    if ("stream" in check and not check.startswith("server.stream-options")) or check == "server.choices"
}
SAME = {f"server.stream-same.{case}" for case in ("plain", "stop", "list", "echo")}
TEXTS = {"server.stream-completions", "server.stream-chat", "server.stream-characters"}


def both(check: str) -> set[str]:
    return {f"server.{check}.completions", f"server.{check}.chat"}


LOST = TEXTS | {"server.choices", "server.stream-same.plain", "server.stream-same.list", "server.stream-same.echo"}
ENDS = {"server.stream-completions", "server.stream-chat"} | both("stream-finish") | both("stream-end")

FAULTS: dict[str, tuple[set[str], str]] = {
    "chunk-ids": (both("stream-identity"), "ids in one stream is 13, not 1"),
    "chunk-created": (both("stream-identity"), "times of creation in one stream is 13, not 1"),
    "chunk-object": (both("stream-identity"), "objects in one stream is 'chat.completion', not 'chat.completion.chunk'"),
    "created-in-ms": (both("created"), "no time in whole seconds"),
    "created-is": (both("created") | both("stream-identity"), "the answer has no created"),
    "created-is=true": (both("created"), "created is True, which is no time"),
    "events-after-done": (EVERY_STREAM, "the stream goes on after [DONE]"),
    "done-twice": (EVERY_STREAM, "the stream goes on after [DONE]: '[DONE]'"),
    "truncate-stream": (EVERY_STREAM, "the stream ended without [DONE]"),
    "finish-twice": (both("stream-finish"), "reasons why the answer of 1 tokens ended is 2, not 1"),
    "finish-always": (ENDS | {"server.stream-same.stop"}, "reasons why the answer of 2 tokens ended is 2, not 1"),
    "no-finish": (ENDS | SAME | {"server.choices"}, "reasons why the answer of 1 tokens ended is 0, not 1"),
    "stream-finish=abort": (
        {"server.stream-completions", "server.stream-chat", "server.choices"} | both("stream-finish") | SAME,
        "finish_reason is 'abort', which the API does not have",
    ),
    "text-after-finish": (both("stream-end"), "text after the end is 'a', not ''"),
    "no-role": ({"server.stream-role"}, "role in the first delta is 'None', not 'assistant'"),
    "role-changes": ({"server.stream-role"}, "other roles is 1, not 0"),
    "options-break": (both("stream-options"), "answered 500"),
    "options-stream": (both("stream-options"), "answered 200 with a body that is not JSON"),
    "usage-in-each": (both("stream-usage"), "chunks with a usage is 13, not 1"),
    "usage-with-choices": (both("stream-usage"), "choices in the chunk with the usage is 1, not 0"),
    "usage-first": (both("stream-usage"), "place of the usage from the end is 13, not 1"),
    "same-ids": ({"server.ids"}, "different ids of 64 answers is 1, not 64"),
    "choices-mixed": (
        {"server.choices", "server.stream-same.list", "server.stream-same.echo"},
        "streamed choices is",
    ),
    "choices-missing": (
        {"server.choices", "server.prompts", "server.stream-same.list", "server.stream-same.echo"},
        "indices of n=3 is '[0, 1]', not '[0, 1, 2]'",
    ),
    "choices-unended": (
        {"server.choices", "server.stream-same.list", "server.stream-same.echo"},
        "choices of the stream that say why they ended is 1, not 3",
    ),
    "prompts-swapped": ({"server.prompts"}, "4 of 4 answers differ: 12+34=: token 1 is"),
    "ids-cut": ({"server.prompt-ids"}, "as ids is 5, not 6"),
    "echo-trimmed": ({"server.echo"}, "the answer to ' a  b' begins with it is"),
    "lost-first-piece": (LOST, "text is '6', not '46'"),
    "lost-last-piece": (LOST, "text is '4', not '46'"),
    "half-characters": ({"server.stream-chat", "server.stream-characters"}, "streamed text of"),
}
PACED = {
    "holds-back": (both("stream-incremental") | both("stream-compressed"), "it was held back"),
    "compressed-at-once": (both("stream-compressed"), "it was held back"),
}
"""Those that show only where tokens take their time."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(fault: str) -> None:
    checks, reason = FAULTS[fault]
    found = bad(fault, checks=CHECKS)
    assert set(found) == checks, found
    assert reason in " ".join(found.values()), found


@pytest.mark.long
@pytest.mark.parametrize("fault", PACED)
def test_a_stream_that_is_held_back(fault: str) -> None:
    checks, reason = PACED[fault]
    # At this pace the stream takes most of a second: a busy machine makes no early text of what was held back to its end.
    found = bad(fault, checks=OF_TIME, itl_ms=3)
    assert set(found) == checks, found
    assert all(reason in told for told in found.values()), found


ENDLESS = {
    "stays-open": "did not end within 0.2 s after [DONE]: its connection stays open",
    "trickles": "it was not over after 1 s",
    "trickles-late": "it was not over after 1 s",
    "head-trickles": "it was not over after 1 s",
}


@pytest.mark.parametrize("fault", ENDLESS)
def test_a_stream_without_an_end_fails_the_check_that_meets_it_and_the_next_check_runs(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hallmark.client.wire.AFTER_DONE_S", 0.2)
    streams = {check: CHECKS[check] for check in ("server.stream-done.completions", "server.created.completions")}
    found = bad(fault, checks=streams, timeout_s=1)
    assert set(found) == {"server.stream-done.completions"}, found
    assert found["server.stream-done.completions"].startswith("FAIL")
    assert ENDLESS[fault] in found["server.stream-done.completions"]


def test_a_whole_answer_without_an_end() -> None:
    found = bad("body-trickles", checks={"server.created.chat": CHECKS["server.created.chat"]}, timeout_s=1)
    assert "POST /v1/chat/completions: no answer in time: it was not over after 1 s" in found["server.created.chat"]


@pytest.mark.parametrize("server", ["", "only-openai"])
def test_a_right_server_has_none_of_them_red(server: str) -> None:
    assert bad(*([server] if server else []), checks=EVERY) == {}


def test_a_right_server_that_takes_its_time_has_none_of_them_red() -> None:
    assert bad(checks=OF_TIME, itl_ms=1) == {}


def test_every_fault_of_the_table_is_planted_and_every_check_has_its_fault() -> None:
    planted = {"body-trickles", *(fault.partition("=")[0] for fault in (*FAULTS, *PACED, *ENDLESS))}
    assert set(WHAT) <= planted
    red = set().union(*(checks for checks, _ in (*FAULTS.values(), *PACED.values())))
    assert set(EVERY) - red == {"server.completions"}, "its fault is in the tests of whole runs"
