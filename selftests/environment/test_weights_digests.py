"""Digests of weights: as OpenSSF model signing makes them, read again when a file changes, and red where a hub's file is not."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hallmark.core.errors import Inconclusive
from hallmark.core.subjects import detail_digest
from hallmark.environment.collect import DIGESTS_FILE, parse_digests
from hallmark.environment.digest_cache import DigestCache
from hallmark.environment.weights_manifest import manifest_inside, manifest_of
from selftests.environment.test_interpreters import interpreters

OLD_S = 1_700_000_000


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + int(seconds * 1e9))


def test_the_root_is_that_of_model_signing(tmp_path: Path) -> None:
    """The digest was made once by model-signing 1.1.1, as the subject of `Payload(Config().hash(FOLDER))` of these files."""
    for name, content in (("d0/f", b"1"), ("d0-x", b"2"), ("a", b"3"), ("B", b"4"), (".gitignore", b"x"), (".git/HEAD", b"x")):
        written(tmp_path / name, content)
    found = manifest_of(tmp_path, DigestCache(None))
    assert [one["name"] for one in found.resources] == ["B", "a", "d0/f", "d0-x"]
    assert detail_digest("weights", found.detail()) == "7ee37f9dc5347a009d3a2111594ba882281e22708b3876603b92a37edffc0ec4"


def test_a_digest_is_kept_and_read_again_when_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, kept = written(tmp_path / "w" / "model.safetensors", b"one"), tmp_path / "cache" / "digests.json"
    later(monkeypatch, 10)
    first = manifest_of(file.parent, DigestCache(kept))
    again = DigestCache(kept)
    assert manifest_of(file.parent, again).resources == first.resources
    assert again.reads == 0
    times = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # of the same length and age
    changed = DigestCache(kept)
    assert manifest_of(file.parent, changed).resources != first.resources
    assert changed.reads == 1
    assert first.changed


def test_a_file_that_may_change_within_its_time_is_not_trusted(tmp_path: Path) -> None:
    file, kept = written(tmp_path / "w" / "model.safetensors", b"one"), tmp_path / "digests.json"
    for _ in range(2):
        cache = DigestCache(kept)
        manifest_of(file.parent, cache)
        assert cache.reads == 1


def test_a_cache_that_cannot_be_read_or_written_costs_nothing_but_time(tmp_path: Path) -> None:
    written(tmp_path / "w" / "model.safetensors", b"one")
    for odd in (b"[", b"[]", b'{"x": 1}'):
        assert manifest_of(tmp_path / "w", DigestCache(written(tmp_path / "digests.json", odd))).resources
    assert manifest_of(tmp_path / "w", DigestCache(Path("/proc/no/such"))).resources


def test_no_file_is_no_weights(tmp_path: Path) -> None:
    with pytest.raises(Inconclusive, match="no file of weights in "):
        manifest_of(tmp_path, DigestCache(None))


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A hub's cache: files are links to blobs, named by SHA-256 where they are large, else by git's SHA-1."""
    repository = tmp_path / "models--o--n"
    blobs = {
        "model.safetensors": (b"tensors", hashlib.sha256(b"tensors").hexdigest()),
        "config.json": (b"{}", hashlib.sha1(b"blob 2\0{}", usedforsecurity=False).hexdigest()),
    }
    folder = repository / "snapshots" / "abc"
    folder.mkdir(parents=True)
    for name, (content, digest) in blobs.items():
        written(repository / "blobs" / digest, content)
        (folder / name).symlink_to(f"../../blobs/{digest}")
    return folder


def test_a_whole_snapshot_is_one(snapshot: Path) -> None:
    found = manifest_of(snapshot, DigestCache(None))
    assert (found.of_hub, found.corrupt) == (2, ())


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_blob_with_other_content_is_named(snapshot: Path, name: str) -> None:
    (snapshot / name).resolve().write_bytes(b"other")
    (wrong,) = manifest_of(snapshot, DigestCache(None)).corrupt
    assert wrong.startswith(f"{name} has the content ")


def test_links_and_files_have_one_digest(snapshot: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(snapshot, tmp_path / "copied"))
    linked, plain = (manifest_of(folder, DigestCache(None)) for folder in (snapshot, copied))
    assert linked.resources == plain.resources
    assert (plain.of_hub, plain.corrupt) == (0, ())


def printed(python: Path, folder: Path) -> str:
    words = [str(python), "-I", "-c", DIGESTS_FILE.read_text(encoding="utf-8"), str(folder)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("python", interpreters(), ids=str)
def test_each_interpreter_prints_what_is_read_from_here(python: Path, snapshot: Path) -> None:
    inside = manifest_inside(snapshot, parse_digests(printed(python, snapshot), where="there"))
    here = manifest_of(snapshot, DigestCache(None))
    assert replace(here, states=None) == inside
    assert detail_digest("weights", inside.detail()) == detail_digest("weights", here.detail())


def test_of_files_that_are_not_here_what_is_wrong_is_named_and_no_change_is_seen(snapshot: Path) -> None:
    (snapshot / "config.json").resolve().write_bytes(b"other")
    inside = manifest_inside(snapshot, parse_digests(printed(Path(sys.executable), snapshot), where="there"))
    assert [told.partition(" has ")[0] for told in inside.corrupt] == ["config.json"]
    shutil.rmtree(snapshot)
    assert not inside.changed


def test_a_folder_without_a_file_is_no_weights_there_either(tmp_path: Path) -> None:
    with pytest.raises(Inconclusive, match="no file of weights in "):
        manifest_inside(tmp_path, parse_digests(printed(Path(sys.executable), tmp_path), where="there"))
