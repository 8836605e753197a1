"""Copies from a mounted volume: whole, only from below the roots, and never half of two versions."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hallmark_services.sidecar.downloads import JobState
from hallmark_services.sidecar.downloads.plan import DownloadPlan
from hallmark_services.sidecar.downloads.remote import Interrupted, TransferError
from hallmark_services.sidecar.downloads.volume import Volume
from selftests.sidecar.downloads.fetching import content, fetch, marked, noise, settings


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "volume"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    (folder / "sub" / "weights").write_bytes(noise(20, 300_000))
    (folder / "linked").symlink_to("sub/weights")
    return folder


def volume(source: Path, *roots: Path) -> Volume:
    plan = DownloadPlan(
        kind="pvc",
        source="",
        place="",
        path=str(source).strip("/"),
        revision="",
        target="/target",
        root="/",
        workers=1,
        source_roots=tuple(map(str, roots)),
    )
    return Volume(plan)


def test_a_folder_is_copied_whole_links_as_what_they_lead_to(source: Path, tmp_path: Path) -> None:
    job = fetch(settings(tmp_path), f"pvc:/{source}", tmp_path / "target")
    assert (job.state, job.error) == (JobState.COMPLETED, "")
    assert content(tmp_path / "target") == content(source)
    assert marked(tmp_path / "target")
    assert not (tmp_path / "target" / "linked").is_symlink()


@pytest.mark.e2e
def test_a_target_below_its_source_is_not_copied_into_itself(source: Path) -> None:
    """As in the manual's example: pvc://models to /models/local."""
    before = content(source)
    assert fetch(settings(source), f"pvc:/{source}", source / "local").state is JobState.COMPLETED
    assert content(source / "local") == before
    assert fetch(settings(source), f"pvc:/{source}", source / "local").state is JobState.COMPLETED


@pytest.mark.e2e
def test_what_is_not_below_a_root_is_refused_and_nothing_told_of_it(source: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    limits = settings(tmp_path, source_roots=(str(tmp_path / "models"),))
    there = fetch(limits, f"pvc:/{source}", tmp_path / "target")
    nowhere = fetch(limits, f"pvc:/{source}-not", tmp_path / "target")
    assert (there.state, there.status) == (JobState.FAILED, 403)
    assert there.error == nowhere.error


@pytest.mark.parametrize("name", ["file", "folder", "hidden/deep"])
def test_a_link_out_of_the_roots_is_not_followed(source: Path, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    link = source / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(secret if name == "folder" else secret / "key")
    with pytest.raises(TransferError) as caught:
        volume(source, source).files()
    assert caught.value.status in (403, 422)


def test_what_is_no_file_is_said_and_not_waited_for(source: Path) -> None:
    os.mkfifo(source / "pipe")
    with pytest.raises(TransferError, match="pipe: it is no file"):
        volume(source, source).files()


def test_a_link_to_nothing_is_the_source_s_fault(source: Path) -> None:
    (source / "dangling").symlink_to("nowhere")
    with pytest.raises(TransferError, match="dangling: it leads to nothing") as caught:
        volume(source, source).files()
    assert caught.value.status == 422


def test_a_volume_that_fails_is_asked_again_and_is_not_called_the_target(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = volume(source, source)
    [listed] = [file for file in store.files() if file.path == "sub/weights"]

    def fails(*_: object) -> bytes:
        # A stand-in for a network volume whose server has gone.
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "pread", fails)
    with pytest.raises(Interrupted, match="sub/weights: the volume cannot be read"):
        list(store.read(listed, 0, listed.size))


def test_a_file_that_changes_while_it_is_read_is_noticed(source: Path) -> None:
    weights = source / "sub" / "weights"
    store = volume(source, source)
    [listed] = [file for file in store.files() if file.path == "sub/weights"]
    assert b"".join(store.read(listed, 0, listed.size)) == weights.read_bytes()
    pieces = store.read(listed, 0, listed.size)
    next(pieces)
    with weights.open("r+b") as stream:
        stream.write(b"changed")
    with pytest.raises(TransferError, match="changed during the download") as caught:
        list(pieces)
    assert caught.value.status == 409


def test_a_file_that_becomes_a_link_out_of_the_roots_is_not_read(source: Path, tmp_path: Path) -> None:
    store = volume(source, source)
    [listed] = [file for file in store.files() if file.path == "config.json"]
    (source / "config.json").unlink()
    (source / "config.json").symlink_to("/etc/hostname")
    with pytest.raises(TransferError) as caught:
        list(store.read(listed, 0, listed.size))
    assert caught.value.status == 403
