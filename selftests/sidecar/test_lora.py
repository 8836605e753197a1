"""Adapters: loaded, unloaded, repeated, refused, fetched first, in the background; each next to what must not be done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hallmark_services.sidecar.downloads import DownloadSettings
from hallmark_services.sidecar.metrics.rules import Engine
from selftests.core.polling import comes_true
from selftests.sidecar.engine import StandInEngine
from selftests.sidecar.running import sidecar

LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


@pytest.fixture
def fresh() -> Iterator[StandInEngine]:
    """An engine that the test may spoil."""
    engine = StandInEngine()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("volumes").resolve()


@pytest.fixture
def models(volumes: Path) -> Iterator[Path]:
    folder = volumes / "models"
    (folder / "adapter").mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def limits(models: Path) -> DownloadSettings:
    return DownloadSettings(allowed_roots=(str(models),), source_roots=(str(models.parent),), allowed_sources=("pvc://*",))


@pytest.fixture(scope="module")
def shared(volumes: Path) -> Iterator[tuple[httpx.Client, StandInEngine]]:
    """One engine and one sidecar for the tests that harm neither."""
    engine = StandInEngine()
    with sidecar(engine.url, downloads=limits(volumes / "models")) as client:
        yield client, engine
        engine.stop()


@pytest.fixture
def client(shared: tuple[httpx.Client, StandInEngine]) -> httpx.Client:
    return shared[0]


@pytest.fixture
def engine(shared: tuple[httpx.Client, StandInEngine]) -> StandInEngine:
    """The shared engine, as if just started."""
    shared[1].reset()
    return shared[1]


@pytest.fixture
def stored(volumes: Path) -> str:
    """An adapter on another volume, as a source."""
    folder = volumes / "volume" / "sub"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"weights" * 100)
    return f"pvc:/{folder}"


def body(models: Path, **given: Any) -> dict[str, Any]:
    return {"lora_name": "sub", "lora_path": str(models / "adapter"), **given}


def test_load_and_unload(client: httpx.Client, engine: StandInEngine, models: Path) -> None:
    loaded = client.post(LOAD, json=body(models))
    assert (loaded.status_code, loaded.json()["status"]) == (200, "loaded")
    assert loaded.json()["message"] == "Success: LoRA adapter 'sub' added successfully."
    assert engine.adapters == {"sub": str(models / "adapter")}
    gone = client.post(UNLOAD, json={"lora_name": "sub", "lora_int_id": 7})
    assert (gone.status_code, gone.json()["status"]) == (200, "unloaded")
    assert engine.asked(UNLOAD) == [{"lora_name": "sub", "lora_int_id": 7}]
    assert engine.adapters == {}


def test_repeats_do_no_harm(client: httpx.Client, engine: StandInEngine, models: Path) -> None:
    said = [client.post(LOAD, json=body(models)) for _ in range(3)]
    assert [(a.status_code, a.json()["status"]) for a in said] == [
        (200, "loaded"),
        (200, "already_loaded"),
        (200, "already_loaded"),
    ]
    said = [client.post(UNLOAD, json={"lora_name": "sub"}) for _ in range(2)]
    assert [(a.status_code, a.json()["status"]) for a in said] == [(200, "unloaded"), (200, "already_unloaded")]


def test_what_others_loaded_from_there_is_there_already(client: httpx.Client, engine: StandInEngine, models: Path) -> None:
    engine.adapters["sub"] = str(models / "adapter")
    assert client.post(LOAD, json=body(models)).json()["status"] == "already_loaded"


def test_another_adapter_under_the_name_is_refused_and_can_be_replaced(
    client: httpx.Client, engine: StandInEngine, models: Path
) -> None:
    client.post(LOAD, json=body(models))
    other = client.post(LOAD, json=body(models, lora_path=str(models / "other")))
    assert other.status_code == 400
    assert "already been loaded" in other.json()["detail"]
    replaced = client.post(LOAD, json=body(models, lora_path=str(models / "other"), load_inplace=True))
    assert replaced.json()["status"] == "loaded"


def test_an_adapter_that_was_never_loaded_cannot_be_unloaded(client: httpx.Client, engine: StandInEngine) -> None:
    answer = client.post(UNLOAD, json={"lora_name": "never"})
    assert answer.status_code == 404
    assert answer.json() == {"detail": "the engine refused (404): The lora adapter 'never' cannot be found."}


def test_an_engine_that_started_anew_is_believed(client: httpx.Client, engine: StandInEngine, models: Path) -> None:
    client.post(LOAD, json=body(models))
    engine.adapters.clear()
    assert client.post(LOAD, json=body(models)).json()["status"] == "loaded"


def test_what_an_engine_lost_with_a_restart_is_unloaded_already(
    client: httpx.Client, engine: StandInEngine, models: Path
) -> None:
    client.post(LOAD, json=body(models, lora_name="lost"))
    engine.adapters.clear()
    engine.faults["/v1/models"] = lambda: (500, "", b"")
    assert client.post(UNLOAD, json={"lora_name": "lost"}).status_code == 404, "what it has is not known"
    engine.faults.clear()
    said = [client.post(UNLOAD, json={"lora_name": "lost"}) for _ in range(2)]
    assert [(a.status_code, a.json()["status"]) for a in said] == [(200, "already_unloaded")] * 2


def test_a_newer_adapter_in_the_same_folder_is_not_loaded_already(
    client: httpx.Client, engine: StandInEngine, models: Path
) -> None:
    newer = models.parent / "newer"
    newer.mkdir(exist_ok=True)
    asked = {"lora_name": "sub", "source": f"pvc:/{newer}", "output_dir": str(models / "fetched")}
    outcomes = []
    for weights, more in (("one", {}), ("", {}), ("two", {}), ("", {"load_inplace": True}), ("", {})):
        if weights:
            (newer / "adapter_model.safetensors").write_text(weights)
        answer = client.post(LOAD, json=asked | more)
        outcomes.append((answer.status_code, answer.json().get("status")))
        if answer.status_code == 409:
            assert "as it was before the last download; unload it first" in answer.json()["detail"]
    assert outcomes == [(200, "loaded"), (200, "already_loaded"), (409, None), (200, "loaded"), (200, "already_loaded")]


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        ({"lora_name": "base"}, 400, "conflicts with a served base model"),
        ({"lora_path": "{models}/absent"}, 404, "No adapter found"),
    ],
)
def test_the_engines_refusal_is_passed_on(
    client: httpx.Client, engine: StandInEngine, models: Path, given: dict[str, str], status: int, reason: str
) -> None:
    filled = {key: value.replace("{models}", str(models)) for key, value in given.items()}
    answer = client.post(LOAD, json=body(models, **filled))
    assert answer.status_code == status
    assert reason in answer.json()["detail"]


@pytest.mark.parametrize(("status", "passed_on"), [(302, 502), (418, 418), (599, 599), (600, 502), (999, 502)])
def test_a_status_that_means_nothing_here_is_a_bad_gateway(
    client: httpx.Client, engine: StandInEngine, models: Path, status: int, passed_on: int
) -> None:
    engine.faults[LOAD] = lambda: (status, "", b"")
    answer = client.post(LOAD, json=body(models))
    assert (answer.status_code, answer.json()) == (passed_on, {"detail": f"the engine refused ({status}): it gave no reason"})


def test_an_engine_without_the_api_says_how_to_get_it(client: httpx.Client, engine: StandInEngine, models: Path) -> None:
    engine.has_lora = False
    answer = client.post(LOAD, json=body(models))
    assert answer.status_code == 404
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" in answer.json()["detail"]


def test_an_engine_that_fails_or_is_gone(fresh: StandInEngine, models: Path) -> None:
    with sidecar(fresh.url, downloads=limits(models)) as client:
        fresh.faults[LOAD] = lambda: (500, "application/json", b'{"error":{"message":"out of memory"}}')
        failed = client.post(LOAD, json=body(models))
    fresh.stop()
    with sidecar(fresh.url, downloads=limits(models)) as client:
        gone = client.post(LOAD, json=body(models))
    assert (failed.status_code, failed.json()["detail"]) == (500, "the engine refused (500): out of memory")
    assert gone.status_code == 502
    assert "the engine cannot be reached" in gone.json()["detail"]


def test_an_engine_that_hangs_is_not_waited_for(fresh: StandInEngine, models: Path) -> None:
    """It holds its answer back until it is let go, so that no machine is too slow or too fast to tell."""
    fresh.faults[LOAD] = fresh.hangs
    with sidecar(fresh.url, downloads=limits(models), request_timeout_s=0.2) as client:
        hung = client.post(LOAD, json=body(models))
        assert not fresh.released.is_set()
        assert (hung.status_code, hung.json()["detail"]) == (504, "the engine did not answer within 0.2 s")
        fresh.released.set()
        del fresh.faults[LOAD]
    with sidecar(fresh.url, downloads=limits(models)) as client:
        assert client.post(LOAD, json=body(models)).json()["status"] == "loaded", "the engine that answers is waited for"


BAD_NAMES = ["", ".", "..", "../x", "/x", "x/", "a//b", "a/../b", "a b", "a\n", "a\x00", "-x", "x" * 257, "ä", "a;b", "\ud800"]
BAD_PATHS = [
    "adapter",
    "",
    "{models}",
    "{models}/../secret",
    "{models}/./adapter",
    "/etc",
    "/",
    "//etc/passwd",
    "{models}/a\x00b",
    "{models}/a\nb",
    "{models}/link",
    "{models}/link/deeper",
    "{models}/.hallmark-downloads",
    "file://{models}/adapter",
    "{models}x/adapter",
    "~/adapter",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_none_reaches_no_engine(client: httpx.Client, engine: StandInEngine, models: Path, name: str) -> None:
    for path, asked in ((LOAD, body(models, lora_name=name)), (UNLOAD, {"lora_name": name})):
        # As ASCII: a lone surrogate has no UTF-8.
        answer = client.post(path, content=json.dumps(asked), headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), name
    assert engine.seen == []


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_that_is_not_allowed_reaches_no_engine(
    client: httpx.Client, engine: StandInEngine, models: Path, path: str
) -> None:
    (models / "link").symlink_to("/etc")
    for label in ("lora_path", "output_dir"):
        answer = client.post(LOAD, json={"lora_name": "x", label: path.replace("{models}", str(models))})
        assert answer.status_code in (400, 403, 422), path
        assert label in answer.json()["detail"] or answer.status_code == 422
    assert engine.seen == []


@pytest.mark.parametrize(
    "asked",
    [
        {"lora_name": "x"},
        {"lora_name": "x", "source": "a/b"},
        {"lora_name": "x", "lora_path": "/models/x", "output_dir": "/models/y"},
        {"lora_name": "x", "lora_path": "/models/x", "unknown": 1},
        {"lora_name": 5, "lora_path": "/models/x"},
        {"lora_path": "/models/x"},
    ],
)
def test_a_body_that_cannot_be_meant_is_one_line(client: httpx.Client, engine: StandInEngine, asked: dict[str, Any]) -> None:
    answer = client.post(LOAD, json=asked)
    assert answer.status_code == 422
    assert "\n" not in answer.json()["detail"]


def test_an_adapter_is_fetched_and_then_loaded(client: httpx.Client, engine: StandInEngine, models: Path, stored: str) -> None:
    asked = {"lora_name": "sub", "source": stored, "output_dir": str(models / "fetched"), "config": "{}"}
    answer = client.post(LOAD, json=asked)
    assert answer.json()["status"] == "loaded", answer.text
    assert engine.asked(LOAD) == [{"lora_name": "sub", "lora_path": str(models / "fetched")}]
    assert (models / "fetched" / "adapter_model.safetensors").read_bytes() == b"weights" * 100
    assert client.post(LOAD, json=asked).json()["status"] == "already_loaded"


def test_a_download_that_fails_reaches_no_engine(client: httpx.Client, engine: StandInEngine, models: Path) -> None:
    asked = {"lora_name": "sub", "source": f"pvc:/{models.parent}/nothing", "output_dir": str(models / "fetched")}
    answer = client.post(LOAD, json=asked)
    assert 400 <= answer.status_code < 500
    assert engine.seen == []


def test_in_the_background_a_job_tells_how_it_ends(
    client: httpx.Client, engine: StandInEngine, models: Path, stored: str
) -> None:
    asked = {"lora_name": "sub", "source": stored, "output_dir": str(models / "fetched"), "async_download": True}
    started = client.post(LOAD, json=asked)
    assert (started.status_code, started.json()["status"]) == (202, "started")
    job = f"/v1/jobs/{started.json()['job_id']}"
    assert comes_true(lambda: client.get(job).json()["state"] == "completed")
    told = client.get(job).json()
    assert (told["kind"], told["lora_name"], told["error"]) == ("load_lora_adapter", "sub", None)
    assert told["bytes_done"] == told["bytes_total"] > 700
    assert client.get(f"/v1/jobs/{told['download_job_id']}").json()["kind"] == "download"
    assert engine.adapters == {"sub": str(models / "fetched")}
    assert {row["id"] for row in client.get("/v1/jobs").json()["jobs"]} >= {told["id"], told["download_job_id"]}


def test_in_the_background_a_refusal_is_the_jobs_error(client: httpx.Client, engine: StandInEngine, models: Path) -> None:
    started = client.post(LOAD, json=body(models, lora_name="base", async_download=True))
    job = f"/v1/jobs/{started.json()['job_id']}"
    assert comes_true(lambda: client.get(job).json()["state"] == "failed")
    assert "conflicts with a served base model" in client.get(job).json()["error"]


def test_a_background_load_can_be_cancelled(client: httpx.Client, engine: StandInEngine, models: Path) -> None:
    engine.faults[LOAD] = engine.hangs
    job = f"/v1/jobs/{client.post(LOAD, json=body(models, async_download=True)).json()['job_id']}"
    assert comes_true(lambda: engine.asked(LOAD))
    assert client.delete(job).json()["state"] == "cancelled"
    assert client.get(job).json()["state"] == "cancelled"
    assert client.delete(job).status_code == 200


def test_an_engine_that_loads_many_adapters_is_still_scraped(fresh: StandInEngine, models: Path) -> None:
    fresh.metrics = b"vllm:num_requests_waiting 1\n"
    fresh.faults[LOAD] = fresh.hangs
    with sidecar(fresh.url, downloads=limits(models), scrape_timeout_s=2) as client:
        for number in range(40):
            client.post(LOAD, json=body(models, lora_name=f"sub-{number}", async_download=True))
        assert comes_true(lambda: len(fresh.asked(LOAD)) >= 32)
        assert client.get("/metrics").status_code == 200
        assert client.get("/health").json()["engine"]["status"] == "up"
        fresh.stop()


def test_the_engines_key_is_sent_and_a_wrong_one_is_the_engines_401(fresh: StandInEngine, models: Path) -> None:
    fresh.api_key = "engine-key-1"
    with sidecar(fresh.url, downloads=limits(models), engine_api_key="engine-key-1") as client:
        assert client.post(LOAD, json=body(models)).json()["status"] == "loaded"
        assert client.post(LOAD, json=body(models)).json()["status"] == "already_loaded"
    with sidecar(fresh.url, downloads=limits(models)) as client:
        assert client.post(UNLOAD, json={"lora_name": "sub"}).status_code == 401
        mine = {"Authorization": "Bearer engine-key-1"}
        assert client.post(UNLOAD, json={"lora_name": "sub"}, headers=mine).json()["status"] == "unloaded"


def test_sglang_has_its_own_route_and_its_own_way_of_refusing(fresh: StandInEngine, models: Path) -> None:
    fresh.lora_root = ""
    with sidecar(fresh.url, downloads=limits(models), engine=Engine.SGLANG) as client:
        assert client.post(LOAD, json=body(models)).json()["status"] == "loaded"
        fresh.faults["/load_lora_adapter"] = lambda: (200, "application/json", b'{"success": false, "error_message": "no room"}')
        refused = client.post(LOAD, json=body(models, lora_name="more"))
    assert (refused.status_code, refused.json()["detail"]) == (400, "the engine refused (200): no room")
    fresh.faults.clear()
    fresh.lora_root = "/v1"
    with sidecar(fresh.url, downloads=limits(models), engine=Engine.SGLANG) as client:
        assert client.post(UNLOAD, json={"lora_name": "sub"}).json()["status"] == "unloaded"
