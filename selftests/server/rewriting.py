"""A proxy before a real server that plants the stand-in's faults of answers into what that server says.

A stream is read to its end before it is sent on, so nothing here is about when something comes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from selftests.faulty import error_faults, logprob_faults, response_faults, streaming_faults, usage_faults
from selftests.faulty.faults import Faults
from selftests.faulty.jobs import Job, Refused, parse_job
from selftests.faulty.wire import STREAM_HEAD, Reply, chunk, event

CONTEXT = 512
_PATIENCE_S = 60.0
_DONE = "[DONE]"


def rewritten(upstream: str, *faults: str) -> AbstractContextManager[str]:
    """The base URL of a server that answers as `upstream` does, with these faults."""
    chosen = Faults.parse(faults)
    return relayed(upstream, lambda path, asked, answer: _changed(path, asked, answer, chosen))


@contextmanager
def relayed(upstream: str, change: Callable[[str, bytes, httpx.Response], bytes]) -> Iterator[str]:
    """The base URL of a server that says what `change` makes of a request's path, its body and the answer of `upstream`."""
    client = httpx.Client(base_url=upstream, timeout=_PATIENCE_S, trust_env=False)

    class Relay(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on()

        def do_POST(self) -> None:
            self._pass_on()

        def _pass_on(self) -> None:
            asked = self.rfile.read(int(self.headers.get("content-length", "0")))
            told = {name: self.headers[name] for name in ("content-type", "x-request-id") if name in self.headers}
            answer = client.request(self.command, self.path, content=asked, headers=told)
            self.wfile.write(change(self.path, asked, answer))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the standard library
            """Nothing: what a check asked stands in its own message."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        client.close()


def _changed(path: str, asked: bytes, answer: httpx.Response, faults: Faults) -> bytes:
    """The whole answer as it is sent, head and all."""
    kind = answer.headers.get("content-type", "")
    if answer.status_code == 200 and kind.startswith("text/event-stream") and path.endswith("/completions"):
        return _stream(path, json.loads(asked), answer.text, faults)
    if not (kind.startswith("application/json") and path.startswith("/v1/")):
        return Reply(answer.status_code, answer.content, kind).whole()
    body = answer.json()
    if answer.status_code >= 400 and "error" in body:
        body = error_faults.refusal(body, faults)
    elif answer.status_code == 200 and body.get("object") == "response":
        body = response_faults.whole(body, faults)
    elif answer.status_code == 200 and "choices" in body:
        body = _answer(body, _job(path, json.loads(asked)), faults)
    return Reply.json(body, answer.status_code).whole()


def _job(path: str, asked: dict[str, Any]) -> Job | None:
    """What was asked for; None where the stand-in would not read it."""
    try:
        return parse_job(asked, chat="chat" in path, context=CONTEXT)
    except Refused:
        return None


def _answer(body: dict[str, Any], job: Job | None, faults: Faults) -> dict[str, Any]:
    if job is None:
        return body
    body = streaming_faults.whole_of(body, faults.chosen)
    for choice in body["choices"]:
        if choice.get("logprobs"):
            choice["logprobs"] = logprob_faults.told_of(choice["logprobs"], job, faults.chosen)
    return body | {"usage": _counted(body["usage"], job, faults)}


def _counted(usage: dict[str, Any], job: Job, faults: Faults) -> dict[str, Any]:
    """The tokens of each choice are not told: as if all had as many."""
    return usage_faults.counts_of(usage, job, [usage["completion_tokens"] // job.n] * job.n, faults.chosen)


def _stream(path: str, asked: dict[str, Any], text: str, faults: Faults) -> bytes:
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    bodies = [json.loads(one) for one in events if one != _DONE]
    job = _job(path, asked)
    if job is not None and all("choices" in body for body in bodies):
        sent = streaming_faults.stream_of([(bool(body["choices"]), body) for body in bodies], job, faults.chosen)
        bodies = [body | _usage_of(body, job, faults) for _, body in sent]
    ended: Sequence[bytes] = (_DONE.encode(), *streaming_faults.after_done(faults.chosen)) if _DONE in events else ()
    parts = [*map(event, bodies), *(chunk(b"data: " + one + b"\n\n") for one in ended)]
    return STREAM_HEAD + b"".join(parts) + b"0\r\n\r\n"


def _usage_of(body: dict[str, Any], job: Job, faults: Faults) -> dict[str, Any]:
    return {"usage": _counted(body["usage"], job, faults)} if body.get("usage") else {}
