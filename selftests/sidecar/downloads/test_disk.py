"""A disk that is full: said, nothing half left, nothing of ours left on it, and the next try succeeds."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hallmark_services.sidecar.downloads import JobState
from selftests.sidecar.downloads.fetching import content, fetch, hub_settings, noise
from selftests.sidecar.downloads.hub_server import Hub, Repository

pytestmark = pytest.mark.e2e

NAME = "org/model"
SIZE = 3_000_000


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub({NAME: Repository({"weights": noise(50, SIZE)}, frozenset({"weights"}))}) as server:
        yield server


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 5 MiB; only root can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no small file system can be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_cannot_hold_it_is_noticed_before_a_byte_is_fetched(hub: Hub, small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(3_000_000))
    job = fetch(hub_settings(small_disk, hub.url), NAME, small_disk / "model")
    assert (job.state, job.status) == (JobState.FAILED, 507)
    assert "still to come" in job.error
    assert hub.reads(f"{NAME}/weights") == []
    filler.unlink()
    assert fetch(hub_settings(small_disk, hub.url), NAME, small_disk / "model").state is JobState.COMPLETED


def test_a_disk_that_fills_up_during_the_download(hub: Hub, small_disk: Path) -> None:
    filler = small_disk / "filler"

    def fill(_path: str) -> None:
        with filler.open("wb", buffering=0) as stream, pytest.raises(OSError, match="space"):
            while True:
                stream.write(bytes(65536))

    hub.before_body = fill
    job = fetch(hub_settings(small_disk, hub.url), NAME, small_disk / "model")
    assert (job.state, job.status) == (JobState.FAILED, 507)
    assert "full" in job.error
    assert not (small_disk / "model").exists()
    assert list((small_disk / ".hallmark-downloads").iterdir()) == [small_disk / ".hallmark-downloads" / "model.lock"]
    filler.unlink()
    hub.before_body = lambda _: None
    assert fetch(hub_settings(small_disk, hub.url), NAME, small_disk / "model").state is JobState.COMPLETED
    assert content(small_disk / "model") == hub.repositories[NAME].files


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A stand-in for a full disk where none can be mounted: no file may become longer, for us and whom we start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_quota_that_is_reached_during_the_download(hub: Hub, tmp_path: Path) -> None:
    with largest_file(SIZE // 2):
        job = fetch(hub_settings(tmp_path, hub.url), NAME, tmp_path / "model")
    assert (job.state, job.status) == (JobState.FAILED, 507), job.error
    assert not (tmp_path / "model").exists()
    assert fetch(hub_settings(tmp_path, hub.url), NAME, tmp_path / "model").state is JobState.COMPLETED
