"""Facts come from the server's own interpreter, or an error of one line does."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from hallmark.core.errors import InfrastructureError
from hallmark.environment.collect import collect, here, parse
from selftests.environment import fakes


def test_the_interpreter_and_the_environment_are_those_that_were_given(tmp_path: Path) -> None:
    facts = collect(Path(sys.executable), {"VLLM_TARGET_DEVICE": "cpu", "PATH": str(tmp_path)})
    assert facts.python_executable == sys.executable
    assert facts.environment == {"VLLM_TARGET_DEVICE": "cpu"}
    assert facts.cpu_cores >= 1
    assert facts.gcc_version == "Unknown"


def test_bytes_that_are_no_text_cost_no_fact(tmp_path: Path, root: Path) -> None:
    odd = {"VLLM_ODD": os.fsdecode(b"a\xff"), "PATH": str(tmp_path)}
    assert collect(Path(sys.executable), odd).environment == {"VLLM_ODD": "a?"}
    assert here(fakes.machine(root, VLLM_ODD="a\udcff")).environment == {"VLLM_ODD": "a?"}


BROKEN = {
    "failing": ("echo 'Fatal Python error' >&2; exit 3", "ended with exit code 3: Fatal Python error"),
    "mute": ("exit 0", "answered no facts"),
    "chatty": ("echo hello", "answered no facts"),
    "half": ("""echo '{"schema_version": 1}'""", "answered no facts at "),
    "hanging": ("sleep 60", "no facts after 0.3 s"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_interpreter_is_one_clear_line(tools: Path, *, name: str) -> None:
    script, message = BROKEN[name]
    fakes.tool(tools, "python", script)
    with pytest.raises(InfrastructureError, match=message) as caught:
        collect(tools / "python", {"PATH": "/bin:/usr/bin"}, timeout_s=0.3 if name == "hanging" else 10)
    assert str(tools / "python") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_interpreter_at_all(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="cannot be run: No such file or directory - name the server's interpreter"):
        collect(tmp_path / "python", {})


def test_what_a_site_hook_prints_first_is_ignored(root: Path) -> None:
    facts = here(fakes.machine(root))
    assert facts.gpu_models == "Unknown"
    text = json.dumps({"schema_version": 0})
    with pytest.raises(InfrastructureError):
        parse(f"hello\n{text}", where="x")


def test_gpu_models_count_what_is_there_more_than_once() -> None:
    chip = {"vendor": "tenstorrent", "name": "n300 L", "id": "1", "memory": "", "source": "tt-smi"}
    assert fakes.facts().gpu_models == "NVIDIA A100-SXM4-40GB"
    assert fakes.facts(accelerators=[chip, chip, chip | {"name": "n300 R"}]).gpu_models == "2 x n300 L, 1 x n300 R"
