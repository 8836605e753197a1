"""schemathesis drives every route from the OpenAPI document: no 5xx, no undeclared answer, no answer of another shape."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hallmark_services.sidecar.downloads import DownloadSettings
from selftests.sidecar.engine import StandInEngine
from selftests.sidecar.reading import exposition
from selftests.sidecar.running import sidecar

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "unsupported_method",
)
TOKEN = "a-bearer-token-of-the-fleet"
ROUTES = {
    ("/health", "get"),
    ("/metrics", "get"),
    ("/v1/download_model", "post"),
    ("/v1/load_lora_adapter", "post"),
    ("/v1/unload_lora_adapter", "post"),
    ("/v1/jobs", "get"),
    ("/v1/jobs/{job_id}", "get"),
    ("/v1/jobs/{job_id}", "delete"),
}


@pytest.fixture(scope="module")
def document(served: str) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(served + "/openapi.json", trust_env=False).json()
    return document


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A sidecar whose engine is well and whose downloads may only read a folder: no source of the network can be unreachable."""
    folder: Path = tmp_path_factory.mktemp("openapi").resolve()
    engine = StandInEngine(exposition("vllm_0_32.txt"))
    limits = DownloadSettings(allowed_roots=(f"{folder}/models",), source_roots=(str(folder),), allowed_sources=("pvc://*",))
    with sidecar(engine.url, downloads=limits, token=TOKEN) as client:
        yield str(client.base_url).rstrip("/")
    engine.stop()


def test_every_route_is_described(document: dict[str, Any]) -> None:
    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == ROUTES


def test_bodies_and_answers_are_typed(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "post":
                assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"], path
            for status, response in operation["responses"].items():
                assert all(content["schema"] for content in response["content"].values()), (path, status)
            if path.startswith("/v1"):
                assert operation["security"] == [{"HTTPBearer": []}]
                assert "401" in operation["responses"]
    config = document["components"]["schemas"]["DownloadBody"]["properties"]["config"]["anyOf"]
    assert [shape["type"] for shape in config] == ["string", "object", "null"]


@pytest.mark.long
@pytest.mark.e2e
def test_no_call_makes_a_5xx_or_an_undeclared_answer(served: str, tmp_path: Path) -> None:
    ended = schemathesis(served, tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert f"Tested: {len(ROUTES)}" in ended.stdout


@pytest.mark.long
@pytest.mark.e2e
def test_an_engine_that_is_gone_is_noticed_as_a_5xx(tmp_path: Path) -> None:
    """The fault that the test above must be able to see."""
    engine = StandInEngine()
    engine.stop()
    with sidecar(engine.url) as client:
        ended = schemathesis(str(client.base_url).rstrip("/"), tmp_path, "--include-path", "/v1/unload_lora_adapter")
    assert ended.returncode == 1
    assert "Server error" in ended.stdout


def schemathesis(base_url: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """The command itself, from an empty folder, with the checks that compare what is answered with what is declared."""
    argv = [str(Path(sys.executable).with_name("schemathesis")), "run", base_url + "/openapi.json", "--no-color", "--seed", "5"]
    argv += ["--checks", ",".join(CHECKS), "--header", f"Authorization: Bearer {TOKEN}", "--max-examples", "40", *more]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
