"""Secrets leave the argument list before anybody can read it there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hallmark.workflows.secrets import moved_to_environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "kept", "environ"),
    [
        (["--jwt-secret", "abc", "--model", "x"], ["--model", "x"], {"JWT_SECRET": "abc"}),
        (["--jwt-secret=a=b"], [], {"JWT_SECRET": "a=b"}),
        (["--hf-token", "t", "--jwt-secret", "s"], [], {"HF_TOKEN": "t", "JWT_SECRET": "s"}),
        (["--model", "x"], ["--model", "x"], {}),
        (["--", "--jwt-secret", "abc"], ["--", "--jwt-secret", "abc"], {}),
        (["--jwt-secret"], ["--jwt-secret"], {}),
    ],
)
def test_moved(arguments: list[str], kept: list[str], environ: dict[str, str]) -> None:
    found: dict[str, str] = {}
    assert moved_to_environment(arguments, found) == kept
    assert found == environ


def test_the_command_line_wins() -> None:
    environ = {"JWT_SECRET": "old"}
    moved_to_environment(["--jwt-secret", "new"], environ)
    assert environ == {"JWT_SECRET": "new"}


def test_an_option_without_its_value_is_an_error() -> None:
    command = [sys.executable, "-m", "hallmark", "--workflow", "reports", "--jwt-secret"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "--jwt-secret: expected one argument" in ended.stderr
