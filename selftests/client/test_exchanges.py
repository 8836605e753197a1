"""What a client keeps of its exchanges for whoever reads of a failure, and what rules follow from a kept answer alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from hallmark.client.exchanges import LONGEST_ANSWER, MOST, body_of
from hallmark.client.refusal import require_discreet, require_no_breakdown, require_refused, require_refused_in_json
from hallmark.client.rules import hold
from hallmark.client.wire import Answer, Sent, WireClient, WrongAnswer
from hallmark.core.errors import CheckFailed
from hallmark.core.redact import MASK
from selftests.faulty import Faulty, running

PATH = "/v1/completions"


@pytest.fixture(scope="module")
def clean() -> Iterator[Faulty]:
    with running() as server:
        yield server


@pytest.fixture
def client(clean: Faulty) -> Iterator[WireClient]:
    with WireClient(clean.base_url, clean.model, api_key="a key of many words") as made:
        yield made


def test_the_newest_exchanges_are_kept_and_in_front_the_one_that_a_failure_is_about(client: WireClient) -> None:
    first = client.post(PATH, content=b"{nope")
    for place in range(MOST + 1):
        client.post(PATH, client.body(prompt=f"{place}+1=", temperature=0))
    rows = client.exchanges(first)
    assert [(row["about"], row["answer"]["status"]) for row in rows] == [(True, 400), *[(False, 200)] * (MOST - 1)]
    assert rows[0]["request"]["body"] == {"text": "{nope"}
    assert json.loads(rows[-1]["request"]["body"]["text"])["prompt"] == f"{MOST}+1="
    assert json.loads(rows[-1]["answer"]["body"]["text"])["choices"][0]["text"] == str(MOST + 1)
    assert [row["about"] for row in client.exchanges()] == [False] * MOST
    newest = client.post(PATH, content=b"{newest")
    assert [row["about"] for row in client.exchanges(newest)] == [*[False] * (MOST - 1), True]


def test_no_key_is_kept(client: WireClient) -> None:
    client.post(PATH, client.body(prompt="a key of many words"))
    (row,) = client.exchanges()
    assert "many words" not in json.dumps(row)
    assert row["request"]["headers"]["authorization"] == MASK


def test_a_stream_is_kept_as_far_as_it_was_read(client: WireClient) -> None:
    stream = client.stream(PATH, client.body(prompt="12+30=", temperature=0, stream=True))
    next(stream)
    stream.close()
    (row,) = client.exchanges()
    assert row["answer"]["status"] == 200
    assert row["answer"]["body"]["text"].startswith("data: {")


def test_a_lost_connection_says_so_in_the_place_of_an_answer() -> None:
    with WireClient("http://127.0.0.1:1") as nobody, pytest.raises(CheckFailed):
        nobody.get("/health")
    (row,) = nobody.exchanges()
    assert row["answer"] is None
    assert row["lost"].startswith("connection lost (")


def test_a_long_body_keeps_its_beginning_and_its_end_and_says_what_is_missing() -> None:
    text = "b" * LONGEST_ANSWER + "e" * LONGEST_ANSWER
    kept = body_of(text, most=LONGEST_ANSWER)
    assert (len(kept["text"]), kept["left_out"]) == (LONGEST_ANSWER, LONGEST_ANSWER)
    assert set(kept["text"][: kept["cut_after"]]) == {"b"}
    assert set(kept["text"][kept["cut_after"] :]) == {"e"}
    assert body_of("b" * LONGEST_ANSWER, most=LONGEST_ANSWER) == {"text": "b" * LONGEST_ANSWER}
    assert body_of(b"\xff", most=1) == {"text": "\N{REPLACEMENT CHARACTER}"}


def answer(status: int, text: str = '{"error": {"message": "no"}}') -> Answer:
    return Answer(status=status, headers={}, body_text=text, sent=Sent(method="POST", url="http://x/v1"))


BROKEN = {
    "another status": lambda: answer(500).require(),
    "no JSON": lambda: answer(200, "{nope").json(),
    "accepted": lambda: require_refused(answer(200), "a bad one"),
    "without a message": lambda: require_refused(answer(400, '{"error": {}}'), "a bad one"),
    "another refusal": lambda: require_refused_in_json(answer(405), "a bad one", statuses=(400, 404)),
    "a breakdown": lambda: require_no_breakdown(answer(500), "a bad one"),
    "a traceback": lambda: require_discreet(answer(400, "Traceback (most recent call last)"), "a bad one"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_failure_names_the_rule_by_which_it_can_be_derived_again(name: str) -> None:
    """And the rule, which goes through JSON, is broken by that answer and kept by a good one."""
    with pytest.raises(WrongAnswer) as caught:
        BROKEN[name]()
    rule = json.loads(json.dumps(dict(caught.value.rule)))
    with pytest.raises(WrongAnswer) as again:
        hold(caught.value.answer, rule, whole=True)
    assert again.value.rule == caught.value.rule
    good = answer(200) if name in ("another status", "no JSON") else answer(400)
    hold(good, rule, whole=True)


def test_what_cannot_be_told_is_no_verdict() -> None:
    for rule in ({}, {"of another version": 1}, {"status": 200, "json": True}):
        with pytest.raises(ValueError, match="does not know"):
            hold(answer(500), rule, whole=True)
    with pytest.raises(ValueError, match="too long to be kept whole"):
        hold(answer(200), {"json": True}, whole=False)
    with pytest.raises(CheckFailed):
        hold(answer(500), {"status": 200}, whole=False)
