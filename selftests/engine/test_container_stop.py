"""`docker stop` of a real container, whose process 1 is the image's entrypoint with a stand-in in vLLM's place."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hallmark.serving.ports import free_port
from selftests.core.polling import comes_true
from selftests.gateway.streams import Streams
from selftests.serving.containers import BASE, require_engine

pytestmark = [pytest.mark.docker, pytest.mark.e2e]

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "/repo/selftests/engine/stand_in_image.py"
PLACES = ("/usr/local/lib/python{0}/dist-packages", "/usr/local/lib/python{0}/site-packages")
"""Where an interpreter of Debian's, and one of Docker's own image, looks for packages."""


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def name() -> Iterator[str]:
    require_engine()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    inside = docker("run", "--rm", BASE, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    if inside != version:
        pytest.skip(f"not tested: the image has Python {inside}, its packages would be those of {version}")
    made = f"selftest-stop-{os.getpid()}"
    yield made
    subprocess.run(["docker", "rm", "-f", "-v", made], capture_output=True, check=False)


@pytest.mark.parametrize(("grace_s", "whole", "code"), [(40, 32, 0), (2, 0, 0)])
def test_docker_stop_lets_running_answers_come_to_their_end(name: str, grace_s: int, whole: int, code: int) -> None:
    """One number, told to Docker and to the image as run_image.sh tells it. The twin's is too small for these answers."""
    port = free_port("127.0.0.1")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    packages = sysconfig.get_paths()["purelib"]
    mounts = [word for place in PLACES for word in ("-v", f"{packages}:{place.format(version)}:ro")]
    variables = [word for pair in (f"STOP_GRACE_S={grace_s}", "MODEL_ID=stand-in") for word in ("-e", pair)]
    options = ["--stop-timeout", str(grace_s), "-p", f"127.0.0.1:{port}:8000", "-v", f"{ROOT}:/repo:ro", *mounts, *variables]
    command = ["python3", "-B", PROGRAM, "/tmp/place", "--itl-ms", "100"]
    docker("run", "-d", "--name", name, *options, BASE, *command)
    url = f"http://127.0.0.1:{port}"

    def healthy() -> bool:
        try:
            return httpx.get(url + "/healthz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    assert comes_true(healthy, within_s=60), docker("logs", name)
    streams = Streams(url, model="stand-in", tokens=120)
    docker("stop", name)
    assert streams.whole() == whole
    assert docker("inspect", "-f", "{{.State.ExitCode}}", name) == str(code)
