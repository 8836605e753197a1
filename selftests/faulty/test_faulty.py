"""The stand-in does what its table of faults says, and is well-behaved without one."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from typing import Any

import httpx
import pytest

from selftests.faulty import MODEL, SERVER, Faulty, running
from selftests.faulty.faults import FAULTS, Faults
from selftests.faulty.model import Model, Sampling, decode, encode

REPEAT = [{"role": "user", "content": "repeat: héllo there, world"}]


def ask(server: Faulty, **body: Any) -> httpx.Response:
    path = "/v1/chat/completions" if "messages" in body else "/v1/completions"
    return httpx.post(server.base_url + path, json={"model": MODEL, "temperature": 0, **body}, timeout=10)


def streamed(response: httpx.Response) -> str:
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    return "".join(c.get("text", "") for e in events for c in e.get("choices", []))


def test_clean_server_knows_its_tasks() -> None:
    with running() as server:
        assert httpx.get(server.base_url + "/health").status_code == 200
        assert ask(server, prompt="12+30+8=").json()["choices"][0]["text"] == "50"
        assert ask(server, prompt=["next: 4 7 10 13 ->", "1+1="]).json()["choices"][1]["text"] == "2"
        said = ask(server, messages=REPEAT).json()
        assert said["choices"][0]["message"]["content"] == "héllo there, world"
        long = ask(server, prompt=encode("abc"), max_tokens=40, ignore_eos=True).json()["usage"]
        assert (long["prompt_tokens"], long["completion_tokens"]) == (3, 40)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"prompt": None}, 400),
        ({"prompt": 3}, 400),
        ({"prompt": "x", "max_tokens": -1}, 400),
        ({"prompt": "x", "max_tokens": 10**6}, 400),
        ({"prompt": "x", "temperature": -1}, 400),
        ({"prompt": "x", "temperature": "hot"}, 400),
        ({"prompt": "x", "model": "nobody"}, 404),
        ({"messages": [{"content": "x"}]}, 400),
    ],
)
def test_bad_requests_are_refused(clean: Faulty, body: dict[str, Any], status: int) -> None:
    response = ask(clean, **body)
    assert response.status_code == status
    assert response.json()["error"]["code"] == status


@pytest.fixture(scope="module")
def clean() -> Any:
    with running() as server:
        yield server


def test_likelihood_prefers_the_right_choice(clean: Faulty) -> None:
    def likelihood(context: str, choice: str) -> float:
        body = ask(clean, prompt=context + choice, echo=True, logprobs=1, max_tokens=1).json()
        return math.fsum(body["choices"][0]["logprobs"]["token_logprobs"][len(context) : -1])

    for context, right, wrong in (("next: 4 7 10 13 ->", " 16", " 13"), ("next: 3 5 7 9 ->", " 11", " 1")):
        assert likelihood(context, right) > likelihood(context, wrong)


def test_seeds_and_streams_repeat_themselves(clean: Faulty) -> None:
    body = {"prompt": "tell me", "temperature": 1.0, "seed": 5, "max_tokens": 20}
    assert ask(clean, **body).json()["choices"][0]["text"] == streamed(ask(clean, **body, stream=True))
    assert ask(clean, **body).json()["choices"][0]["text"] != ask(clean, **body | {"seed": 6}).json()["choices"][0]["text"]


@pytest.mark.parametrize(
    ("fault", "body", "seen"),
    [
        ("error-all", {"prompt": "1+1="}, lambda r: r.status_code == 500),
        ("truncate-stream", {"prompt": "abc", "stream": True}, lambda r: "[DONE]" not in r.text and "data:" in r.text),
        ("sse-error", {"prompt": "abc", "stream": True}, lambda r: r.status_code == 200 and '"error"' in r.text),
        ("usage-off=2", {"prompt": "1+1="}, lambda r: r.json()["usage"]["completion_tokens"] == 4),
        ("no-usage", {"prompt": "1+1="}, lambda r: "usage" not in r.json()),
        (
            "short-output",
            {"prompt": "a", "max_tokens": 8, "ignore_eos": True},
            lambda r: r.json()["usage"]["completion_tokens"] == 4,
        ),
        ("wrong-model-name", {"prompt": "1+1="}, lambda r: r.json()["model"] == "some-other-model"),
        ("no-stop", {"messages": REPEAT, "stop": ["there"]}, lambda r: "there" in r.text),
        ("no-logprobs", {"prompt": "1+1=", "logprobs": 1}, lambda r: r.json()["choices"][0]["logprobs"] is None),
        ("accepts-bad-requests", {"prompt": "x", "max_tokens": -1}, lambda r: r.status_code == 200),
        ("plain-text-errors", {"prompt": "x", "max_tokens": -1}, lambda r: r.headers["content-type"].startswith("text/plain")),
        ("stream-differs", {"prompt": "1+1=", "stream": True}, lambda r: streamed(r) == "~"),
        ("wrong-answers=1", {"prompt": "1+1="}, lambda r: r.json()["choices"][0]["text"] == "3"),
    ],
)
def test_a_fault_shows(fault: str, body: dict[str, Any], seen: Any) -> None:
    with running(fault) as server:
        assert seen(ask(server, **body))


def test_structured_output_and_its_fault(clean: Faulty) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    body = {"messages": REPEAT, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    assert json.loads(ask(clean, **body).json()["choices"][0]["message"]["content"]) == {"age": 7}
    with running("structured-ignored") as server:
        assert ask(server, **body).json()["choices"][0]["message"]["content"] == "héllo there, world"


def test_die_after_dies_in_the_middle_of_an_answer() -> None:
    with running("die-after=1") as server:
        assert ask(server, prompt="1+1=").status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            ask(server, prompt="1+1=")
        assert server.process.wait(5) == 17


def test_sigterm_ends_it_unless_ignored() -> None:
    with running() as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 0
    with running("ignore-sigterm") as server:
        server.process.send_signal(signal.SIGTERM)
        assert httpx.get(server.base_url + "/health").status_code == 200
        assert server.process.poll() is None


def test_exit_at_start_and_unknown_flags_as_a_launcher_gives_them() -> None:
    flags = ["--dtype", "bfloat16", "--enforce-eager", "--fault", "exit-at-start=9"]
    assert subprocess.run([sys.executable, str(SERVER), *flags], capture_output=True, check=False).returncode == 9


def test_faults_may_come_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_FAULTS", "wrong-version error-all=503")
    with running() as server:
        assert httpx.get(server.base_url + "/version").json() == {"version": "0.0.1"}
        assert ask(server, prompt="1+1=").status_code == 503


def test_wrong_answers_are_about_the_share_asked_for() -> None:
    model = Model(wrong_share=0.2)
    prompts = [f"{a}+{b}=" for a in range(20) for b in range(20)]
    said = [decode([*model.generate(p, Sampling(max_tokens=8, temperature=0))], skip_special=True) for p in prompts]
    wrong = sum(int(s) != eval(p[:-1]) for s, p in zip(said, prompts, strict=True))
    assert 40 <= wrong <= 120


def test_every_text_survives_its_tokens() -> None:
    for text in ("<|user|>naïve ☃\n\x00<|end|>", "plain"):
        assert decode(encode(text)) == text


def test_an_unknown_fault_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="die-after"):
        Faults.parse(["no-such-fault"])
    assert all(fault.what for fault in FAULTS.values())
