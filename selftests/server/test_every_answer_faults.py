"""Faults that come now and then are seen by whoever looks at every answer, also where the checks of their area ask too few."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hallmark.client.answer_watch import AnswerWatch
from hallmark.client.detectors import seen_in, seen_in_stream
from hallmark.client.wire import WireClient
from selftests.faulty.answer_faults import WHAT
from selftests.server.checking import Suite, bad, checks_in, served

_NAMES = ("stream-completions", "stream-chat", "ids", "choices", "greedy", "seed", "stream-characters")
OTHERS = {
    **checks_in("test_usage.py", "test_logprobs.py", "test_chat.py"),
    **{check: one for check, one in checks_in("test_streaming.py", "test_sampling.py").items() if check[7:] in _NAMES},
}
"""Some hundred requests, as a run makes more of."""
EVERY = checks_in("test_every_answer.py")
FAULTS: dict[str, tuple[str, str]] = {
    "logprobs-now-and-then-null": ("logprobs", "the log-probability of a token is None, which is no number"),
    "end-mark-leaks": ("marks", "'<|end|>' in '"),
    "one-character-again": ("repetition", "the same greedy request is answered"),
    "ids-come-again": ("ids", "is that of an earlier answer"),
    "times-in-ms-now-and-then": ("created", "which is no time in whole seconds"),
    "totals-off-now-and-then": ("usage", "are not"),
    "half-characters": ("characters", "the same greedy request is answered"),
    "bytes-lost-in-text": ("characters", "Gr\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}e"),
    "total-off": ("usage", "are not"),
    "cached-more": ("usage", "cached_tokens are more than the"),
    "usage-is=true": ("usage", "usage.completion_tokens is True, which is no count"),
    "logprobs-are=1": ("logprobs", "the log-probability of a token is 1"),
    "same-ids": ("ids", "is that of an earlier answer"),
    "created-in-ms": ("created", "which is no time in whole seconds"),
}

_ALWAYS = ("total-off", "same-ids", "created-in-ms")
"""In each answer what others above do now and then: whoever finds those, finds these."""


def told(found: Mapping[str, str]) -> dict[str, str]:
    """By detector, of the checks of every answer."""
    return {check.rpartition(".")[2]: reason for check, reason in found.items() if check in EVERY}


@pytest.mark.parametrize("fault", [pytest.param(name, marks=[pytest.mark.long] if name in _ALWAYS else []) for name in FAULTS])
def test_a_fault_turns_its_detector_red(fault: str) -> None:
    detector, reason = FAULTS[fault]
    found = told(bad("prefix-cache", fault, checks=OTHERS | EVERY))
    assert set(found) == {detector}, found
    assert found[detector].startswith("FAIL")
    assert reason in found[detector]


@pytest.mark.parametrize("before", range(3))
def test_whether_a_fault_is_seen_hangs_neither_on_what_came_before_nor_on_the_order(before: int) -> None:
    """Of three answers that came to their own end one has the mark, whatever else is answered between them."""
    with served("end-mark-leaks=3") as url, WireClient(url, "stand-in", watch=(watch := AnswerWatch())) as client:
        for asked in range(3):
            for _ in range(before):
                client.post("/v1/completions", client.body(prompt="12+34=", max_tokens=1))
            client.post("/v1/completions", client.body(prompt=f"12+3{asked}=", max_tokens=8))
            client.post("/v1/completions", client.body(prompt="12+34=", max_tokens=8, logit_bias={"5": 1}))
        watch.judge_marks({"<|end|>"})
        assert watch.found["marks"].count == 1


@pytest.mark.parametrize("server", ["", "prefix-cache", "only-openai"])
def test_a_right_server_has_none_of_them_red(server: str) -> None:
    assert bad(*([server] if server else []), checks=OTHERS | EVERY) == {}


def test_alone_they_ask_a_little_and_pass() -> None:
    assert bad(checks=EVERY) == {}
    found = bad("created-in-ms", checks={check: EVERY[check] for check in ("server.every-answer.created",)})
    assert "12 of 12 answers" in found["server.every-answer.created"] or "of 1" in found["server.every-answer.created"]


def test_every_fault_is_planted_and_every_detector_has_its_fault() -> None:
    assert set(WHAT) <= {fault.partition("=")[0] for fault in FAULTS}
    assert {f"server.every-answer.{detector}" for detector, _ in FAULTS.values()} == set(EVERY)


def noticed(*texts: str, **asked: object) -> AnswerWatch:
    """After answers with these texts to one request."""
    watch = AnswerWatch()
    for text in texts:
        choice = {"index": 0, "text": text, "finish_reason": "length"}
        watch.stream({"temperature": 0, "prompt": "a", **asked}, [{"choices": [choice]}], complete=True)
    watch.judge_marks({"<|end|>", "</s>"})
    return watch


@pytest.mark.parametrize(
    ("texts", "asked"),
    [
        (["la la la la la la la la la la la"], {}),
        (["!!!!!!!!!!!!", "text"], {"logit_bias": {"5": 100}}),
        (["!!!!!!!!!!!!", "text"], {"temperature": 1}),
        (["!!!!!!!!!!!!"], {}),
        (["half a char\N{REPLACEMENT CHARACTER}"], {}),
        (["\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}", "Gr"], {}),
        (["it says <|end|> as asked"], {"prompt": "write <|end|>"}),
        (["a <|end|> is shown"], {"skip_special_tokens": False}),
        (["a struck </s> word"], {}),
        (["a mark that is no token of it: <|nobody|>"], {}),
    ],
)
def test_what_a_model_may_say_is_no_fault(texts: list[str], asked: dict[str, object]) -> None:
    assert {name: found.count for name, found in noticed(*texts, **asked).found.items() if found.count} == {}


def test_the_bytes_of_its_tokens_tell_whether_a_character_is_broken() -> None:
    def answered(text: str, *tokens: list[int]) -> AnswerWatch:
        watch = AnswerWatch()
        rows = [{"token": "?", "logprob": -1.0, "bytes": token} for token in tokens]
        choice = {"index": 0, "message": {"content": text}, "logprobs": {"content": rows}, "finish_reason": "length"}
        watch.whole({}, json.dumps({"choices": [choice]}))
        return watch

    broken = answered("Gr\N{REPLACEMENT CHARACTER}", [71, 114], [0xC3], [0xBC])
    assert "and the bytes of its tokens are 'Grü'" in broken.found["characters"].examples[0]
    assert answered("Gr\N{REPLACEMENT CHARACTER}", [71, 114], [0xC3]).found["characters"].count == 0
    assert answered("Grü", [71, 114], [0xC3], [0xBC]).found["characters"].count == 0


def test_what_may_be_the_models_doing_is_noted() -> None:
    watch = noticed("la la la la la la la la la la la", "a struck </s> word", "half\N{REPLACEMENT CHARACTER}")
    assert {name: found.count for name, found in watch.noted.items() if found.count} == {
        "repetition": 1,
        "marks": 1,
        "characters": 1,
    }


def test_an_echoed_prompt_has_no_log_probability_for_its_first_token() -> None:
    told_of = {"choices": [{"text": "ab", "logprobs": {"tokens": ["a", "b"], "token_logprobs": [None, -1.0]}}]}
    assert seen_in({"echo": True}, told_of).logprobs == ()
    assert seen_in({}, told_of).logprobs == (None, -1.0)


def test_requests_that_name_themselves_may_share_an_id() -> None:
    watch = AnswerWatch()
    for named in (True, True, False):
        watch.whole({}, '{"id": "cmpl-mine", "choices": []}', named=named)
    assert watch.found["ids"].count == 0


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({"object": "response", "created_at": 1764198400.25}, 0),
        ({"object": "response", "created_at": 1764198400250}, 1),
        ({"object": "text_completion", "created": 1764198400.25}, 1),
    ],
)
def test_only_responses_are_created_at_a_fraction_of_a_second(body: dict[str, object], faults: int) -> None:
    watch = AnswerWatch()
    watch.whole({}, json.dumps({"choices": [], **body}))
    assert watch.found["created"].count == faults


class _SameAnswer(BaseHTTPRequestHandler):
    """Answers everything with one completion."""

    def do_GET(self) -> None:
        body = b'{"id": "cmpl-1", "choices": []}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_an_answer_that_is_fetched_again_has_its_id_again() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _SameAnswer) as stored:
        threading.Thread(target=stored.serve_forever, args=(0.01,), daemon=True).start()
        watch = AnswerWatch()
        with WireClient(f"http://127.0.0.1:{stored.server_port}", "m", watch=watch) as client:
            client.post("/v1/responses", {})
            client.get("/v1/responses/cmpl-1")
            assert (watch.answers, watch.found["ids"].count) == (1, 0)
            client.post("/v1/responses", {})
            assert (watch.answers, watch.found["ids"].count) == (2, 1)
        stored.shutdown()


def test_the_answer_within_the_last_event_of_a_response_is_read() -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 6}
    events = [{"type": "response.created"}, {"type": "response.completed", "response": {"id": "r", "usage": usage}}]
    seen = seen_in_stream({}, events)
    assert (seen.ids, seen.usages) == (("r",), (usage,))
    watch = AnswerWatch()
    watch.stream({}, events, complete=True)
    assert watch.found["usage"].examples[0].startswith("3 input_tokens and 2 output_tokens are not 6 in all")


def test_a_client_without_a_watch_and_one_with_it_see_the_same() -> None:
    with served() as url:
        suite = Suite(url)
        body = suite.client.body(prompt="12+34=", max_tokens=4, temperature=0)
        assert suite.client.post("/v1/completions", body).status == 200
        assert len(list(suite.client.stream("/v1/completions", {**body, "stream": True}))) > 1
        assert suite.every_answer.answers == 2


def test_checks_of_every_answer_are_the_last_of_their_kind() -> None:
    marks = [mark for one in EVERY.values() for mark in vars(one.run)["pytestmark"] if mark.name == "check"]
    assert [mark.kwargs.get("last") for mark in marks] == [True] * len(EVERY)
