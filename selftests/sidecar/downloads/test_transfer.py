"""A transfer by itself, of files far smaller than real ones in segments that are smaller still."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hallmark_services.sidecar.downloads.checksums import Digest, DigestKind, hasher
from hallmark_services.sidecar.downloads.folder import Folder
from hallmark_services.sidecar.downloads.hub_reader import answered
from hallmark_services.sidecar.downloads.partial import Partial
from hallmark_services.sidecar.downloads.remote import Interrupted, RemoteFile, TransferError
from hallmark_services.sidecar.downloads.transfer import ATTEMPTS, Counts, Patience, Transfer

KINDS: list[DigestKind] = ["md5", "sha256", "git-sha1", "md5-of-parts", "crc32"]


@pytest.fixture(autouse=True, scope="module")
def _no_pauses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hallmark_services.sidecar.downloads.transfer._FIRST_PAUSE_S", 0.0)
        yield


class Stuttering:
    """A source that sends two bytes at a time and is cut as often as it is told to; then it may end the download."""

    def __init__(self, data: bytes, cuts: Sequence[int], *, then: Exception | None = None) -> None:
        self._data = data
        self._cuts = list(cuts)
        self._then = then

    def files(self) -> Sequence[RemoteFile]:
        return []

    def read(self, file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        sent_before_cut = self._cuts.pop() if self._cuts else None
        if sent_before_cut is None and self._then:
            raise self._then
        for number, position in enumerate(range(start, end, 2)):
            if number == sent_before_cut:
                raise Interrupted("cut")
            yield self._data[position : min(position + 2, end)]


def remote(data: bytes, kind: DigestKind, part_size: int) -> RemoteFile:
    computed = hasher(Digest(kind, "", part_size), size=len(data))
    computed.update(data)
    return RemoteFile("weights", len(data), "v", Digest(kind, computed.hexdigest(), part_size))


def run(store: Stuttering, file: RemoteFile, workshop: Path) -> tuple[bytes, Counts]:
    transfer = Transfer(store, workshop=Folder.at(workshop.resolve()), workers=3, counts=(counts := Counts()), segment=64)
    transfer.run([file])
    return transfer.done.read(file.key), counts


@settings(deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    size=st.integers(0, 400),
    part_size=st.integers(1, 90),
    before=st.lists(st.integers(1, 20), max_size=4),
    after=st.lists(st.integers(1, 20), max_size=2),
)
def test_a_file_is_whole_and_checked_however_it_was_cut(
    tmp_path_factory: pytest.TempPathFactory, kind: DigestKind, size: int, part_size: int, before: list[int], after: list[int]
) -> None:
    data, workshop = bytes(number * 7 % 251 for number in range(size)), tmp_path_factory.mktemp("transfer")
    file = remote(data, kind, part_size)
    with contextlib.suppress(TransferError):
        run(Stuttering(data, before, then=TransferError(502, "given up")), file, workshop)
    there, counts = run(Stuttering(data, after), file, workshop)
    assert there == data
    assert (counts.bytes_done, counts.files_done) == (size, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_of_an_earlier_try_that_were_spoilt_are_fetched_again(tmp_path: Path, kind: DigestKind) -> None:
    data = bytes(range(200))
    file = remote(data, kind, 16)
    with pytest.raises(TransferError):
        run(Stuttering(data, [10] * 3, then=TransferError(502, "given up")), file, tmp_path)
    part = tmp_path / "parts" / file.key
    part.write_bytes(bytes(200))
    assert run(Stuttering(data, []), file, tmp_path)[0] == data


def test_what_came_in_segments_of_another_length_is_not_taken_for_what_is_missing(tmp_path: Path) -> None:
    """A store that tells its parts one time and not the next: then there is no checksum that would find it out."""
    data = bytes(range(120))
    told = remote(data, "md5-of-parts", 60)
    (tmp_path / "parts").mkdir()
    partial = Partial(Folder.at(tmp_path.resolve() / "parts"), told.key, told.size, segment=60)
    partial.prepare()
    for index in partial.segments:
        with partial.writing(index) as writer:
            writer.write(data[index * 60 :][:20])
    assert run(Stuttering(data, []), RemoteFile(told.path, told.size, told.version), tmp_path)[0] == data


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_sends_other_bytes_than_it_promised_is_found_out(tmp_path: Path, kind: DigestKind) -> None:
    data = bytes(range(200))
    other = data[:150] + b"!" + data[151:]
    with pytest.raises(TransferError, match="checksum"):
        run(Stuttering(other, []), remote(data, kind, 16), tmp_path)
    assert not list((tmp_path / "done").iterdir())
    assert run(Stuttering(data, []), remote(data, kind, 16), tmp_path)[0] == data


class Clock(threading.Event):
    """Notes for how long it is waited for, and lets nobody wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        return False


@pytest.mark.parametrize(("busy", "least_s", "most_s"), [(False, 1.5, 4), (True, 30, 62)])
def test_a_source_that_is_busy_is_left_alone_for_longer(
    monkeypatch: pytest.MonkeyPatch, busy: bool, least_s: float, most_s: float
) -> None:
    monkeypatch.setattr("hallmark_services.sidecar.downloads.transfer._FIRST_PAUSE_S", 0.05)
    patience = Patience(clock := Clock())
    with pytest.raises(TransferError, match="7 times in a row"):
        for _ in range(ATTEMPTS):
            patience.failed(Interrupted("no", busy=busy))
    assert least_s <= sum(clock.waited) <= most_s


@pytest.mark.parametrize(("status", "busy"), [(429, True), (503, True), (500, False), (408, False)])
def test_a_hub_that_limits_its_callers_is_busy(status: int, busy: bool) -> None:
    exc = answered(status, "x")
    assert isinstance(exc, Interrupted)
    assert exc.busy is busy
