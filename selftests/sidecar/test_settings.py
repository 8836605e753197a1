"""Settings: command line over environment over default, typed, and one clear line where one cannot be used."""

from __future__ import annotations

import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from hallmark.core.errors import UsageError
from hallmark_services.sidecar.__main__ import main
from hallmark_services.sidecar.downloads import DownloadSettings
from hallmark_services.sidecar.downloads.job import INTERRUPTED
from hallmark_services.sidecar.metrics.rules import Engine
from hallmark_services.sidecar.settings import parse
from selftests.core.polling import alive
from selftests.sidecar.downloads.hub_server import Hub, Repository
from selftests.sidecar.engine import StandInEngine
from selftests.sidecar.running import command

REQUIRED = ["-E", "vllm", "-I", "pod-0.space", "-N", "model"]


def test_the_defaults_are_the_seeds() -> None:
    settings = parse(REQUIRED, {})
    assert (settings.engine, settings.pod, settings.model) == (Engine.VLLM, "pod-0.space", "model")
    assert (settings.host, settings.port) == ("0.0.0.0", 9000)
    assert (settings.engine_base_url, settings.engine_metrics_path) == ("http://localhost:8000", "/metrics")
    assert settings.metrics_prefix == "matrixinfer:"


def test_long_options_are_the_same() -> None:
    argv = ["--engine", "SGLang", "--host", "::1", "--port", "8900", "--engine-base-url", "http://e:1/", "--pod", "p"]
    settings = parse([*argv, "--engine-metrics-path", "/m", "--model", "m"], {})
    assert (settings.engine, settings.host, settings.port, settings.pod) == (Engine.SGLANG, "::1", 8900, "p")
    assert (settings.engine_base_url, settings.engine_metrics_path, settings.model) == ("http://e:1", "/m", "m")


def test_the_command_line_wins_then_the_environment() -> None:
    environ = {
        "RUNTIME_PORT": "8200",
        "RUNTIME_URL": "http://localhost:8100",
        "RUNTIME_METRICS_PATH": "/m",
        "RUNTIME_POD": "other",
    }
    settings = parse([*REQUIRED, "-P", "8300"], environ)
    assert (settings.port, settings.engine_base_url, settings.engine_metrics_path) == (8300, "http://localhost:8100", "/m")
    origins = {setting.name: setting.origin for setting in settings.origins}
    assert (origins["port"], origins["engine_base_url"], origins["pod"]) == ("command line", "environment", "command line")


def test_everything_can_come_from_the_environment() -> None:
    environ = {"RUNTIME_ENGINE": "vllm", "RUNTIME_POD": "p", "RUNTIME_MODEL": "m", "RUNTIME_METRICS_PREFIX": "fleet_"}
    assert parse([], {**environ, "REQUEST_TIMEOUT": "5.5"}).request_timeout_s == 5.5
    assert parse([], environ).metrics_prefix == "fleet_"


def test_the_engines_url_may_be_given_with_its_metrics_path() -> None:
    assert parse(REQUIRED, {"RUNTIME_URL": "http://localhost:8000/metrics"}).engine_base_url == "http://localhost:8000"
    assert parse([*REQUIRED, "-B", "http://e/api"], {}).engine_base_url == "http://e/api"


def test_secrets_come_by_environment_and_are_shown_nowhere() -> None:
    settings = parse(REQUIRED, {"RUNTIME_API_TOKEN": "token-1", "VLLM_API_KEY": "key-1"})
    assert (settings.token, settings.engine_api_key) == ("token-1", "key-1")
    assert "token-1" not in repr(settings)
    assert "key-1" not in repr(settings)


@pytest.mark.parametrize(
    ("argv", "environ", "words"),
    [
        ([], {}, ["-E or --engine", "RUNTIME_ENGINE"]),
        (REQUIRED[:2], {}, ["-I or --pod", "RUNTIME_POD"]),
        (["-E", "tgi", *REQUIRED[2:]], {}, ["--engine", "'tgi'", "vllm and sglang"]),
        ([*REQUIRED, "-P", "65536"], {}, ["--port", "'65536'"]),
        ([*REQUIRED, "-P", "-1"], {}, ["--port"]),
        (REQUIRED, {"RUNTIME_PORT": "tcp://10.0.0.1:80"}, ["RUNTIME_PORT", "0 to 65535"]),
        ([*REQUIRED, "-B", "localhost:8000"], {}, ["--engine-base-url", "http://HOST:PORT"]),
        ([*REQUIRED, "-B", "http://h:99999"], {}, ["--engine-base-url"]),
        ([*REQUIRED, "-B", "file:///etc/passwd"], {}, ["--engine-base-url"]),
        ([*REQUIRED, "-M", "metrics"], {}, ["--engine-metrics-path", "/metrics"]),
        ([*REQUIRED, "--metrics-prefix", "9x"], {}, ["--metrics-prefix"]),
        ([*REQUIRED, "--request-timeout", "nan"], {}, ["--request-timeout", "seconds"]),
        ([*REQUIRED, "--request-timeout", "soon"], {}, ["--request-timeout"]),
        ([*REQUIRED, "--max-body-bytes", "1"], {}, ["--max-body-bytes"]),
        ([*REQUIRED, "--verbos"], {}, ["--verbos", "--help"]),
        ([*REQUIRED, "-I", "a\nb"], {}, ["--pod"]),
    ],
)
def test_what_cannot_be_used_is_one_line(argv: list[str], environ: dict[str, str], words: list[str]) -> None:
    with pytest.raises(UsageError) as raised:
        parse(argv, environ)
    line = str(raised.value)
    assert "\n" not in line
    assert [word for word in words if word not in line] == []


