"""What a server tells of itself beside a point: recorded expositions with other numbers, and servers that tell nothing."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.perf.server_series import ServerReading, ServerSeries, observed
from selftests.core.polling import comes_true
from selftests.perf.test_judging import a_result

EXPOSITIONS = Path(__file__).resolve().parents[1] / "sidecar" / "expositions"
VLLM = (EXPOSITIONS / "vllm_0_32.txt").read_text(encoding="utf-8")


def told(text: str, **values: float) -> str:
    """The exposition with other values of series of vLLM."""
    for name, value in values.items():
        text, count = re.subn(rf"^(vllm:{name}(?:{{.*?}})?) .*$", rf"\1 {value}", text, flags=re.MULTILINE)
        assert count, name
    return text


class Telling:
    """A server that answers /metrics with one text after the other, the last one again and again."""

    def __init__(self, *texts: str, status: int = 200) -> None:
        self.asked = 0
        self.keys: set[str | None] = set()
        telling = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = texts[min(telling.asked, len(texts) - 1)].encode()
                telling.asked += 1
                telling.keys.add(self.headers.get("Authorization"))
                self.send_response(status if self.path == "/metrics" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def telling(*texts: str, status: int = 200) -> Iterator[Telling]:
    server = Telling(*texts, status=status)
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.server.shutdown()
        server.server.server_close()
        thread.join()


def seen(*texts: str) -> dict[str, Evidence]:
    """What is told of a window in which the server answers with these; the last one once it is over."""
    with telling(*texts) as server:
        with ServerSeries(server.url, every_s=0.01) as series:
            comes_true(lambda: server.asked >= len(texts) - 1, within_s=20)
        assert len(series.readings) >= len(texts)
    return {evidence.name: evidence for evidence in series.evidence(a_result(2))}


def test_the_most_of_a_window_and_what_was_counted_in_it_is_told() -> None:
    busy = told(VLLM, num_requests_running=6, num_requests_waiting=3, kv_cache_usage_perc=0.75)
    after = told(VLLM, prompt_tokens_total=136, prefix_cache_hits_total=25, num_preemptions_total=0)
    found = seen(told(VLLM, prefix_cache_hits_total=0), busy, after)
    assert {name: evidence.value for name, evidence in found.items()} == {
        "server_running_max": 6,
        "server_waiting_max": 3,
        "server_cache_share_max": 0.75,
        "server_preemptions": 0,
        "server_cached_share": 0.25,
    }
    assert not found["server_preemptions"].reason
    assert not found["server_waiting_max"].reason
    assert {evidence.verdict for evidence in found.values()} == {Verdict.PASS}


def test_preemptions_and_a_queue_that_outlasts_the_window_are_told_in_words() -> None:
    found = seen(VLLM, told(VLLM, num_preemptions_total=4, num_requests_waiting=2))
    assert found["server_preemptions"].value == 4
    assert "set aside" in found["server_preemptions"].reason
    assert "2 requests still waited" in found["server_waiting_max"].reason


def test_an_engine_that_tells_late_is_not_said_to_have_a_queue_left() -> None:
    reading = {"cache_share": None, "preemptions": None, "prompt_tokens": 0.0, "cached_tokens": None}
    readings = [ServerReading(at=float(at), running=1, waiting=5, **reading) for at in range(2)]
    assert "still waited" in observed(readings, late=False)[1].reason
    assert [(one.name, one.value, one.reason) for one in observed(readings, late=True)] == [
        ("server_running_max", 1, ""),
        ("server_waiting_max", 5, ""),
    ]


def test_of_several_replicas_the_requests_are_summed_and_the_fullest_cache_counts() -> None:
    lines = [line for line in VLLM.splitlines() if re.match(r"vllm:(kv_cache_usage_perc|num_requests_running)\{", line)]
    assert len(lines) == 2
    second = [re.sub(r" \S+$", " 0.5", line.replace('engine="0"', 'engine="1"')) for line in lines]
    both = told(VLLM, num_requests_running=2, kv_cache_usage_perc=0.25) + "\n".join(second) + "\n"
    found = seen(VLLM, both, VLLM)
    assert (found["server_running_max"].value, found["server_cache_share_max"].value) == (2.5, 0.5)


@pytest.mark.parametrize("file", ["vllm_0_6.txt", "vllm_0_10.txt", "sglang.txt", "sglang_older.txt"])
def test_other_versions_and_engines_are_read_too(file: str) -> None:
    text = (EXPOSITIONS / file).read_text(encoding="utf-8")
    found = seen(text, text)
    assert {"server_running_max", "server_waiting_max", "server_cache_share_max"} <= set(found)


def test_a_key_is_shown_to_a_server_that_asks_for_one() -> None:
    with telling(VLLM) as server, ServerSeries(server.url, api_key="open-sesame"):
        pass
    assert server.keys == {"Bearer open-sesame"}


@pytest.mark.parametrize(
    ("text", "status", "why"),
    [("not found", 404, "answers HTTP 404"), ("python_gc_objects_collected_total 3\n", 200, "none of the counters")],
)
def test_a_server_that_tells_nothing_known_is_asked_once_and_it_is_said(text: str, status: int, why: str) -> None:
    with telling(text, status=status) as server, ServerSeries(server.url, every_s=0.001) as series:
        pass
    assert (server.asked, series.readings) == (1, [])
    (evidence,) = series.evidence(a_result(1))
    assert (evidence.value, evidence.n) == ("absent", 0)
    assert why in evidence.reason


def test_a_server_that_is_gone_ends_nothing() -> None:
    with telling(VLLM) as server:
        series = ServerSeries(server.url, every_s=0.01)
        series.__enter__()
    series.__exit__(None, None, None)
    assert len(series.readings) >= 1
    with ServerSeries(server.url) as none:
        pass
    assert "cannot be read" in none.evidence(a_result(1))[0].reason
