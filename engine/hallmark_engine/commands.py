"""Settings -> the commands of the container: vLLM behind the loopback, the gateway before it, each with its own secrets."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from hallmark_engine.settings import Settings

ENGINE_PYTHON = "/opt/venv/bin/python3"
GATEWAY_PYTHON = "/opt/gateway/bin/python3"
GATEWAY_LIBRARY = "/opt/gateway/lib"
PASSED_PATHS = "/metrics,/tokenize,/detokenize,/ping,/load,/openapi.json"
"""What vLLM serves beside /v1 and is passed on; with a token where one is demanded."""
_CLIENT_SECRETS = ("JWT_SECRET", "JWT_SECRET_FILE", "GATEWAY_API_KEYS", "GATEWAY_API_KEYS_FILE", "VLLM_API_KEY")
_HUB_SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


@dataclass(frozen=True)
class Command:
    """One process of the container."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]


def engine(settings: Settings, *, dtype: str, environ: Mapping[str, str], key: str) -> Command:
    """vLLM on the loopback; `key` is what it demands, empty for none."""
    argv = [ENGINE_PYTHON, "-m", "vllm.entrypoints.openai.api_server"]
    argv += ["--model", settings.model, "--served-model-name", settings.served_name]
    argv += ["--host", "127.0.0.1", "--port", str(settings.engine_port), "--dtype", dtype]
    argv += ["--max-model-len", str(settings.max_model_len), "--tensor-parallel-size", str(settings.tensor_parallel)]
    # On a CPU it is the share of the memory node, unless VLLM_CPU_KVCACHE_SPACE says how much.
    argv += ["--gpu-memory-utilization", f"{settings.gpu_memory_utilization:g}"]
    env = {name: value for name, value in environ.items() if name not in (*_CLIENT_SECRETS, "PUBLIC_KEY")}
    if key:
        env["VLLM_API_KEY"] = key
    if not settings.hf_token:
        env.pop("HF_TOKEN", None)
    return Command("vLLM", (*argv, *settings.passed_on), env)


def gateway(settings: Settings, *, environ: Mapping[str, str], key: str) -> Command:
    """The gateway on PORT; a key that a client would have shown to vLLM is one that it takes."""
    env = {name: value for name, value in environ.items() if name not in (*_HUB_SECRETS, "VLLM_API_KEY", "PUBLIC_KEY")}
    keys = [environ.get("GATEWAY_API_KEYS", ""), environ.get("VLLM_API_KEY", "")]
    env |= {
        "HOST": settings.host,
        "PORT": str(settings.port),
        "ENGINE_URL": f"http://127.0.0.1:{settings.engine_port}",
        "MODEL_ID": settings.served_name,
        "BUILD_SHA": settings.build_sha,
        "BUILD_TIME": settings.build_time,
        "GATEWAY_EXTRA_PATHS": environ.get("GATEWAY_EXTRA_PATHS", PASSED_PATHS),
        "STOP_GRACE_S": str(settings.stop_grace_s),
        "PYTHONPATH": GATEWAY_LIBRARY,
    }
    if joined := ",".join(filter(None, keys)):
        env["GATEWAY_API_KEYS"] = joined
    if key:
        env["ENGINE_API_KEY"] = key
    return Command("gateway", (GATEWAY_PYTHON, "-m", "hallmark_services.gateway"), env)


def engine_key(environ: Mapping[str, str]) -> str:
    """A key for the way from the gateway to vLLM, new for each start, where clients must show one; else empty."""
    return secrets.token_urlsafe(32) if any(environ.get(name) for name in _CLIENT_SECRETS) else ""
