"""A spec should hold no secret; one that does gives it away in no error, no table and no traceback."""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from hallmark.cli import main
from hallmark.core.errors import HallmarkError, UsageError
from hallmark.specs.catalogue import load_catalogue
from hallmark.workflows import specs_command
from selftests.specs.sheets import spec_folder, spoilt

ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary-4711-of-the-spec"
TOKEN = "hf_" + "Canary4711" * 3
# What stands in the spec -> the text, which cannot be loaded.
HOLDS: dict[str, str] = {
    "a number under a secret's name": spoilt('A: "1" }', "HF_TOKEN: 4711000815 }"),
    "a list under a secret's name": spoilt('A: "1" }', f"API_KEY: [{CANARY}] }}"),
    "a mapping under a secret's name": spoilt('A: "1" }', f"API_KEY: {{ x: {CANARY} }} }}"),
    "a list of variables": spoilt('{ A: "1" }', f"[{{ HF_TOKEN: {CANARY} }}]"),
    "a token in a number's place": spoilt("max_context: 512", f"max_context: {TOKEN}"),
    "a token for a key": spoilt("family: small", f"family: small\n{TOKEN}: 1"),
    "a token twice": spoilt("family: small", f"family: small\n{TOKEN}: 1\n{TOKEN}: 2"),
    "a token for a status": spoilt("status: complete", f"status: {TOKEN}"),
    "a token for a variable": spoilt('A: "1" }', f'"{TOKEN}=x": y }}'),
    "a password in an index": spoilt("status: complete", f'status: complete\n    python_index: "ftp://me:{CANARY}@x.org"'),
    "a password in a specifier": spoilt('"==1.0"', f'"== https://me:{CANARY}@x.org/vllm.whl"'),
    "a password for a package": spoilt('vllm: "==1.0"', f'"https://me:{CANARY}@x.org/vllm.whl": ""'),
    "a password in an image": spoilt("status: complete", f'status: complete\n    image: "-v https://me:{CANARY}@x.org"'),
    "a password where nothing is unknown": spoilt("someone/Small-1B", f"https://me:{CANARY}@x.org/Small-1B"),
}
SECRETS = (CANARY, TOKEN, "4711000815")


@pytest.mark.parametrize("name", HOLDS)
def test_an_error_tells_where_and_not_what(tmp_path: Path, name: str) -> None:
    folder = spec_folder(tmp_path, HOLDS[name])
    with pytest.raises(HallmarkError) as caught:
        load_catalogue([folder])
    told = "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in SECRETS if secret in told], told
    assert caught.value.where.startswith(f"{folder / 'small.yaml'}:")


def test_a_value_that_is_no_secret_is_told(tmp_path: Path) -> None:
    """The clean twin: whoever mistyped a number sees it."""
    folder = spec_folder(tmp_path, spoilt("max_context: 512", "max_context: many"))
    with pytest.raises(HallmarkError, match="not 'many'"):
        load_catalogue([folder])


@pytest.mark.parametrize("text", [TOKEN, f"https://me:{CANARY}@x.org/a"])
def test_any_error_keeps_what_looks_like_a_secret(text: str) -> None:
    error = UsageError(f"'{text}' is no name", where=f"--model {text}", hint=f"did you mean {text}?")
    assert not [secret for secret in SECRETS if secret in f"{error}{error.args}{error.message}{error.where}{error.hint}"]
    assert str(error).count("[redacted]") == 3


@pytest.mark.parametrize("command", ["list", "expand", "show", "lint"])
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
def test_no_table_tells_what_looks_like_a_secret(
    tmp_path: Path, command: str, form: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a spec that loads, under names that say nothing; what stands under a secret's name `test_command.py` has."""
    monkeypatch.setattr(specs_command, "known_tasks", lambda: None)
    text = spoilt('A: "1" }', f'A: "{TOKEN}" }}').replace(
        "status: complete", f'status: complete\n    python_index: "https://me:{CANARY}@x.org/simple"'
    )
    folder = spec_folder(tmp_path, text.replace("hidden_size: 8", f"name: {TOKEN}"))
    name = ["small"] if command == "show" else []
    assert main(["specs", command, f"--spec-dir={folder}", *form, *name]) in (0, 1)
    told = "".join(capsys.readouterr())
    assert told
    assert not [secret for secret in SECRETS if secret in told], told


@pytest.mark.e2e
def test_a_traceback_does_not_tell_it_either(tmp_path: Path) -> None:
    folder = spec_folder(tmp_path, HOLDS["a list under a secret's name"])
    command = [sys.executable, "-m", "hallmark", "specs", "list", "-v", f"--spec-dir={folder}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 2
    assert "Traceback" in ended.stderr
    assert CANARY not in ended.stderr + ended.stdout
