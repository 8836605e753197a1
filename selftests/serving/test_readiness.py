"""Ready means healthy, listing a model, and able to generate a token; everything else is named and given up in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from hallmark.core.endpoint import Endpoint
from hallmark.serving.readiness import connect, not_ready_because, wait_until_ready
from selftests.faulty import running


def waited(base_url: str, *, timeout_s: float) -> tuple[str, float, list[str]]:
    """(why it is not ready, how long it took to say so, what was said meanwhile)."""
    said: list[str] = []
    began = time.monotonic()
    endpoint = Endpoint(base_url=base_url, model="any")
    reason = wait_until_ready(endpoint, timeout_s=timeout_s, gone=lambda _: False, progress=said.append)
    return reason, time.monotonic() - began, said


def test_a_good_server_is_ready_at_once() -> None:
    with running() as server:
        assert waited(server.base_url, timeout_s=30)[0] == ""


def why_not(base_url: str) -> str:
    """One look at a server, with patience enough for a busy machine."""
    with connect(Endpoint(base_url=base_url, model="any"), timeout_s=10) as client:
        return not_ready_because(client, patience_s=10)


@pytest.mark.parametrize(
    ("fault", "why"), [("listen-but-not-healthy", "/health answers 503"), ("error-all=502", "the first token: status 502")]
)
def test_a_server_that_cannot_answer_is_not_ready(fault: str, why: str) -> None:
    with running(fault) as server:
        assert why_not(server.base_url) == why
        reason, _, said = waited(server.base_url, timeout_s=0.2)
        assert reason == said[-1] != ""


def test_a_server_that_hangs_is_not_waited_for_beyond_its_time() -> None:
    """At the first token, for which a big model may be given minutes, but never more than are left."""
    with running("stuck") as server:
        reason, took_s, _ = waited(server.base_url, timeout_s=0.2)
        assert "Timeout" in reason
        assert took_s < 8
        assert server.process.poll() is None


def test_a_process_that_is_gone_is_not_waited_for() -> None:
    endpoint = Endpoint(base_url="http://127.0.0.1:9", model="any")
    assert wait_until_ready(endpoint, timeout_s=600, gone=lambda _: True, progress=print) == "it ended"


@contextmanager
def listing(models: str) -> Iterator[str]:
    """A web server that is healthy and answers /v1/models with `models`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"" if self.path == "/health" else models.encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    "models", ["[]", '{"data": []}', '{"data": [7]}', '{"data": [{}]}', '{"data": null}', "null", "7", "<html>"]
)
def test_what_lists_no_model_is_no_model_server(models: str) -> None:
    """Something else may answer at that address; it must not end in a traceback."""
    with listing(models) as url:
        reason = why_not(url)
    assert ("lists no model" in reason) or ("JSONDecodeError" in reason)


def test_a_server_that_lists_no_model_and_answers_for_the_one_that_is_asked_for_is_ready() -> None:
    """`transformers serve` lists what is in the hub's cache; what it serves from a folder is not."""
    with running("lists-no-model") as server, connect(Endpoint(base_url=server.base_url, model=""), timeout_s=10) as client:
        assert not_ready_because(client, server.model, patience_s=10) == ""
        assert "no model, nor another" in not_ready_because(client, "another", patience_s=10)
        assert "lists no model" in not_ready_because(client, patience_s=10)
