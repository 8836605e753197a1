"""The routes that engines serve, and which of them a server that demands a key may leave open. Data, and pure functions.

Read from the sources of vLLM 0.32.0, SGLang 0.5.23 and llama.cpp's server (as of llama-cpp-python 0.3.36); those of Text
Generation Inference are named from its documentation, unread. Many stand in no `/openapi.json`, and some are there only
where a flag or a variable turned them on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

OPEN: Mapping[str, str] = {
    **dict.fromkeys(
        ["/health", "/v1/health", "/healthz", "/livez", "/ready", "/readyz", "/ping", "/health_generate"],
        "a probe and a load balancer have no key, and learn no more than that the server is well",
    ),
    "/version": "it tells which engine runs, which is read before a key is at hand",
    "/metrics": "a scraper of Prometheus often has no key; it tells counts and times, nothing that was asked or answered",
    **dict.fromkeys(
        ["/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/api-doc/openapi.json"], "it describes the API"
    ),
}
"""Path -> why everybody may read it."""


class Use(StrEnum):
    RUNS = "runs the model, or a part of it"
    CHANGES = "changes the server"
    TELLS = "tells what the server is or does"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    method: str
    path: str
    use: Use

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


_GENERATING = """
/v1/completions /v1/chat/completions /v1/messages /invocations /vertex_generate /v1/chat/completions/batch
/v1/systemone /v1/decisions /inference/v1/generate /v1/completions/render /v1/chat/completions/render /v1/messages/render
/v1/messages/count_tokens /cohere/v2/chat /cohere/v2/chat/render /generative_scoring
/generate /generate_stream /generate_from_file /
/completions /chat/completions /completion /infill /api/generate /api/chat /apply-template /chat_tokenize
/chat/completions/input_tokens /v1/chat/completions/input_tokens /tokenize /v1/tokenize
"""
_REASONING = "/v1/responses /responses /v1/responses/render /responses/input_tokens /v1/responses/input_tokens"
_EMBEDDING = """
/v1/embeddings /embeddings /embedding /v2/embed /pooling /classify /v1/classify /encode /score /v1/score
/rerank /v1/rerank /v2/rerank /reranking /v1/reranking /v1/audio/transcriptions /v1/audio/translations /audio/transcriptions
/detokenize /v1/detokenize /v1/completions/derender /v1/chat/completions/derender
/parse_function_call /separate_reasoning
"""
# What puts to sleep stands before what wakes: should a server be so open that it obeys, the walk itself puts it right.
_CHANGING = """
/v1/load_lora_adapter /v1/unload_lora_adapter /load_lora_adapter /unload_lora_adapter /load_lora_adapter_from_tensors /adapters
/lora-adapters /models /models/load /models/unload /props /slots/0 /tools /cors-proxy /v1/chat/completions/control
/sleep /release_kv_cache_memory /wake_up /release_memory_occupation /resume_memory_occupation
/pause /resume /pause_generation /continue_generation /start_profile /stop_profile
/start_expert_distribution_record /stop_expert_distribution_record /dump_expert_distribution_record
/reset_prefix_cache /reset_mm_cache /reset_encoder_cache /flush_cache /freeze_gc /slow_down
/hicache/storage-backend/clear /hicache/storage-backend
/collective_rpc /abort_requests /inference/v1/abort_requests /abort_request /open_session /close_session
/init_weight_transfer_engine /start_weight_update /start_draft_weight_update /update_weights /finish_weight_update
/update_weight_version /weight_checker /weights_checker /shutdown_weight_transfer_engine
/begin_weight_update /end_weight_update /update_weights_from_disk /update_weights_from_tensor /update_weights_from_ipc
/update_weights_from_distributed /init_weights_update_group /destroy_weights_update_group
/init_weights_send_group_for_remote_instance /send_weights_to_remote_instance
/scale_elastic_ep /is_scaling_elastic_ep /fault_tolerance/apply /pd_role_switch /set_internal_state /set_trace_level
/configure_logging /add_external_corpus /remove_external_corpus
"""
DEVELOPMENT = (
    *("/sleep", "/wake_up", "/is_sleeping", "/reset_prefix_cache", "/reset_mm_cache", "/reset_encoder_cache", "/collective_rpc"),
    *("/start_profile", "/stop_profile", "/init_weight_transfer_engine", "/update_weights", "/update_weights_from_disk"),
    *("/update_weights_from_tensor", "/release_memory_occupation", "/resume_memory_occupation", "/abort_requests"),
    *("/set_internal_state", "/configure_logging", "/debug", "/debug/pprof", "/__debug__"),
)
"""What is for those who build an engine and not for those who ask it: each works a lever, or tells what only they may know."""
_TELLING = """
/v1/models /models /server_info /get_server_info /model_info /get_model_info /info /tokenizer_info /weight_info
/get_weights_by_name /slots /props /lora-adapters /tools /cors-proxy /is_sleeping /is_paused /get_world_size
/fault_tolerance/status /kv_event_sources /load /get_load /api/tags /list_external_corpora /v1/stream /get_transfer_engine_info
"""
_BY_GET = "/flush_cache /start_profile /stop_profile /release_memory_occupation /resume_memory_occupation /freeze_gc"
"""What SGLang changes by GET, too."""

_GENERATE = {"prompt": "a", "messages": [{"role": "user", "content": "a"}], "max_tokens": 1, "temperature": 0}
_OTHERS = {
    "text": "a",
    "inputs": "a",
    "sampling_params": {"max_new_tokens": 1},
    "parameters": {"max_new_tokens": 1},
    "options": {"num_predict": 1},
    "n_predict": 1,
}
"""The same in the words of SGLang, Text Generation Inference, Ollama and llama.cpp."""
_EMBED = {"input": "a", "query": "a", "documents": ["a"], "text_1": "a", "text_2": "a", "tokens": [1], "text": "a"}
_NAMES = re.compile(r"\{[^}]*\}")


def known_routes() -> Iterator[Route]:
    """What engines serve, whether a server says so or not."""
    for path in f"{_GENERATING} {_REASONING} {_EMBEDDING}".split():
        yield Route(method="POST", path=path, use=Use.RUNS)
    for path in _CHANGING.split():
        yield Route(method="POST", path=path, use=Use.CHANGES)
    for path in _BY_GET.split():
        yield Route(method="GET", path=path, use=Use.CHANGES)
    for path in _TELLING.split():
        yield Route(method="GET", path=path, use=Use.TELLS)


def listed_routes(document: Any) -> Iterator[Route]:
    """What a server's OpenAPI document lists, but for what may be open; nothing where it is none."""
    paths = document.get("paths") if isinstance(document, Mapping) else None
    for template, operations in paths.items() if isinstance(paths, Mapping) else ():
        path = _NAMES.sub("1", str(template))
        if path in OPEN or not isinstance(operations, Mapping):
            continue
        for method in operations:
            if method in ("get", "post", "put", "patch", "delete"):
                yield Route(method=method.upper(), path=path, use=Use.TELLS if method == "get" else Use.RUNS)


def routes(document: Any) -> tuple[Route, ...]:
    """Both together, each once; what is known of a route counts more than that it is listed."""
    found: dict[tuple[str, str], Route] = {}
    for route in (*known_routes(), *listed_routes(document)):
        found.setdefault((route.method, route.path), route)
    return tuple(found.values())


def body_for(route: Route, model: str) -> dict[str, Any] | None:
    """A body by which the route would do the least that shows it open; None for one that takes none.

    What changes the server gets an empty one, which most of these routes can do nothing with.
    """
    if route.method == "GET":
        return None
    if route.use is Use.CHANGES:
        return {}
    if route.path in _REASONING.split():
        return {"model": model, "input": "a", "max_output_tokens": 16}
    if route.path in _EMBEDDING.split():
        return {"model": model, **_EMBED}
    return {"model": model, **_GENERATE, **({} if route.path.startswith("/v1/") else _OTHERS)}
