"""The scripts around the image refuse early, in one line; and the smoke test fails where an engine does not answer."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

import install_vllm
import pytest
import yaml

from selftests.faulty import running

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "unix:///no/such/docker.sock"


def script(name: str, *arguments: str, **environ: str) -> tuple[int, str]:
    ended = subprocess.run(
        ["bash", str(ROOT / "engine" / name), *arguments],
        env={"PATH": os.environ["PATH"], "DOCKER_HOST": NOWHERE, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, (ended.stdout + ended.stderr).strip()


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"FLAVOR": "tpu"}, "FLAVOR=tpu: must be cuda or cpu"),
        ({"PUSH": "yes"}, "PUSH=yes: must be 0 or 1"),
        ({"TARGET_PLATFORM": "windows"}, "TARGET_PLATFORM=windows"),
        ({"TARGET_PLATFORM": "linux/arm64"}, "set TARGET_PLATFORM=linux/amd64"),
    ],
)
def test_a_build_that_cannot_be_meant_is_refused(environ: dict[str, str], said: str) -> None:
    code, text = script("build_image.sh", **environ)
    assert code == 2
    assert said in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("name", ["build_image.sh", "run_image.sh"])
def test_no_daemon_is_told_in_one_line(name: str) -> None:
    code, text = script(name)
    assert code == 3
    assert "docker" in text.lower()
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("name", ["build_image.sh", "run_image.sh", "smoke_test.sh"])
def test_help_is_printed_and_nothing_else_is_done(name: str, flag: str) -> None:
    """Without a daemon each of them would end with 1 or 3. Every variable that the script reads with a default is named."""
    code, text = script(name, flag)
    assert code == 0
    source = (ROOT / "engine" / name).read_text(encoding="utf-8")
    read = set(re.findall(r"\$\{([A-Z_]+):-", source)) - {"DOCKER_HOST", "PIP_FIND_LINKS", "BUILD_SHA", "BUILD_TIME"}
    passed_on = {"PORT", "MODEL_ID", "ENABLE_SSHD", "PUBLIC_KEY", "SSH_PORT"}  # engine/README.md has the image's own
    assert {variable for variable in read - passed_on if variable not in text} == set()
    assert f"engine/{name}" in text


@pytest.mark.parametrize("name", ["build_image.sh", "smoke_test.sh"])
def test_an_option_that_does_not_exist_is_refused(name: str) -> None:
    code, text = script(name, "--hlep")
    assert code == 2
    assert "--hlep" in text
    assert len(text.splitlines()) == 1


def test_compose_has_a_tag_of_its_own_and_publishes_ssh() -> None:
    """Building by compose must not replace an image that build_image.sh made; SSH that is on must be reachable."""
    engine = yaml.safe_load((ROOT / "engine" / "compose.yaml").read_text(encoding="utf-8"))["services"]["engine"]
    tag = re.sub(r"\$\{IMAGE_TAG:-(\w+)\}", r"\1", engine["image"]).rpartition(":")[2]
    assert tag not in ("cuda", "cpu")
    assert any(port.endswith(":${SSH_PORT:-22}") for port in engine["ports"])
    assert {"ENABLE_SSHD", "PUBLIC_KEY", "SSH_PORT"} <= set(engine["environment"])


def test_vllm_is_not_built_from_source(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    arguments = ["--flavor", "cuda", "--version", "0.32.0", "--python", "python3", "--find-links", "/nowhere"]
    assert install_vllm.main(arguments) == 2
    assert "TARGET_PLATFORM=linux/amd64" in capsys.readouterr().err


def test_the_smoke_test_says_that_nothing_was_started() -> None:
    code, text = script("smoke_test.sh", NAME="no-such-container")
    assert code == 1
    assert "there is no such container here" in text


def test_the_smoke_test_fails_where_there_is_no_gateway() -> None:
    with running() as server:
        code, text = script("smoke_test.sh", server.base_url, TIMEOUT_S="0.5", NAME="no-such-container")
    assert code == 1
    assert "FAILED: not healthy after 0 s: /healthz answers 404" in text.replace("after 1 s", "after 0 s")
