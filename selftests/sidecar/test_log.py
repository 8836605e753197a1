"""The sidecar's log as a whole: JSON where that is asked for, and a line for each adapter that was loaded or was not."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hallmark_services.sidecar.downloads import DownloadSettings
from selftests.core.polling import comes_true
from selftests.sidecar.engine import StandInEngine
from selftests.sidecar.running import command, sidecar

TOKEN = "a-bearer-token-of-the-fleet"
LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


@pytest.fixture(scope="module")
def engine() -> Iterator[StandInEngine]:
    engine = StandInEngine(b"vllm:num_requests_waiting 1\n")
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models").resolve()
    (folder / "adapter").mkdir()
    return folder


@pytest.fixture(scope="module")
def client(engine: StandInEngine, models: Path) -> Iterator[httpx.Client]:
    limits = DownloadSettings(allowed_roots=(str(models),), allowed_sources=("pvc://*",))
    with sidecar(engine.url, downloads=limits, token=TOKEN) as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        yield client


def told(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    lines = ((record.getMessage(), getattr(record, "hallmark_fields", {})) for record in caplog.records)
    return [{**known, "line": line} for line, known in lines if known.get("event") == event]


def test_an_adapter_that_is_loaded_and_unloaded_ends_in_a_line_each(
    client: httpx.Client, engine: StandInEngine, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    engine.reset()
    client.post(LOAD, json={"lora_name": "sub", "lora_path": str(models / "adapter")})
    client.post(UNLOAD, json={"lora_name": "sub"})
    loaded, unloaded = told(caplog, "adapter")
    assert (loaded["verb"], loaded["outcome"], loaded["adapter"]) == ("load", "loaded", "sub")
    assert (loaded["path"], loaded["asked_by"]) == (str(models / "adapter"), "127.0.0.1")
    assert (unloaded["verb"], unloaded["outcome"], unloaded["error"]) == ("unload", "unloaded", "")


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize(
    ("where", "status", "why"),
    [
        ({"lora_path": "/etc/adapter"}, 403, "not below a folder"),
        ({"source": "ftp://x", "output_dir": "{models}/new"}, 400, "nothing is fetched from there"),
        ({"lora_path": "{models}/absent"}, 404, "No adapter found"),
    ],
    ids=["path", "source", "engine"],
)
def test_a_refused_adapter_ends_in_one_line_that_says_which_whose_and_why(
    client: httpx.Client,
    engine: StandInEngine,
    models: Path,
    caplog: pytest.LogCaptureFixture,
    where: dict[str, str],
    status: int,
    why: str,
    background: bool,
) -> None:
    caplog.set_level(logging.INFO)
    engine.reset()
    given = {name: value.format(models=models) for name, value in where.items()}
    client.post(LOAD, json={"lora_name": "sub", "async_download": background, **given})
    assert comes_true(lambda: told(caplog, "adapter"))
    [line] = told(caplog, "adapter")
    assert (line["verb"], line["outcome"], line["adapter"], line["asked_by"]) == ("load", "refused", "sub", "127.0.0.1")
    assert line["status"] == status
    assert why in line["error"]
    assert why in line["line"]


def test_a_request_that_nobody_understood_or_let_in_is_told_of_once(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.post(LOAD, json={"lora_name": "sub", "lora_path": 7})
    client.get("/v1/jobs", headers={"Authorization": "Bearer a-wrong-one"})
    client.get("/health")
    lines = told(caplog, "request")
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [("POST", LOAD, 422), ("GET", "/v1/jobs", 401)]
    assert "a-wrong-one" not in caplog.text


@pytest.mark.e2e
def test_each_line_is_a_json_object_where_that_is_asked_for(tmp_path: Path, engine: StandInEngine) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "file").write_bytes(b"x" * 100)
    token = "a-token-that-no-line-may-hold"
    environ = {
        "LOG_FORMAT": "json",
        "RUNTIME_API_TOKEN": token,
        "RUNTIME_DOWNLOAD_ROOTS": f"{tmp_path}/models",
        "RUNTIME_PVC_ROOTS": str(tmp_path),
    }
    log = tmp_path / "log"
    arguments = ["-E", "vllm", "-I", "pod", "-N", "model", "-B", engine.url]
    with command(arguments, log=log, environ=environ) as (url, _):
        body = {"source": f"pvc:/{tmp_path}/volume", "output_dir": f"{tmp_path}/models/m"}
        answer = httpx.post(
            f"{url}/v1/download_model", json=body, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=60
        )
        assert answer.status_code == 200, answer.text
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    [end] = [line for line in lines if line.get("event") == "download"]
    assert (end["state"], end["bytes"], end["level"]) == ("completed", 100, "INFO")
    assert token not in log.read_text()
