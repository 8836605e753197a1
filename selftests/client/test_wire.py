"""The client against the stand-in: right answers as they are, every fault as a CheckFailed that says what was asked."""

from __future__ import annotations

import math
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hallmark.client.asking import together
from hallmark.client.errors import ConnectionLost, StreamBroken, StreamedError, StreamTruncated
from hallmark.client.strict_json import read_json
from hallmark.client.wire import WireClient
from hallmark.core.errors import CheckFailed
from hallmark.serving.ports import free_port
from selftests.faulty import Faulty, running

PATH = "/v1/completions"


@pytest.fixture(scope="module")
def clean() -> Iterator[Faulty]:
    with running() as server:
        yield server


@pytest.fixture
def client(clean: Faulty) -> Iterator[WireClient]:
    with WireClient(clean.base_url, clean.model) as made:
        yield made


def test_get_and_post(client: WireClient) -> None:
    assert client.get("/v1/models").require().json()["data"][0]["id"] == client.model
    answer = client.post(PATH, client.body(prompt="12+30=", temperature=0))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["choices"][0]["text"] == "42"
    assert answer.elapsed_s > 0


def test_streamed_text_is_the_text(client: WireClient) -> None:
    bodies = list(client.stream(PATH, client.body(prompt="12+30=", temperature=0, stream=True)))
    assert "".join(c["text"] for b in bodies for c in b["choices"]) == "42"


def test_wrong_things_can_be_sent_and_are_shown(client: WireClient) -> None:
    assert client.post(PATH, content=b"{nope").status == 400
    assert client.post(PATH, content=b"\xff'\\").status == 400
    assert client.post(PATH, client.body(prompt="x", temperature=math.nan)).status == 400
    assert client.get(PATH).status == 405


def test_an_unwanted_status_names_method_path_and_body(client: WireClient) -> None:
    with pytest.raises(CheckFailed, match=r"POST /v1/completions answered 400 instead of 200: .*missing"):
        client.post(PATH, {}).require()
    with pytest.raises(CheckFailed, match="400 instead of 200"):
        list(client.stream(PATH, {"prompt": None}))


def test_a_body_that_is_no_json_fails_when_it_is_read(client: WireClient) -> None:
    with pytest.raises(CheckFailed, match="not JSON"):
        client.get("/metrics").json()


def test_an_answer_that_is_not_streamed_is_no_stream(client: WireClient) -> None:
    with pytest.raises(StreamBroken, match="content-type"):
        list(client.stream(PATH, client.body(prompt="1+1=")))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("truncate-stream", StreamTruncated),
        ("truncate-stream=abort", ConnectionLost),
        ("sse-error", StreamedError),
        ("die-after=0", ConnectionLost),
    ],
)
def test_each_fault_of_a_stream_has_its_error(fault: str, error: type[Exception]) -> None:
    with running(fault) as server, WireClient(server.base_url, server.model) as client, pytest.raises(error):
        list(client.stream(PATH, client.body(prompt="repeat: a long enough text", stream=True)))


def test_a_server_that_is_not_there_or_hangs_is_a_lost_connection() -> None:
    with WireClient(f"http://127.0.0.1:{free_port('127.0.0.1')}") as client, pytest.raises(ConnectionLost, match="GET /health"):
        client.get("/health")
    lost = pytest.raises(ConnectionLost, match="POST /v1/completions: no answer in time")
    with running("stuck") as server, WireClient(server.base_url, timeout_s=0.2) as client, lost:
        client.post(PATH, {"prompt": "x"})


def test_a_dropped_stream_stops_the_server_s_work() -> None:
    with running(itl_ms=1, max_model_len=100000) as server, WireClient(server.base_url, server.model) as client:
        body = client.body(prompt="x", max_tokens=90000, ignore_eos=True, stream=True)
        with closing(client.stream(PATH, body)) as bodies:
            next(bodies)
        deadline = time.monotonic() + 5
        while "num_requests_running 0" not in client.get("/metrics").body_text:
            assert time.monotonic() < deadline


def test_the_key_is_sent_and_never_shown() -> None:
    key = "open-sesame-1234"
    with running(api_key=key) as server:
        with WireClient(server.base_url) as stranger:
            assert stranger.get("/v1/models").status == 401
        with WireClient(server.base_url, api_key=key) as client:
            answer = client.post(PATH, {"prompt": f"{key} 1+1="})
            assert answer.status == 200
            assert key not in answer.curl() + repr(answer.sent)
            assert '-H "authorization: Bearer $API_KEY"' in answer.curl()


def test_the_curl_line_does_the_same_again(client: WireClient) -> None:
    answer = client.post(PATH, client.body(prompt="it's 20+22=", temperature=0))
    words = shlex.split(answer.curl())
    assert words[:4] == ["curl", "-sS", "-X", "POST"]
    again = client.post(PATH, content=words[words.index("--data-binary") + 1])
    assert again.json()["choices"] == answer.json()["choices"]
    odd = client.post(PATH, content=b"\xff'\\\n").curl().split("--data-binary ")[1]
    assert subprocess.check_output(["bash", "-c", f"printf %s {odd}"]) == b"\xff'\\\n"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "[" * 100_000])
def test_what_only_python_reads_is_no_json(value: str) -> None:
    with pytest.raises(ValueError):
        read_json(f'{{"completion_tokens": {value}}}')
    assert read_json('{"completion_tokens": 7, "NaN": null}') == {"completion_tokens": 7, "NaN": None}


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_sends_nan_is_told(stream: bool) -> None:
    with running("usage-is=NaN") as server, WireClient(server.base_url, server.model) as client:
        body = client.body(prompt="a", max_tokens=2, stream_options={"include_usage": True})
        with pytest.raises(CheckFailed, match="NaN is no JSON value"):
            list(client.stream(PATH, body | {"stream": True})) if stream else client.post(
                PATH, body | {"stream_options": None}
            ).json()


def test_an_answer_that_is_not_utf8_is_told(client: WireClient) -> None:
    """Read with a mark in its place, a broken character is equal to itself wherever it comes from."""
    body = client.body(prompt="12+30=", temperature=0)
    assert client.post(PATH, body).json()
    with running("latin-1") as server, WireClient(server.base_url, server.model) as other:
        answer = other.post(PATH, body)
    with pytest.raises(CheckFailed, match="not UTF-8"):
        answer.json()


def test_no_two_requests_share_a_connection_however_many_there_are_at_once() -> None:
    """A pool that closes what another thread was just handed leaves that one waiting until its deadline."""
    connections = []

    class Keeping(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            connections.append(self.client_address)

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 512

    asked = 1000
    with Server(("127.0.0.1", 0), Keeping) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with WireClient(f"http://127.0.0.1:{server.server_port}") as client:
            answers = together([lambda: client.get("/kept") for _ in range(asked)], at_once=64)
        server.shutdown()
    assert {answer.status for answer in answers} == {200}
    assert len(connections) == asked
