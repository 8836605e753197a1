"""The image's settings: every variable with its default, and one line for each that cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hallmark_engine.settings import Settings, Wrong, read

from hallmark.core.keys import SAFE_SECRET_BYTES

KEY = "ssh-ed25519 " + "A" * 68 + " someone@somewhere"


def of(*arguments: str, **environ: str) -> Settings:
    return read(arguments, environ)


def test_without_a_word_the_defaults_hold() -> None:
    settings = of()
    assert settings.model == settings.served_name == "Qwen/Qwen2.5-3B-Instruct"
    assert (settings.host, settings.port, settings.engine_port) == ("0.0.0.0", 8000, 8001)
    assert (settings.dtype, settings.tensor_parallel, settings.max_model_len) == ("", 1, 8192)
    assert settings.gpu_memory_utilization == 0.90
    assert (settings.build_sha, settings.build_time) == ("dev", "dev")
    assert (settings.sshd, settings.public_key, settings.ssh_port) == (False, "", 22)
    assert settings.hf_token == ""


def test_every_variable_is_heard(tmp_path: Path) -> None:
    settings = of(
        MODEL_ID=str(tmp_path),
        SERVED_MODEL_NAME="mine",
        HF_TOKEN="hf_x",
        PORT="9000",
        HOST="::1",
        DTYPE="half",
        TENSOR_PARALLEL="4",
        MAX_MODEL_LEN="4096",
        GPU_MEMORY_UTILIZATION="0.8",
        BUILD_SHA="abc",
        BUILD_TIME="now",
        ENABLE_SSHD="1",
        SSH_PORT="2222",
    )
    assert (settings.model, settings.served_name, settings.hf_token) == (str(tmp_path), "mine", "hf_x")
    assert (settings.port, settings.host, settings.dtype) == (9000, "::1", "float16")
    assert (settings.tensor_parallel, settings.max_model_len, settings.gpu_memory_utilization) == (4, 4096, 0.8)
    assert (settings.build_sha, settings.build_time, settings.sshd, settings.ssh_port) == ("abc", "now", True, 2222)


def test_an_empty_variable_is_one_not_given() -> None:
    assert of(PORT="", DTYPE=" ", HF_TOKEN="") == of()


def test_a_public_key_asks_for_sshd() -> None:
    assert of(PUBLIC_KEY=KEY).sshd
    assert of(PUBLIC_KEY=KEY + "\n" + KEY).sshd


def test_a_folder_is_served_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    assert of(MODEL_ID=str(tmp_path / "tiny")).served_name == "tiny"


def test_flags_of_vllm_win_and_the_others_are_passed_on(tmp_path: Path) -> None:
    settings = of("--model", str(tmp_path), "--port=9001", "--max_model_len", "64", "--seed", "0", "--enforce-eager", PORT="9000")
    assert (settings.model, settings.port, settings.max_model_len) == (str(tmp_path), 9001, 64)
    assert settings.passed_on == ("--seed", "0", "--enforce-eager")


def test_the_engines_port_makes_way() -> None:
    assert of(PORT="8001").engine_port == 8002


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MODEL_ID", "../up"),
        ("MODEL_ID", "a b"),
        ("MODEL_ID", "/no/such/folder"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("HOST", "no host"),
        ("HOST", "-x"),
        ("DTYPE", "int4"),
        ("TENSOR_PARALLEL", "0"),
        ("TENSOR_PARALLEL", "1.5"),
        ("MAX_MODEL_LEN", "-1"),
        ("MAX_MODEL_LEN", "8k"),
        ("GPU_MEMORY_UTILIZATION", "0"),
        ("GPU_MEMORY_UTILIZATION", "1.01"),
        ("GPU_MEMORY_UTILIZATION", "90"),
        ("GPU_MEMORY_UTILIZATION", "nan"),
        ("ENABLE_SSHD", "maybe"),
        ("SSH_PORT", "70000"),
        ("STOP_GRACE_S", "-1"),
        ("HF_TOKEN", "two words"),
        ("JWT_SECRET", "x" * (SAFE_SECRET_BYTES - 1)),
        ("VLLM_API_KEY", "two,keys"),
        ("PUBLIC_KEY", "not a key"),
        ("PUBLIC_KEY", "-----BEGIN OPENSSH PRIVATE KEY-----"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(name: str, text: str) -> None:
    with pytest.raises(Wrong, match=f"^{name}=") as caught:
        of(**{name: text})
    assert len(str(caught.value).splitlines()) == 1


def test_a_short_secret_is_taken_where_that_is_said() -> None:
    """The limit is the gateway's own."""
    assert of(JWT_SECRET="x", GATEWAY_INSECURE="yes") == of(JWT_SECRET="x" * SAFE_SECRET_BYTES)


@pytest.mark.parametrize("name", ["HF_TOKEN", "PUBLIC_KEY", "JWT_SECRET", "VLLM_API_KEY"])
def test_a_refused_secret_is_not_shown(name: str) -> None:
    with pytest.raises(Wrong) as caught:
        of(**{name: "very secret PRIVATE KEY"})
    assert "very secret" not in str(caught.value)


def test_two_services_do_not_share_a_port() -> None:
    with pytest.raises(Wrong, match="SSH_PORT=8000: PORT has that port"):
        of(PUBLIC_KEY=KEY, SSH_PORT="8000")
    assert not of(SSH_PORT="8000").sshd, "no sshd, no conflict"


@pytest.mark.parametrize("arguments", [["--port"], ["--model", "--seed"], ["--dtype="]])
def test_a_flag_without_its_value_is_refused(arguments: list[str]) -> None:
    with pytest.raises(Wrong, match="no value follows"):
        of(*arguments)


@pytest.mark.parametrize("arguments", [["--api-key", "s"], ["--api-key=s"], ["--api_key=s"]])
def test_a_secret_on_the_command_line_is_refused(arguments: list[str]) -> None:
    with pytest.raises(Wrong, match="no place for a secret"):
        of(*arguments)
