"""The entrypoint whole: the real gateway before a stand-in for vLLM, started, asked, stopped, killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from hallmark_engine.healthcheck import healthy

from hallmark.serving.ports import free_port
from selftests.engine.entrypoint import image
from selftests.gateway.streams import Streams

ROOT = Path(__file__).resolve().parents[2]
START = ROOT / "engine" / "start.py"


def refused(*arguments: str, **environ: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, str(START), *arguments],
        env={"ENGINE_FLAVOR": "cpu", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_a_setting_that_cannot_be_meant_is_one_line_and_exit_code_2() -> None:
    assert refused(PORT="http") == (2, "engine: PORT='http': must be a whole number from 1 to 65535\n")


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    code, text = refused(ENGINE_CACHE="/proc")
    assert code == 3
    assert "TROUBLE cache-not-writable" in text
    assert len(text.splitlines()) == 1


def test_an_image_for_gpus_without_one_is_named() -> None:
    code, text = refused(ENGINE_FLAVOR="cuda", PATH="/nowhere")
    assert code == 3
    assert "TROUBLE gpu-not-visible" in text


def test_another_command_is_run_in_place_of_the_engine() -> None:
    assert refused(sys.executable, "-c", "print('mine')") == (0, "mine\n")


def test_the_healthcheck_says_why(tmp_path: Path) -> None:
    assert not healthy(tmp_path / "none")[0]
    (tmp_path / "address").write_text(json.dumps({"host": "127.0.0.1", "port": free_port("127.0.0.1")}), encoding="utf-8")
    good, words = healthy(tmp_path / "address")
    assert not good
    assert "ConnectionRefusedError" in words


@pytest.mark.e2e
def test_the_gateway_answers_for_the_engine_and_a_stop_leaves_nothing(tmp_path: Path) -> None:
    with image(tmp_path) as running:
        assert running.up()
        assert healthy(tmp_path / "address.json")[0]
        version = httpx.get(running.url + "/version").json()
        assert (version["model"], version["build_sha"]) == ("stand-in", "dev")
        question = {"model": "stand-in", "messages": [{"role": "user", "content": "1+1="}], "max_tokens": 4}
        assert (
            httpx.post(running.url + "/v1/chat/completions", json=question, timeout=10).json()["usage"]["completion_tokens"] > 0
        )
        running.process.send_signal(signal.SIGTERM)
        text = running.end()
        assert running.process.returncode == 0
        assert "engine: SIGTERM: stopping" in text
        assert "TROUBLE" not in text
        assert running.status("/livez") == 0


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.parametrize(("grace_s", "whole"), [("", 32), ("2", 0)])
def test_a_stop_lets_running_answers_come_to_their_end(tmp_path: Path, grace_s: str, whole: int) -> None:
    """The engine goes on until the gateway has ended; the twin's grace is too short for these answers."""
    with image(tmp_path, "--itl-ms", "100", STOP_GRACE_S=grace_s) as running:
        assert running.up()
        streams = Streams(running.url, model="stand-in", tokens=80)
        running.process.send_signal(signal.SIGTERM)
        assert streams.whole() == whole
        running.end()
        assert running.process.returncode == 0


@pytest.mark.e2e
def test_a_key_is_demanded_by_the_gateway_and_by_the_engine(tmp_path: Path) -> None:
    with image(tmp_path, GATEWAY_API_KEYS="key-of-this-test") as running:
        assert running.up()
        assert running.status("/v1/models") == 401
        assert running.status("/v1/models", "another-key") == 401
        assert running.status("/v1/models", "key-of-this-test") == 200
        behind = httpx.get(
            f"http://127.0.0.1:{running.engine_port}/v1/models", headers={"Authorization": "Bearer key-of-this-test"}
        )
        assert behind.status_code == 401
        running.process.terminate()
        assert "key-of-this-test" not in running.end()


@pytest.mark.e2e
def test_an_engine_that_ends_ends_the_container_with_its_code(tmp_path: Path) -> None:
    with image(tmp_path, STAND_IN_FAULTS="exit-at-start=9") as running:
        text = running.end()
        assert running.process.returncode == 9
        assert text.splitlines()[-1] == "engine: vLLM ended by itself (exit code 9); so the container ends with 9"


@pytest.mark.e2e
def test_a_known_trouble_is_the_last_word(tmp_path: Path) -> None:
    with image(
        tmp_path, STAND_IN_SAYS="torch.OutOfMemoryError: CUDA out of memory.", STAND_IN_FAULTS="exit-at-start=9"
    ) as running:
        last = running.end().splitlines()[-2:]
        assert running.process.returncode == 9
        assert "ended by itself" in last[0]
        assert last[1].startswith("engine: TROUBLE out-of-memory: reduce MAX_MODEL_LEN")
