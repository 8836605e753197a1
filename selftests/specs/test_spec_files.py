"""Whatever lies in a folder of specs: reading it ends, in one line for each thing that is no file of a spec."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hallmark.core.errors import SpecError, UsageError
from hallmark.specs.catalogue import load_catalogue
from hallmark.specs.text_file import LARGEST_BYTES, read_text
from hallmark.workflows.spec_lint import lint
from selftests.specs.sheets import FAMILY, spec_folder

ROOT = Path(__file__).resolve().parents[2]
TIME_LIMIT_S = 120
"""Far beyond what it takes: without what is tested here, none of these would ever end."""


def hallmark(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hallmark", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIME_LIMIT_S)


def plant(folder: Path) -> dict[str, str]:
    """Things that are no specs, under names of specs; name -> what is said of it."""
    os.mkfifo(folder / "fifo.yaml")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket.yml"))
    (folder / "zero.yaml").symlink_to("/dev/zero")
    (folder / "terminal.yaml").symlink_to("/dev/tty")
    (folder / "folder.yaml").mkdir()
    (folder / "gone.yaml").symlink_to(folder / "nowhere")
    (folder / "itself.yaml").symlink_to(folder / "itself.yaml")
    with (folder / "enormous.yaml").open("wb") as stream:
        stream.truncate(1 << 40)
    return {
        "fifo.yaml": "it is a FIFO, not a file",
        "socket.yml": "it is a socket, not a file",
        "zero.yaml": "it is a device, not a file",
        "terminal.yaml": "it is a device, not a file",
        "folder.yaml": "it is a folder, not a file",
        "gone.yaml": "No such file",
        "itself.yaml": "symbolic links",
        "enormous.yaml": f"larger than {LARGEST_BYTES:,} bytes",
    }


@pytest.mark.long
@pytest.mark.e2e
def test_no_file_keeps_a_command_from_ending(tmp_path: Path) -> None:
    folder = spec_folder(tmp_path / "specs")
    (tmp_path / "weights").mkdir()
    wanted = plant(folder)
    ended = hallmark("specs", "lint", "--json", f"--spec-dir={folder}")
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert ended.stderr == ""
    said = {Path(remark["where"]).name: remark["message"] for remark in json.loads(ended.stdout)["remarks"]}
    assert [name for name, told in wanted.items() if told not in said.get(name, "")] == []


def test_no_file_beside_a_task_is_waited_for(tmp_path: Path) -> None:
    """lint reads every file of a `task_dir`: nobody writes to this one."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "sums.yaml").write_text("task: sums\n")
    os.mkfifo(tmp_path / "tasks" / "fifo.yaml")
    text = FAMILY.replace("      task: sums\n", "      task: sums\n      task_dir: ../tasks\n")
    folder = spec_folder(tmp_path / "specs", text)
    assert not [remark for remark in lint([folder])[1] if "no task" in remark.message]


@pytest.mark.e2e
@pytest.mark.parametrize("command", ["convert", "match"])
def test_no_file_keeps_another_command_from_ending(tmp_path: Path, command: str) -> None:
    os.mkfifo(tmp_path / "x.json")
    ended = hallmark("specs", command, tmp_path / "x.json")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "x.json: cannot be read: it is a FIFO, not a file" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("size", [LARGEST_BYTES, LARGEST_BYTES + 1])
def test_a_file_that_hides_its_size_is_read_up_to_the_limit(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of /proc say that they are empty; another may grow while it is read."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b" " * size)
    if size > LARGEST_BYTES:
        with pytest.raises(SpecError, match="larger than"):
            read_text(path)
    else:
        assert len(read_text(path)) == size
    assert read_text(Path("/proc/self/status")).startswith("Name:")


def test_what_takes_a_files_place_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at a file and its opening, a FIFO is put there."""
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\n")
    looked = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(Path, "stat", lambda _self, **_: looked)
    with pytest.raises(SpecError, match="it is a FIFO, not a file"):
        read_text(path)


def test_a_folder_that_cannot_be_listed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may list any: the refusal is planted."""

    def refused(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(UsageError) as caught:
        load_catalogue([tmp_path])
    assert str(caught.value) == f"--spec-dir {tmp_path}: cannot be listed: Permission denied - check the path and its permissions"
    assert caught.value.exit_code == 2


def test_a_file_for_a_folder_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("")
    with pytest.raises(UsageError, match="is not a folder"):
        load_catalogue([path])
