"""A real vLLM that serves hallmark-tiny on the CPU."""

from __future__ import annotations

import os
from pathlib import Path

import httpx

from hallmark.core.process import KeptProcess, tail
from hallmark.serving.ports import free_port
from selftests.core.polling import comes_true

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "fixtures" / "hallmark_tiny"
MODEL = "hallmark-tiny"
ARGUMENTS = (
    "--dtype float32 --enforce-eager --max-model-len 512 --max-num-seqs 64 --enable-auto-tool-choice --tool-call-parser hermes"
)


class Vllm:
    """A real engine that runs on the interpreter `python`, held by a keeper."""

    def __init__(self, folder: Path, python: str, *, port: int = 0, weights: Path = WEIGHTS) -> None:
        self.port = port or free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = folder / "vllm.log"
        env = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        env |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp")}
        entry = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(weights)]
        self.argv = [*entry, "--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(self.port), *ARGUMENTS.split()]
        self.process = KeptProcess(self.argv, env=env, log_path=self.log_path)

    def require_healthy(self) -> None:
        """Wait until it is ready; AssertionError with its last words where it is not within minutes."""
        assert comes_true(lambda: self.process.ended.is_set() or self._is_healthy(), within_s=300), tail(self.log_path)
        assert not self.process.ended.is_set(), tail(self.log_path)

    def _is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def metric(self, name: str) -> float:
        lines = httpx.get(self.url + "/metrics", trust_env=False).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"vllm:{name}{{"))
