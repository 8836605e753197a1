"""A STAND-IN for an inference engine: a real HTTP server with an exposition, vLLM's LoRA calls, and faults on demand.

What it answers to LoRA calls was taken down from vLLM 0.32 (statuses, wording, plain text where all is well).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, str, bytes]
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class StandInEngine:
    """Set `metrics`, `faults` or `api_key` at any time; `seen` holds (method, path, headers, body) of every request."""

    def __init__(self, metrics: bytes = b"", content_type: str = TEXT) -> None:
        self.metrics = metrics
        self.content_type = content_type
        self.faults: dict[str, Callable[[], Answer]] = {}
        """By path: called in place of the answer; may block."""
        self.api_key = ""
        self.has_lora = True
        self.lora_root = "/v1"
        self.adapters: dict[str, str] = {}
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        """No adapter, no fault, nothing seen; whoever hangs is let go."""
        self.released.set()
        self.released = threading.Event()
        self.faults.clear()
        self.adapters.clear()
        self.seen.clear()
        self.api_key, self.has_lora, self.lora_root = "", True, "/v1"

    def asked(self, path: str) -> list[Any]:
        """The bodies of the requests to that path."""
        return [body for _, at, _, body in self.seen if at == path]

    def hangs(self) -> Answer:
        """A fault: no answer until the engine is stopped."""
        self.released.wait(30)
        return 200, TEXT, b""

    def answer(self, method: str, path: str, headers: dict[str, str], body: Any) -> Answer:
        if fault := self.faults.get(path):
            return fault()
        if path == "/metrics":
            return 200, self.content_type, self.metrics
        if path == "/health":
            return 200, TEXT, b""
        if self.api_key and headers.get("authorization") != f"Bearer {self.api_key}":
            return 401, "application/json", b'{"error":"Unauthorized"}'
        if path == "/v1/models":
            rows = [{"id": "base", "root": "/weights"}, *({"id": n, "root": p} for n, p in self.adapters.items())]
            return 200, "application/json", json.dumps({"object": "list", "data": rows}).encode()
        if method == "POST" and self.has_lora and path == self.lora_root + "/load_lora_adapter":
            return self._load(body)
        if method == "POST" and self.has_lora and path == self.lora_root + "/unload_lora_adapter":
            return self._unload(body)
        return 404, "application/json", b'{"detail":"Not Found"}'

    def _load(self, body: Any) -> Answer:
        name, path = body["lora_name"], body["lora_path"]
        if name == "base":
            return _error(400, "The lora adapter 'base' conflicts with a served base model.")
        if name in self.adapters and not body.get("load_inplace"):
            return _error(400, f"The lora adapter '{name}' has already been loaded.")
        if "absent" in path:
            return _error(404, f"Loading lora {name} failed: No adapter found for {path}")
        self.adapters[name] = path
        return 200, "", f"Success: LoRA adapter '{name}' added successfully.".encode()

    def _unload(self, body: Any) -> Answer:
        name = body["lora_name"]
        if name not in self.adapters:
            return _error(404, f"The lora adapter '{name}' cannot be found.")
        del self.adapters[name]
        return 200, "", f"Success: LoRA adapter '{name}' removed successfully.".encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = json.loads(raw) if raw else None
                engine.seen.append((self.command, self.path, headers, body))
                status, content_type, content = engine.answer(self.command, self.path, headers, body)
                self.send_response(status)
                if content_type:
                    self.send_header("Content-Type", content_type)
                if status in (301, 302, 307):
                    self.send_header("Location", engine.url + "/elsewhere")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        return Handler


def _error(status: int, message: str) -> Answer:
    said = {"error": {"message": message, "type": "BadRequestError", "param": None, "code": status}}
    return status, "application/json", json.dumps(said).encode()
