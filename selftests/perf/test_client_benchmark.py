"""benchmarks/client: its server's log can be believed, and its table says what was measured."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.client import tables
from benchmarks.client.measuring import Answer, Measured
from benchmarks.client.tables import BIASES, FLAT, OURS, PACED, SCHEDULED, Runs, lags_ms
from benchmarks.client.tools import TOOLS, Report
from hallmark.client.sse import SseParser

ROOT = Path(__file__).resolve().parents[2]
TTFT_NS, GAP_NS = 3_000_000, 2_000_000
ASKED = {"stream": True, "stream_options": {"include_usage": True}}


@contextmanager
def served(log: Path, *options: str) -> Iterator[http.client.HTTPConnection]:
    command = [sys.executable, "-m", "benchmarks.client.server", str(log), "--ttft-ms=3", "--gap-ms=2", *options]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        connection = http.client.HTTPConnection("127.0.0.1", int(process.stdout.readline()), timeout=60)
        try:
            yield connection
        finally:
            connection.close()
            process.stdin.close()


def asked(connection: http.client.HTTPConnection, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a streamed answer, up to [DONE]."""
    connection.request("POST", path, json.dumps({**ASKED, **body}).encode())
    events = [event.data for event in SseParser().feed(connection.getresponse().read())]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/completions", {"prompt": [1, 2, 3], "max_tokens": 5}, {"text": "a"}),
        ("/v1/chat/completions", {"messages": [{}, {}, {}], "max_completion_tokens": 5}, {"delta": {"content": "a"}}),
    ],
)
def test_the_log_has_when_a_request_came_and_when_each_token_left(
    path: str, body: dict[str, Any], words: dict[str, Any], tmp_path: Path
) -> None:
    with served(tmp_path / "log") as connection:
        began = time.perf_counter_ns()
        first = asked(connection, path, body)
        between = time.perf_counter_ns()
        asked(connection, path, body)
        ended = time.perf_counter_ns()
    one, other = (json.loads(line) for line in (tmp_path / "log").read_text().splitlines())
    assert [words.items() <= event["choices"][0].items() for event in first[:-1]] == [True] * 5
    assert first[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    assert began < one["arrived"] < one["sent"][0] < one["sent"][-1] < between < other["arrived"] < other["sent"][-1] < ended
    for answer in (one, other):
        early = [answer["arrived"] + TTFT_NS + place * GAP_NS - moment for place, moment in enumerate(answer["sent"])]
        assert len(early) == 5
        assert max(early) <= 0  # late it may be on a busy machine, and says so


def test_flat_out_it_sends_as_many_tokens_as_are_asked_for(tmp_path: Path) -> None:
    with served(tmp_path / "log", "--flat") as connection:
        events = asked(connection, "/v1/completions", {"prompt": [1], "max_tokens": 2_000})
    assert [len(event["choices"]) for event in events] == [1] * 2_000 + [0]
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert json.loads(line)["arrived"] < json.loads(line)["sent"][0]


def test_it_names_its_model(tmp_path: Path) -> None:
    with served(tmp_path / "log") as connection:
        connection.request("GET", "/v1/models")
        assert json.load(connection.getresponse())["data"][0]["id"] == "stand-in"


# -- the table


def measured(*, off: float, tokens_per_s: float, late_ms: float) -> Measured:
    """A run against a server with TTFT 50 ms and TPOT 10 ms; `off` as a share."""
    log = tuple(Answer(arrived=arrived, sent=(arrived + 50_000_000, arrived + 60_000_000)) for arrived in (10**9, 2 * 10**9))
    said = Report(
        ttft_mean=50 * (1 + off),
        ttft_p99=50 * (1 + off),
        tpot_mean=10 * (1 + off),
        tpot_p99=10 * (1 + off),
        tokens_per_s=tokens_per_s,
        counted=2,
        # The later one first: they are brought into the order in which they were sent.
        rows=((2 - late_ms / 1000, 2.0, late_ms / 1000), (1 - late_ms / 1000, 1.0, late_ms / 1000)),
    )
    return Measured(osl=2, report=said, log=log, others=0.0)


def test_bias_and_lag_are_told_by_the_log() -> None:
    one = measured(off=0.1, tokens_per_s=1, late_ms=0.5)
    assert [bias(one) for bias in BIASES.values()] == pytest.approx([0.1] * 4)
    assert lags_ms(one) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(
    ("off", "tokens_per_s", "late_ms", "missed"),
    [(0.009, 1_000_000, 0.9, 0), (0.011, 1_000_000, 0.9, 4), (-0.011, 1_000_000, 0.9, 4), (0, 999_000, 0.9, 1), (0, 2e6, 1.1, 2)],
)
def test_a_goal_that_is_missed_is_told(
    off: float, tokens_per_s: float, late_ms: float, missed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    one = measured(off=off, tokens_per_s=tokens_per_s, late_ms=late_ms)
    runs = Runs(rounds={(part, OURS): [one, one] for part in (PACED, FLAT, *SCHEDULED)})
    assert tables.report(runs, ahead=False) == (1 if missed else 0)
    said = capsys.readouterr().out
    assert (said.count("| MISSED |"), said.count("| reached |")) == (missed, 7 - missed)


def test_a_tool_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    one = measured(off=0, tokens_per_s=2e6, late_ms=0)
    assert tables.report(Runs(rounds={(PACED, OURS): [one]}, missing={"guidellm": "there is none"}), ahead=False) == 1
    assert "Not measured: guidellm: there is none" in capsys.readouterr().out


def test_the_committed_table_has_every_tool_and_every_goal() -> None:
    table = (ROOT / "benchmarks" / "client" / "TABLE.md").read_text(encoding="utf-8").splitlines()
    for tool in TOOLS:
        assert len([line for line in table if line.startswith(f"| {tool} |")]) == 2, tool
    assert len([line for line in table if line.endswith(("| reached |", "| MISSED |"))]) == 7
