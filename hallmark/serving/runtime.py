"""The runtime sidecar beside a server, as a process of this machine: what `runtime: true` in a spec has certified."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hallmark.core.endpoint import Endpoint
from hallmark.core.errors import LaunchError
from hallmark.core.process import KeptProcess, tail
from hallmark.serving.listener import require_own_listener
from hallmark.serving.ports import free_port
from hallmark.serving.readiness import answers

_STARTS_WITHIN_S = 60.0
_NOT_ITS = ("JWT_SECRET", "VLLM_API_KEY")
"""What other parts of a run have in the environment and would mean something else to the sidecar."""


class RuntimeSidecar:
    """A running sidecar; `base_url` is where it answers. LaunchError with the end of its log where it does not."""

    def __init__(self, engine: Endpoint, *, pod: str, roots: Sequence[Path], environ: Mapping[str, str], log_path: Path) -> None:
        port = free_port("127.0.0.1")
        self.base_url = f"http://127.0.0.1:{port}"
        self._log_path = log_path
        own = {
            "RUNTIME_ENGINE": "vllm",
            "RUNTIME_HOST": "127.0.0.1",
            "RUNTIME_PORT": str(port),
            "RUNTIME_URL": engine.base_url,
            "RUNTIME_POD": pod,
            "RUNTIME_MODEL": engine.model,
            "RUNTIME_ENGINE_API_KEY": engine.api_key,
            "RUNTIME_STATE_DIR": "none",
            "RUNTIME_DOWNLOAD_ROOTS": ",".join(map(str, roots)),
        }
        others = {name: value for name, value in environ.items() if not name.startswith("RUNTIME_") and name not in _NOT_ITS}
        self._process = KeptProcess([sys.executable, "-m", "hallmark_services.sidecar"], env=others | own, log_path=log_path)
        try:
            self._wait(Endpoint(base_url=self.base_url, model=engine.model))
            require_own_listener(self.base_url, self._process)
        except BaseException:
            self._process.stop()
            raise

    def _wait(self, own: Endpoint) -> None:
        if answers(own, "/health", timeout_s=_STARTS_WITHIN_S, gone=self._process.ended.wait):
            return
        how = "ended" if self._process.ended.is_set() else "did not answer"
        raise LaunchError(
            f"the runtime sidecar {how} before it was ready",
            where=self.base_url,
            hint=f"read {self._log_path.name}",
            log_tail=tail(self._log_path),
        )

    def stop(self) -> None:
        """End it; safe to call twice."""
        self._process.stop()
