"""Every known trouble is named by a line that it really shows as, no healthy line names one, and the table lists all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hallmark_engine import troubles

ROOT = Path(__file__).resolve().parents[2]
SEEN = {
    "out-of-memory": [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 14.56 GiB",
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`.",
        "Available memory on node 0 (3.1/22.9 GiB) on startup is less than desired CPU memory utilization (0.9, 20.6 GiB).",
        "cache is needed, which is larger than the available KV cache memory (1.0 GiB).",
    ],
    "gated-model": [
        "huggingface_hub.errors.GatedRepoError: 401 Client Error.",
        "OSError: You are trying to access a gated repo.",
        "huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error",
    ],
    "gpu-not-visible": [
        "RuntimeError: Failed to infer device type, please set the environment variable",
        "NVML Shared Library Not Found",
    ],
    "hub-unreachable": [
        "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached files.",
        "[Errno -3] Temporary failure in name resolution",
    ],
    "max-model-len": [
        "  Value error, User-specified max_model_len (8192) is greater than the derived max_model_len (max_position"
    ],
    "dtype-unsupported": ["ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0."],
    "tensor-parallel": ["ValueError: Total number of attention heads (24) must be divisible by tensor parallel size (7)."],
    "tokenizer-mismatch": ["AttributeError: Qwen2Tokenizer has no attribute all_special_tokens_extended"],
    "tqdm-mismatch": ["TypeError: tqdm.asyncio.tqdm_asyncio.__init__() got multiple values for keyword argument 'disable'"],
    "disk-full": ["OSError: [Errno 28] No space left on device"],
    "shm-too-small": [
        "RuntimeError: Insufficient space in /dev/shm for shared-memory allocation: 160 MiB required, 64 MiB free."
    ],
    "not-readable": ["[repo_utils.py:126] Error retrieving file list: [Errno 13] Permission denied: '/m/tasks/addition.yaml'"],
    "port-in-use": ["OSError: [Errno 98] Address already in use"],
    "wrong-architecture": ["exec /usr/bin/python3: exec format error"],
}
HEALTHY = """\
INFO 11-21 04:52:59 [launcher.py:195] Route: /v1/completions, Methods: POST
WARNING 11-21 05:06:06 [system_utils.py:255] Found ulimit of 20000 and failed to automatically increase with error
INFO:     127.0.0.1:49806 - "GET /health HTTP/1.1" 200 OK
INFO:     172.17.0.1:0 - "POST /v1/completions HTTP/1.1" 401 Unauthorized
Triton is installed, but doesn't include CPU backend. Disabling Triton.
INFO 11-21 [kv_cache_utils.py:1086] GPU KV cache size: 1,864,128 tokens
INFO:     Application startup complete.
"""


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in SEEN.items() for line in lines])
def test_a_sign_names_its_trouble(name: str, line: str) -> None:
    assert [trouble.name for trouble in troubles.named(["before", line, line, "after"])] == [name]


def test_every_trouble_that_a_log_can_show_is_shown_here() -> None:
    assert {trouble.name for trouble in troubles.LOG_TROUBLES} == set(SEEN)


def test_a_healthy_log_names_none() -> None:
    assert troubles.named(HEALTHY.splitlines()) == []


def test_a_trouble_is_one_line_that_says_what_to_do() -> None:
    for trouble in (*troubles.LOG_TROUBLES, troubles.CACHE_NOT_WRITABLE, troubles.SSHD):
        assert len(str(trouble).splitlines()) == 1
        assert str(trouble).startswith(f"TROUBLE {trouble.name}: ")


def test_the_table_lists_them_all() -> None:
    table = (ROOT / "engine" / "README.md").read_text(encoding="utf-8")
    every = (*troubles.LOG_TROUBLES, troubles.CACHE_NOT_WRITABLE, troubles.SSHD)
    assert [trouble.name for trouble in every if f"`{trouble.name}`" not in table] == []


@pytest.mark.parametrize(
    ("place", "text"), [("memory.events", "oom 2\noom_kill 2\n"), ("memory/memory.oom_control", "oom_kill 2\n")]
)
def test_the_kernels_kills_are_counted(tmp_path: Path, place: str, text: str) -> None:
    assert troubles.oom_kills(tmp_path) == 0
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(text, encoding="ascii")
    assert troubles.oom_kills(tmp_path) == 2
