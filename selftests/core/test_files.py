"""A run's folder is always new, a file is whole or the old one, and a disk that fails is one line that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from hallmark.core import files
from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.core.files import Hold, new_folder, object_at, write_json, write_text


def one_line(caught: pytest.ExceptionInfo[InfrastructureError], *, names: Path) -> None:
    assert str(names) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert "--artifacts" in caught.value.hint
    assert caught.value.exit_code == 3


def test_a_folder_is_never_used_twice(tmp_path: Path) -> None:
    (tmp_path / "run-2").write_text("a file is taken, too")
    made = [new_folder(tmp_path, "run") for _ in range(4)]
    assert [folder.name for folder in made] == ["run", "run-3", "run-4", "run-5"]
    assert all(folder.is_dir() and not any(folder.iterdir()) for folder in made)


def test_an_old_result_stays_where_it_is(tmp_path: Path) -> None:
    (old := new_folder(tmp_path, "run")).joinpath("records.jsonl").write_text("old")
    assert new_folder(tmp_path, "run") != old
    assert (old / "records.jsonl").read_text() == "old"


def test_the_parent_is_made(tmp_path: Path) -> None:
    assert new_folder(tmp_path / "a" / "b", "run") == tmp_path / "a" / "b" / "run"


def test_a_parent_that_is_a_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for parent in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InfrastructureError) as caught:
            new_folder(parent, "run")
        one_line(caught, names=parent)


def test_a_parent_that_refuses_is_an_error_of_one_line() -> None:
    """Nobody makes folders in /proc, root included."""
    with pytest.raises(InfrastructureError) as caught:
        new_folder(Path("/proc/hallmark"), "run")
    one_line(caught, names=Path("/proc/hallmark"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; the tests above plant what refuses root, too")
def test_a_parent_without_permission_is_an_error_of_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InfrastructureError) as caught:
        new_folder(tmp_path, "run")
    one_line(caught, names=tmp_path)


def test_a_nearly_full_disk_is_refused_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted through statvfs: works without root. The clean twin has one block more."""

    def free(blocks: int) -> None:
        monkeypatch.setattr(files.os, "statvfs", lambda _: SimpleNamespace(f_bavail=blocks, f_frsize=4096))

    least = files.LEAST_FREE_BYTES // 4096
    free(least - 1)
    with pytest.raises(InfrastructureError, match="64 MiB") as caught:
        new_folder(tmp_path, "run")
    one_line(caught, names=tmp_path)
    assert not (tmp_path / "run").exists()
    free(least)
    assert new_folder(tmp_path, "run").is_dir()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("needs root that may mount a tmpfs; test_a_full_disk_... plants the same error by /dev/full")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_real_small_disk_is_refused(tiny_disk: Path) -> None:
    with pytest.raises(InfrastructureError) as caught:
        new_folder(tiny_disk, "run")
    one_line(caught, names=tiny_disk)


def test_a_disk_that_fills_up_keeps_the_old_file(tiny_disk: Path) -> None:
    path = tiny_disk / "report.json"
    write_json(path, {"old": True})
    with pytest.raises(InfrastructureError, match="No space") as caught:
        write_text(path, "x" * 200_000)
    one_line(caught, names=path)
    assert path.read_text() == '{\n  "old": true\n}\n'
    assert [p.name for p in tiny_disk.iterdir()] == ["report.json"], "half a file was left"


def test_a_full_disk_while_writing_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "report.md.partial").symlink_to("/dev/full")
    with pytest.raises(InfrastructureError, match="No space") as caught:
        write_text(tmp_path / "report.md", "text")
    one_line(caught, names=tmp_path / "report.md")
    assert not (tmp_path / "report.md").exists()


@pytest.mark.parametrize("place", ["gone/report.md", "file/report.md"])
def test_a_file_that_cannot_be_written_is_an_error_of_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError) as caught:
        write_text(tmp_path / place, "text")
    one_line(caught, names=tmp_path / place)


def test_what_is_written_is_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "one")
    write_text(tmp_path / "a", "half a pair \ud83d")
    assert (tmp_path / "a").read_text() == "half a pair ?"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_folder_is_held_by_one_process_and_free_again_when_that_is_gone(tmp_path: Path) -> None:
    held = Hold(tmp_path)
    with pytest.raises(UsageError, match="another process writes there still"):
        Hold(tmp_path)
    held.release()
    held.release()
    program = "import sys; from pathlib import Path; from hallmark.core.files import Hold; Hold(Path(sys.argv[1])); print()"
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True)
    Hold(tmp_path).release()


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b'{"a":', b"\xff", b"[" * 100_000], ids=["empty", "list", "cut", "bytes", "deep"]
)
def test_what_is_no_object_is_an_empty_one(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert object_at(tmp_path / "a.json") == {}
    assert object_at(tmp_path / "missing.json") == {}
    assert object_at(tmp_path) == {}, "a folder"


def test_an_object_is_read_as_it_is(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [1, "é"]})
    assert object_at(tmp_path / "a.json") == {"a": [1, "é"]}
