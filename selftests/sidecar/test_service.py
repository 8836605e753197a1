"""The service's own manners: who may ask, how much, how errors read, and that no secret comes back or is logged."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from hallmark_services.sidecar.downloads import DownloadSettings
from selftests.core.polling import comes_true
from selftests.sidecar.engine import StandInEngine
from selftests.sidecar.running import sidecar

TOKEN = "a-bearer-token-of-the-fleet"
SECRET = "s3cr3t-value-that-nobody-may-see"
DOWNLOAD, LOAD, UNLOAD = "/v1/download_model", "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
MINE = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def engine() -> Iterator[StandInEngine]:
    engine = StandInEngine(b"vllm:num_requests_waiting 1\n")
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service").resolve()
    (folder / "volume").mkdir()
    (folder / "volume" / "config.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def client(engine: StandInEngine, folder: Path) -> Iterator[httpx.Client]:
    limits = DownloadSettings(allowed_roots=(f"{folder}/models",), source_roots=(str(folder),), allowed_sources=("pvc://*",))
    with sidecar(engine.url, downloads=limits, token=TOKEN, max_body_bytes=4096) as client:
        yield client


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer é"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", DOWNLOAD), ("POST", LOAD), ("POST", UNLOAD), ("GET", "/v1/jobs"), ("GET", "/v1/jobs/x"), ("DELETE", "/v1/jobs/x")],
)
def test_without_the_token_nothing_is_done(
    client: httpx.Client, engine: StandInEngine, method: str, path: str, given: str
) -> None:
    engine.seen.clear()
    headers = {"Authorization": given.encode("latin-1")} if given else {}
    answer = client.request(method, path, headers=headers, json={"lora_name": "x"} if method == "POST" else None)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert engine.seen == []


def test_with_the_token_it_is_done_and_the_token_stays_here(client: httpx.Client, engine: StandInEngine) -> None:
    engine.seen.clear()
    assert client.get("/v1/jobs", headers=MINE).status_code == 200
    assert client.post(UNLOAD, headers=MINE, json={"lora_name": "x"}).status_code == 404
    ((_, _, headers, _),) = engine.seen
    assert "authorization" not in headers


def test_a_token_may_hold_any_letters(engine: StandInEngine) -> None:
    with sidecar(engine.url, token="schlüssel-鍵") as client:
        for given, status in (("schlüssel-鍵", 200), ("schlussel-鍵", 401)):
            answer = client.get("/v1/jobs", headers={"Authorization": f"Bearer {given}".encode()})
            assert answer.status_code == status


def test_probes_and_scrapers_need_no_token(client: httpx.Client) -> None:
    assert client.get("/health").status_code == 200
    assert client.get("/metrics").status_code == 200


def test_a_model_is_downloaded(client: httpx.Client, folder: Path) -> None:
    asked = {"source": f"pvc:/{folder}/volume", "output_dir": f"{folder}/models/here", "config": "{}", "max_workers": 2}
    answer = client.post(DOWNLOAD, headers=MINE, json=asked)
    assert answer.status_code == 200, answer.text
    assert answer.json() | {"job_id": "", "message": ""} == {
        "status": "completed",
        "message": "",
        "source": asked["source"],
        "output_dir": asked["output_dir"],
        "job_id": "",
    }
    assert (folder / "models" / "here" / "config.json").read_text() == "{}"
    behind = client.post(DOWNLOAD, headers=MINE, json={**asked, "output_dir": f"{folder}/models/there", "async_download": True})
    assert (behind.status_code, behind.json()["status"]) == (202, "started")
    assert client.get(f"/v1/jobs/{behind.json()['job_id']}", headers=MINE).json()["kind"] == "download"


@pytest.mark.parametrize("background", [False, True])
def test_a_folder_that_holds_another_model_is_refused_unless_it_may_be_replaced(
    client: httpx.Client, folder: Path, background: bool
) -> None:
    other = folder / "other"
    other.mkdir(exist_ok=True)
    (other / "config.json").write_text("other")
    target = folder / "models" / f"held-{background}"
    first = {"source": f"pvc:/{folder}/volume", "output_dir": str(target)}
    assert client.post(DOWNLOAD, headers=MINE, json=first).status_code == 200
    second = {**first, "source": f"pvc:/{other}", "async_download": background}
    for path, more in ((DOWNLOAD, {}), (LOAD, {"lora_name": "sub"})):
        refused = client.post(path, headers=MINE, json={**second, **more})
        assert refused.status_code == 409, refused.text
        assert "another whole model" in refused.json()["detail"]
        assert "replace: true" in refused.json()["detail"]
    assert (target / "config.json").read_text() == "{}"
    answer = client.post(DOWNLOAD, headers=MINE, json={**second, "replace": True})
    assert answer.status_code == (202 if background else 200), answer.text
    assert comes_true(lambda: (target / "config.json").read_text() == "other", within_s=60)


def test_a_download_that_fails_is_an_error_and_not_a_completed(client: httpx.Client, folder: Path) -> None:
    asked = {"source": f"pvc:/{folder}/nothing", "output_dir": f"{folder}/models/nothing"}
    answer = client.post(DOWNLOAD, headers=MINE, json=asked)
    assert answer.status_code == 404
    assert not (folder / "models" / "nothing").exists()


@pytest.mark.parametrize(
    ("config", "status"),
    [
        ({}, 403),
        ("", 403),
        ("{}", 403),
        ('{"hf_revision": "main"}', 403),
        ({"hf_revision": "main"}, 403),
        ("[]", 422),
        ("{", 422),
        ('{"hf_token": 5}', 422),
        ({"hf_token": 5}, 422),
        ([], 422),
        (5, 422),
        ("[" * 3000, 422),
    ],
    ids=repr,
)
def test_config_is_a_json_string_or_an_object(client: httpx.Client, folder: Path, config: Any, status: int) -> None:
    # Past the body's check stands the next one, which refuses the folder.
    asked = {"source": f"pvc:/{folder}/nothing", "output_dir": "/elsewhere", "config": config}
    assert client.post(DOWNLOAD, headers=MINE, json=asked).status_code == status


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"source": 1}', b"[" * 4000, b'{"source":"a/b","output_dir":"\\ud800"}'],
    ids=repr,
)
def test_a_body_that_is_none_is_one_line(client: httpx.Client, content: bytes) -> None:
    answer = client.post(DOWNLOAD, headers={**MINE, "Content-Type": "application/json"}, content=content)
    assert answer.status_code in (400, 422)
    assert set(answer.json()) == {"detail"}
    assert "\n" not in answer.json()["detail"]


def test_nothing_that_was_sent_comes_back_or_is_logged(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bodies = [
        {"source": "org/model", "output_dir": 7, "config": {"hf_token": SECRET}},
        {"source": "org/model", "output_dir": "/models/x", "config": json.dumps({"hf_token": SECRET})},
        {"source": "org/model", "output_dir": "/models/x", "config": {"hf_token": SECRET, "x": [SECRET]}},
        {"source": "org/model", "output_dir": "/models/x", "config": {SECRET: 5}, "hf_token": SECRET},
        {"source": "s3://b/p", "output_dir": "/etc", "config": {"access_key": SECRET, "secret_key": SECRET}},
        {"source": "org/model", "output_dir": "/models/x", "config": '{"hf_token": "' + SECRET},
    ]
    for body in bodies:
        answer = client.post(DOWNLOAD, headers=MINE, json=body)
        assert 400 <= answer.status_code < 500
        assert SECRET not in answer.text.replace(f"config.dict[str,str].{SECRET}", ""), body
    assert SECRET not in caplog.text
    assert TOKEN not in caplog.text


def test_a_body_that_is_too_long_is_refused_before_it_is_read(client: httpx.Client) -> None:
    fits, long = b'{"lora_name":"x","pad":"' + b"p" * 3900 + b'"}', b'{"lora_name":"x","pad":"' + b"p" * 4096 + b'"}'
    headers = {**MINE, "Content-Type": "application/json"}
    assert client.post(UNLOAD, headers=headers, content=fits).status_code == 404
    declared = client.post(UNLOAD, headers=headers, content=long)
    streamed = client.post(UNLOAD, headers=headers, content=iter([long[:2000], long[2000:], b"p" * 100_000]))
    for answer in (declared, streamed):
        assert (answer.status_code, answer.json()) == (413, {"detail": "the body is longer than 4096 bytes"})


def test_a_body_that_does_not_come_is_not_waited_for(engine: StandInEngine) -> None:
    head = f"POST {UNLOAD} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n".encode()
    with sidecar(engine.url, body_timeout_s=0.1) as client:
        address = urlsplit(str(client.base_url))
        with socket.create_connection((address.hostname, address.port), timeout=10) as slow:
            slow.sendall(head + b"{")
            answer = b"".join(iter(lambda: slow.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b'{"detail":"the body did not come in time"}')


def test_a_caller_that_goes_away_in_the_middle_harms_nobody(client: httpx.Client) -> None:
    address = urlsplit(str(client.base_url))
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port)) as half:
            half.sendall(b"POST " + UNLOAD.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert client.get("/health").status_code == 200


def test_what_is_not_there_is_said_in_the_same_shape(client: httpx.Client) -> None:
    assert client.get("/nothing").json() == {"detail": "Not Found"}
    assert client.get("/v1/jobs/none", headers=MINE).json() == {"detail": "no such job"}
    refused = client.get(DOWNLOAD, headers=MINE)
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
