"""The sidecar's own image, built as its first line says: it serves, fetches a model as its user, and ends when it is told to."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hallmark.serving.ports import free_port
from selftests.core.polling import comes_true
from selftests.serving.containers import require_engine
from selftests.sidecar.engine import StandInEngine

pytestmark = [pytest.mark.docker, pytest.mark.e2e]

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "hallmark-runtime:selftest"


@pytest.fixture(scope="module")
def docker() -> Iterator[Any]:
    """A client of the engine, which has the image."""
    client = require_engine()
    build = ["docker", "build", "-q", "--force-rm", "--network", "host", "-f", "deploy/Dockerfile", "-t", IMAGE, "."]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    yield client
    client.images.remove(IMAGE, force=True)


@pytest.fixture
def engine() -> Iterator[StandInEngine]:
    engine = StandInEngine(b"# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting 1\n")
    yield engine
    engine.stop()


def answers(url: str) -> bool:
    try:
        return httpx.get(url + "/health", timeout=5).is_success
    except httpx.TransportError:
        return False


def test_the_image_serves_fetches_and_ends(docker: Any, engine: StandInEngine, tmp_path: Path) -> None:
    source, models = tmp_path / "mnt", tmp_path / "models"
    for folder in (source, models):
        folder.mkdir()
    (source / "config.json").write_text("{}")
    models.chmod(0o777)  # a volume is handed in as its user's own
    port = free_port("127.0.0.1")
    container = docker.containers.run(
        IMAGE,
        ["-E", "vllm", "-H", "127.0.0.1", "-P", str(port), "-B", engine.url, "-M", "/metrics", "-I", "pod-0.space", "-N", "base"],
        volumes={str(source): {"bind": "/mnt", "mode": "ro"}, str(models): {"bind": "/models", "mode": "rw"}},
        network_mode="host",
        read_only=True,
        detach=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        assert comes_true(lambda: answers(url), within_s=60), container.logs().decode()
        assert "matrixinfer:num_requests_waiting" in httpx.get(url + "/metrics").text
        asked = {"source": "pvc://mnt", "output_dir": "/models/base", "async_download": False}
        answer = httpx.post(url + "/v1/download_model", json=asked, timeout=60)
        assert answer.is_success, answer.text
        assert (models / "base" / "config.json").read_text() == "{}"
        assert (models / "base" / "config.json").stat().st_uid == 1000
        container.stop(timeout=30)
        assert container.wait()["StatusCode"] == 0, container.logs().decode()
    finally:
        container.remove(force=True, v=True)
