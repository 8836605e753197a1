"""Against a real vLLM with hallmark-tiny: the standard metrics count what was served, and an adapter comes, works and goes.

The interpreter that has vLLM is named by HALLMARK_SERVER_PYTHON.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hallmark.core.endpoint import Endpoint
from hallmark.core.process import KeptProcess, tail
from hallmark.serving.ports import free_port
from hallmark.serving.readiness import wait_until_ready
from hallmark_services.sidecar.downloads import DownloadSettings
from selftests.sidecar.reading import PREFIX, STANDARD_SERIES, families, samples, series
from selftests.sidecar.running import ROOT, sidecar

WEIGHTS = ROOT / "fixtures" / "hallmark_tiny"
PROMPTS = [f"{a}+{b}=" for a, b in ((12, 34), (57, 23), (80, 11), (45, 46), (64, 18))]
ADD, SUBTRACT = "80", "34"
ARGUMENTS = "--dtype float32 --enforce-eager --max-model-len 512 --max-num-seqs 64 --seed 0 --enable-lora --max-lora-rank 8"

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    python = os.environ.get("HALLMARK_SERVER_PYTHON", "")
    if not python:
        pytest.skip("HALLMARK_SERVER_PYTHON names no interpreter with vLLM")
    url = f"http://127.0.0.1:{(port := free_port('127.0.0.1'))}"
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    argv = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(WEIGHTS), "--served-model-name", "hallmark-tiny"]
    env = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    }
    process = KeptProcess((*argv, "--host", "127.0.0.1", "--port", str(port), *ARGUMENTS.split()), env=env, log_path=log)
    try:
        endpoint = Endpoint(base_url=url, model="hallmark-tiny")
        why = wait_until_ready(endpoint, timeout_s=300, gone=process.ended.wait, progress=lambda _: None)
        assert not why, f"{why}\n{tail(log)}"
        yield url
    finally:
        process.stop()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models").resolve()
    shutil.copytree(WEIGHTS / "lora_subtract", folder / "volume" / "subtract")
    return folder


@pytest.fixture(scope="module")
def runtime(engine: str, models: Path) -> Iterator[httpx.Client]:
    limits = DownloadSettings(
        allowed_roots=(f"{models}/adapters",), source_roots=(f"{models}/volume",), allowed_sources=("pvc://*",)
    )
    with sidecar(engine, downloads=limits, model="hallmark-tiny") as client:
        yield client


def complete(engine: str, prompt: str, model: str = "hallmark-tiny") -> dict[str, Any]:
    body = {"model": model, "prompt": prompt, "max_tokens": 8, "temperature": 0}
    answer = httpx.post(engine + "/v1/completions", json=body, timeout=120, trust_env=False)
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()
    return read


def total(text: str, name: str) -> float:
    return sum(float(value) for value in series(text, PREFIX + name).values())


def test_the_standard_metrics_count_what_was_served(engine: str, runtime: httpx.Client) -> None:
    before = runtime.get("/metrics").text
    used = [complete(engine, prompt)["usage"]["completion_tokens"] for prompt in PROMPTS]
    answer = runtime.get("/metrics")
    assert answer.status_code == 200
    after = answer.text
    have = {dict(labels)["metric"] for labels in series(after, PREFIX + "metric_source_info")}
    assert have == {PREFIX + name for name in STANDARD_SERIES}
    assert families(after)
    assert total(after, "generation_tokens_total") - total(before, "generation_tokens_total") == sum(used)
    assert series(after, PREFIX + "num_requests_waiting")
    for name in ("time_to_first_token_seconds_count", "e2e_request_latency_seconds_count"):
        assert total(after, name) - total(before, name) == len(PROMPTS), name
    gaps = "time_per_output_token_seconds_count"
    assert total(after, gaps) - total(before, gaps) == sum(used) - len(PROMPTS)
    sums = [f"{name}_sum" for name in ("time_to_first_token_seconds", "time_per_output_token_seconds")]
    moved = [total(after, name) - total(before, name) for name in (*sums, "e2e_request_latency_seconds_sum")]
    assert 0 < moved[0] < moved[2]
    assert moved[0] + moved[1] == pytest.approx(moved[2], rel=0.2)


def test_no_sample_of_the_engine_is_lost(engine: str, runtime: httpx.Client) -> None:
    theirs = {sample[:2] for sample in samples(httpx.get(engine + "/metrics", trust_env=False).text)}
    ours = {sample[:2] for sample in samples(runtime.get("/metrics").text)}
    assert theirs - ours == set()


def test_openmetrics_is_given_though_the_engine_speaks_text(runtime: httpx.Client) -> None:
    answer = runtime.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert answer.text.endswith("# EOF\n")
    assert series(answer.text, PREFIX + "generation_tokens_total")


def test_an_adapter_is_fetched_loaded_answers_and_goes(engine: str, runtime: httpx.Client, models: Path) -> None:
    asked = {
        "lora_name": "subtract",
        "source": f"pvc:/{models}/volume/subtract",
        "output_dir": f"{models}/adapters/subtract",
    }
    base = complete(engine, "57+23=")["choices"][0]["text"]
    assert base == ADD
    assert [runtime.post("/v1/load_lora_adapter", json=asked).json().get("status") for _ in range(2)] == [
        "loaded",
        "already_loaded",
    ]
    listed = {row["id"] for row in httpx.get(engine + "/v1/models", trust_env=False).json()["data"]}
    assert listed == {"hallmark-tiny", "subtract"}
    assert complete(engine, "57+23=", "subtract")["choices"][0]["text"] == SUBTRACT
    assert complete(engine, "57+23=")["choices"][0]["text"] == base
    unload = {"lora_name": "subtract"}
    said = [runtime.post("/v1/unload_lora_adapter", json=unload).json().get("status") for _ in range(2)]
    assert said == ["unloaded", "already_unloaded"]
    gone = httpx.post(engine + "/v1/completions", json={"model": "subtract", "prompt": "1", "max_tokens": 1}, trust_env=False)
    assert gone.status_code == 404
    assert complete(engine, "57+23=")["choices"][0]["text"] == base


def test_the_engines_refusals_are_passed_on(runtime: httpx.Client, models: Path) -> None:
    never = runtime.post("/v1/unload_lora_adapter", json={"lora_name": "never"})
    assert (never.status_code, "cannot be found" in never.json()["detail"]) == (404, True)
    (models / "adapters" / "empty").mkdir(parents=True, exist_ok=True)
    empty = runtime.post("/v1/load_lora_adapter", json={"lora_name": "x", "lora_path": f"{models}/adapters/empty"})
    assert empty.status_code >= 400
    name = runtime.post("/v1/load_lora_adapter", json={"lora_name": "hallmark-tiny", "lora_path": f"{models}/adapters/empty"})
    assert (name.status_code, "conflicts with a served base model" in name.json()["detail"]) == (400, True)
