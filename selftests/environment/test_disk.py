"""A full disk is told before an installation begins, or when it has run out, and nothing is tried again on it."""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hallmark.environment import disk
from hallmark.environment.disk import VARIABLE, DiskFull, needed_gb, ran_out
from hallmark.environment.provision import EnvironmentPlan, ensure
from selftests.environment.test_provision import NO_UV, wheel

PLAN = EnvironmentPlan(("tiny==1.0",), index="http://127.0.0.1:9/simple")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 60 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("not tested: no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def big_wheel(folder: Path) -> dict[str, str]:
    """The variables under which pip finds `tiny`, whose file is larger than the disk."""
    wheel(folder, "tiny", "1.0")
    with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny_data.bin", bytes(100_000_000))
    return NO_UV | {"PIP_FIND_LINKS": str(folder)}


@pytest.mark.long
@pytest.mark.e2e
def test_a_disk_that_runs_full_is_told_and_nothing_is_tried_again(small: Path, tmp_path: Path) -> None:
    environ = big_wheel(tmp_path / "wheels") | {VARIABLE: "0", "TMPDIR": str(tmp_path)}
    said: list[str] = []
    with pytest.raises(DiskFull, match="the disk is full") as caught:
        ensure(PLAN, small / "env", log=said.append, environ=environ)
    assert len(str(caught.value).splitlines()) == 1
    assert not [line for line in said if "besides" in line or "trying" in line]


@pytest.mark.e2e
def test_too_little_room_is_told_before_anything_is_installed(small: Path, tmp_path: Path) -> None:
    environ = big_wheel(tmp_path / "wheels") | {VARIABLE: "0.2"}
    with pytest.raises(DiskFull, match=r"about 0\.2 GB are needed and 0\.06\d? GB are free") as caught:
        ensure(PLAN, small / "env", log=lambda _: None, environ=environ)
    assert VARIABLE in caught.value.hint
    assert not (small / "env" / "bin").exists()


def test_what_is_needed_follows_from_the_plan_unless_it_is_said() -> None:
    assert needed_gb(["vllm==0.32.0+cpu", "torch"], editable=False, environ={}) == 3
    assert needed_gb(["vllm-tt-plugin>=1"], editable=False, environ={}) < 1
    assert needed_gb([], editable=True, environ={}) == 1
    assert needed_gb(["vllm"], editable=True, environ={VARIABLE: "12"}) == 12


@pytest.mark.parametrize(
    "output",
    [
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
        "error: Failed to install: torch.whl\n  Caused by: failed to copy file: No space left on device (os error 28)",
        "error: Disk quota exceeded (os error 122)",
    ],
)
def test_installers_that_ran_out_of_room_are_understood(output: str, tmp_path: Path) -> None:
    assert "the disk is full: " in ran_out("Collecting torch\n" + output, tmp_path)
    assert ran_out("ERROR: No matching distribution found for torch", tmp_path) == ""


def test_a_disk_that_took_not_even_the_installers_words_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)
    full = os.statvfs_result((*real[:3], 0, 0, *real[5:]))
    monkeypatch.setattr(disk.os, "statvfs", lambda _: full)
    assert ran_out("", tmp_path) == f"the disk is full at {tmp_path}"
