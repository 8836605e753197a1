"""`hallmark completion`: what each shell is offered, asked of bash itself and read in the scripts of the others."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hallmark import cli
from selftests.plugin.stand_in_spec import ROOT

# As bash does on TAB: the words so far, the last of which is to be completed.
ASK = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_shtab_hallmark hallmark "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}" 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def script_of(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.fixture
def bash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    if shutil.which("bash") is None:
        pytest.skip("not tested: no bash here")
    script = tmp_path / "hallmark.bash"
    script.write_text(script_of("bash", capsys))
    return script


def test_bash_offers_commands_options_and_names(bash: Path) -> None:
    def offered(*words: str) -> set[str]:
        text = ASK.format(script=bash, words=" ".join(map(shlex.quote, ("hallmark", *words))))
        ended = subprocess.run(["bash", "--norc", "-c", text], capture_output=True, text=True, check=True)
        return set(ended.stdout.split())

    assert set(cli.COMMANDS) <= offered("")
    assert offered("sp") == {"specs"}
    assert {"list", "show", "lint"} <= offered("specs", "")
    assert {"--server-url", "--server-python", "--server-wait"} <= offered("run", "--server-")
    assert {"hallmark-tiny", "hallmark-tiny-lora"} <= offered("run", "--model", "hallmark")
    assert offered("run", "--device", "t3") == {"t3k"}
    assert offered("init", "--device", "h200") == {"h200", "h200_x8"}
    assert offered("run", "--workflow", "rel") == {"release"}
    assert offered("run", "--server", "at") == {"attach"}
    assert "Qwen3-8B" in offered("specs", "show", "Qwen3")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{shlex.quote(sys.executable)} -m hallmark completion fish | head -n 1"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    assert (ended.stderr, len(ended.stdout.splitlines())) == ("", 1)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_scripts_name_them_too(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = script_of(shell, capsys)
    for name in (*cli.COMMANDS, "server-python", "hallmark-tiny-lora", "h200_x8", "release", "lint"):
        assert name in script, name


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["completion", "csh"])
    assert ended.value.code == 2
    assert "bash" in capsys.readouterr().err