def test_a_password_in_a_url_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError) as raised:
        parse([*REQUIRED, "-B", "http://user:hunter2hunter2@e:8000"], {})
    assert "hunter2hunter2" not in str(raised.value)


@pytest.mark.parametrize("name", ["RUNTIME_API_TOKEN", "RUNTIME_ENGINE_API_KEY", "VLLM_API_KEY", "HF_AUTH_TOKEN", "ACCESS_KEY"])
@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {}", "{}\t"])
def test_a_secret_that_no_header_can_carry_is_said_at_once_and_not_shown(name: str, around: str) -> None:
    """As one that was made from a file with a line break at its end: every call would fail, each in its own way."""
    environ = {name: around.format("s3cr3t-value")}
    with pytest.raises(UsageError, match=f"^{name}: ") as raised:
        DownloadSettings.of_environment(environ)
        parse(REQUIRED, environ)
    assert "s3cr3t" not in str(raised.value)
    DownloadSettings.of_environment({name: "s3cr3t-value"})
    parse(REQUIRED, {name: "s3cr3t-value"})


def test_a_bad_setting_ends_with_2_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-E", "tgi"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hallmark-runtime: --engine: 'tgi' cannot be used")
    assert said.count("\n") == 1


def test_a_port_that_is_taken_ends_with_3_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    engine = StandInEngine()
    try:
        assert main([*REQUIRED, "-H", "127.0.0.1", "-P", engine.url.rpartition(":")[2]]) == 3
    finally:
        engine.stop()
    assert "cannot listen" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("host", ["a" * 70, ".a..b"])
def test_a_host_that_is_none_ends_with_3_and_one_line(capsys: pytest.CaptureFixture[str], host: str) -> None:
    assert main([*REQUIRED, "-H", host]) == 3
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"hallmark-runtime: {host}:9000: cannot listen: that is no host")


@pytest.mark.e2e
def test_the_command_serves_says_what_holds_and_ends_when_told(tmp_path: Path) -> None:
    engine = StandInEngine(b"vllm:num_requests_waiting 1\n")
    log = tmp_path / "sidecar.log"
    secret = "hf_abcdefghijklmnopqrstuvwx"
    try:
        with command([*REQUIRED, "-B", engine.url], log=log, environ={"HF_AUTH_TOKEN": secret}) as (url, pid):
            answer = httpx.get(url + "/metrics", trust_env=False)
            assert "matrixinfer:num_requests_waiting 1\n" in answer.text
            body = {"source": "../x", "output_dir": "/nowhere", "config": {"hf_token": secret}}
            assert httpx.post(url + "/v1/download_model", json=body, trust_env=False).status_code == 400
            assert alive(pid)
    finally:
        engine.stop()
    assert not alive(pid)
    text = log.read_text()
    assert "engine = vllm (command line)" in text
    assert "RUNTIME_API_TOKEN is not set" in text
    assert secret not in text
    assert "Traceback" not in text


@pytest.mark.e2e
@pytest.mark.parametrize(
    "begun", [b"GET /health HTTP/1.1\r\nX: ", b"POST /v1/jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;"]
)
def test_a_head_without_an_end_is_cut_off(tmp_path: Path, begun: bytes) -> None:
    """Bodies are limited elsewhere; of heads, and of what may stand beside a chunk's length, nobody needs a megabyte."""
    with command([*REQUIRED, "-B", "http://127.0.0.1:9"], log=tmp_path / "log") as (url, _):
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            try:
                connection.sendall(begun + b"x" * (4 << 20))
                said = connection.recv(4096)
            except ConnectionError:
                said = b""
        assert said == b"" or said.startswith(b"HTTP/1.1 400")


@pytest.mark.long
@pytest.mark.e2e
def test_who_waits_for_a_download_hears_of_the_end_of_the_service(tmp_path: Path) -> None:
    reached, released = threading.Event(), threading.Event()

    def hold(_path: str) -> None:
        reached.set()
        released.wait(30)

    log, root = tmp_path / "log", tmp_path.resolve()
    asked = {"source": "org/model", "output_dir": f"{root}/model"}
    with Hub({"org/model": Repository({"weights": bytes(10_000)})}, after_first=hold) as hub, ThreadPoolExecutor(1) as other:
        environ = {"RUNTIME_DOWNLOAD_ROOTS": str(root), "RUNTIME_ALLOWED_NETWORKS": "127.0.0.0/8", "HF_ENDPOINT": hub.url}
        with command([*REQUIRED, "-B", "http://127.0.0.1:9"], log=log, environ=environ) as (url, pid):
            waiting = other.submit(httpx.post, url + "/v1/download_model", json=asked, trust_env=False, timeout=60)
            assert reached.wait(60)
            os.kill(pid, signal.SIGTERM)
            answer = waiting.result()
        released.set()
    assert (answer.status_code, answer.json()) == (503, {"detail": INTERRUPTED})
    assert "Traceback" not in log.read_text()
