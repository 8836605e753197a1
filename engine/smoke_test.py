"""The smoke test of an engine: standard library only; `smoke_test.sh` says how to call it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from hallmark_engine import troubles

_POLL_S = 1.0
_TELL_EVERY_S = 15.0
Answer = tuple[int, Any]


class Failed(Exception):
    """What did not answer as it should."""


class Engine:
    """The engine at a URL, and its container where there is one here."""

    def __init__(self, url: str, container: str, key: str) -> None:
        self._address = urlsplit(url if "//" in url else f"http://{url}")
        self._container = container
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def ask(self, path: str, body: object = None, *, timeout_s: float = 10) -> Answer:
        """Status and JSON (or text) of one answer; OSError or HTTPException where there is none."""
        connection = http.client.HTTPConnection(
            self._address.hostname or "127.0.0.1", self._address.port or 80, timeout=timeout_s
        )
        try:
            data = None if body is None else json.dumps(body)
            headers = self._headers | ({"Content-Type": "application/json"} if data else {})
            connection.request("GET" if data is None else "POST", path, data, headers)
            answer = connection.getresponse()
            raw = answer.read().decode("utf-8", "replace")
        finally:
            connection.close()
        try:
            return answer.status, json.loads(raw)
        except ValueError:
            return answer.status, raw[:200]

    def _docker(self, *arguments: str) -> str:
        try:
            ended = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.SubprocessError):
            return ""
        return (ended.stdout + ended.stderr) if ended.returncode == 0 else ""

    def state(self) -> dict[str, Any]:
        """The container's state as Docker tells it; empty where there is none of that name."""
        text = self._docker("inspect", "-f", "{{json .State}}", self._container)
        return json.loads(text) if text else {}

    def log(self) -> list[str]:
        return self._docker("logs", "--tail", "400", self._container).splitlines()


def require_container(engine: Engine) -> None:
    """Failed where the URL is this machine's own and nothing was started that could answer there."""
    if not engine.state():
        raise Failed("there is no such container here: start one (run_image.sh, compose up), set NAME, or give a URL")


def wait(engine: Engine, timeout_s: float, say: Callable[[str], None]) -> None:
    """Until /healthz answers 200; Failed when the time is over or the container is gone, naming what its log shows."""
    began = told_at = time.monotonic()
    why = "not asked yet"
    while time.monotonic() - began < timeout_s:
        try:
            status, body = engine.ask("/healthz")
            if status == 200:
                return
            why = f"/healthz answers {status} {json.dumps(body)[:120]}"
        except (OSError, http.client.HTTPException) as exc:
            why = f"{type(exc).__name__}: {exc}"
        state = engine.state()
        if state and state.get("Status") != "running":
            killed = " (out of memory)" if state.get("OOMKilled") else ""
            raise Failed(f"the container has ended with exit code {state.get('ExitCode')}{killed}")
        if time.monotonic() - told_at > _TELL_EVERY_S:
            told_at = time.monotonic()
            last = next((line for line in reversed(engine.log()) if line.startswith("engine: ")), "")
            say(f"waiting for {told_at - began:.0f} s: {why}; {last or 'a first start downloads the weights'}")
        time.sleep(_POLL_S)
    raise Failed(f"not healthy after {timeout_s:.0f} s: {why}")


def check(engine: Engine, say: Callable[[str], None]) -> None:
    """Every endpoint once; Failed at the first that does not answer as it should."""
    for path in ("/livez", "/healthz", "/version", "/v1/models"):
        status, body = engine.ask(path)
        say(f"{path}: {status} {json.dumps(body)[:160]}")
        if status != 200:
            hint = " - set API_KEY" if status == 401 else ""
            raise Failed(f"{path} answers {status}{hint}")
    model = body["data"][0]["id"]
    question = {"model": model, "messages": [{"role": "user", "content": "12+34="}], "max_tokens": 8, "temperature": 0}
    status, body = engine.ask("/v1/chat/completions", question, timeout_s=120)
    say(f"/v1/chat/completions: {status} {json.dumps(body)[:240]}")
    if status != 200 or not body["usage"]["completion_tokens"]:
        raise Failed(f"the chat completion answers {status}")


def main(arguments: Sequence[str]) -> int:
    environ = os.environ
    url = arguments[0] if arguments else f"http://127.0.0.1:{environ.get('PORT', '8000')}"
    engine = Engine(url, environ.get("NAME", "hallmark-engine"), environ.get("API_KEY", ""))

    def say(line: str) -> None:
        print(f"smoke_test: {line}", flush=True)

    try:
        if not arguments:
            require_container(engine)
        wait(engine, float(environ.get("TIMEOUT_S", "1800")), say)
        check(engine, say)
    except Failed as exc:
        say(f"FAILED: {exc}")
        for trouble in troubles.named(engine.log()):
            say(str(trouble))
        return 1
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as exc:
        say(f"FAILED: {type(exc).__name__}: {exc}")
        return 1
    say(f"passed: {url}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
