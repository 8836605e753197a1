"""A real vLLM that serves hallmark-tiny on the CPU."""

from __future__ import annotations

import os
from pathlib import Path

import httpx

from hallmark.core.process import KeptProcess
from hallmark.serving.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
MODEL = "hallmark-tiny"
ARGUMENTS = (
    "--dtype float32 --enforce-eager --max-model-len 512 --max-num-seqs 64 --enable-auto-tool-choice --tool-call-parser hermes"
)


class Vllm:
    """A real engine that runs on the interpreter `python`, held by a keeper."""

    def __init__(self, folder: Path, python: str, *, port: int = 0) -> None:
        self.port = port or free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = folder / "vllm.log"
        env = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        env |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp")}
        weights = str(ROOT / "fixtures" / "hallmark_tiny")
        entry = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", weights]
        argv = [*entry, "--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(self.port), *ARGUMENTS.split()]
        self.process = KeptProcess(argv, env=env, log_path=self.log_path)

    def metric(self, name: str) -> float:
        lines = httpx.get(self.url + "/metrics", trust_env=False).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"vllm:{name}{{"))
