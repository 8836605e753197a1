"""The parts of a transfer by themselves: checksums, a file that is coming, the lock, the names of a source, addresses."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.core.errors import UsageError
from hallmark_services.sidecar.downloads import DownloadSettings
from hallmark_services.sidecar.downloads.addresses import is_public, may_be_the_operators, parse_address, within
from hallmark_services.sidecar.downloads.checksums import Digest, DigestKind, hasher
from hallmark_services.sidecar.downloads.folder import Folder
from hallmark_services.sidecar.downloads.lock import locked
from hallmark_services.sidecar.downloads.partial import Partial
from hallmark_services.sidecar.downloads.remote import RemoteFile, TransferError, require_plain

ROOT = Path(__file__).parents[3]


def expected(kind: DigestKind, data: bytes, part_size: int) -> str:
    match kind:
        case "crc32":
            return f"{zlib.crc32(data):08x}"
        case "git-sha1":
            return hashlib.sha1(b"blob " + str(len(data)).encode() + b"\0" + data).hexdigest()
        case "md5-of-parts":
            parts = [data[start : start + part_size] for start in range(0, len(data), part_size)]
            return hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
        case _:
            return hashlib.new(kind, data).hexdigest()


@given(
    st.sampled_from(["md5", "sha256", "git-sha1", "md5-of-parts", "crc32"]),
    st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=10),
    st.integers(1, 30),
)
def test_checksums_do_not_depend_on_how_the_pieces_come(kind: DigestKind, pieces: list[bytes], part_size: int) -> None:
    data = b"".join(pieces)
    computed = hasher(Digest(kind, "", part_size), size=len(data))
    for piece in pieces:
        computed.update(piece)
    assert computed.hexdigest() == expected(kind, data, part_size)


@given(
    st.integers(1, 200),
    st.integers(1, 50),
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 60)), max_size=40),
    st.integers(0, 40),
)
def test_what_has_come_is_found_again_and_the_rest_completes_it(
    tmp_path_factory: pytest.TempPathFactory, size: int, segment: int, writes: list[tuple[int, int]], reopen: int
) -> None:
    data = bytes(number % 251 for number in range(size))
    path = tmp_path_factory.mktemp("partial").resolve() / "file"
    folder = Folder.at(path.parent)
    partial = Partial(folder, "file", size, segment=segment)
    partial.prepare()
    rest = [(index, size) for index in partial.segments]
    for number, (index, count) in enumerate([*writes, *rest]):
        if number == reopen:
            before = [partial.position(i) for i in partial.segments]
            partial = Partial(folder, "file", size, segment=segment)
            partial.prepare()
            assert [partial.position(i) for i in partial.segments] == before
        if index in partial.segments:
            start, (_, end) = partial.position(index), partial.bounds(index)
            with partial.writing(index) as writer:
                if piece := data[start : min(start + count, end)]:
                    writer.write(piece)
    assert partial.contiguous(-1, wait_s=0) == size
    assert path.read_bytes() == data
    folder.close()


@pytest.mark.parametrize("spoil", ["counts", "data", "missing"])
def test_what_is_not_as_it_was_left_is_not_trusted(tmp_path: Path, spoil: str) -> None:
    path = tmp_path.resolve() / "file"
    folder = Folder.at(path.parent)
    partial = Partial(folder, "file", 100, segment=50)
    partial.prepare()
    with partial.writing(0) as writer:
        writer.write(b"x" * 30)
    assert Partial(folder, "file", 100, segment=50).resumed_bytes == 30
    match spoil:
        case "counts":
            path.with_name("file.counts").write_bytes(b"\xff" * 16)
        case "data":
            os.truncate(path, 99)
        case "missing":
            path.unlink()
    assert Partial(folder, "file", 100, segment=50).resumed_bytes == 0
    folder.close()


HOLDER = """
import sys, signal
from pathlib import Path
from hallmark_services.sidecar.downloads.folder import Folder
from hallmark_services.sidecar.downloads.lock import locked
with locked(Path(sys.argv[1]), waiting=lambda: print("waiting", flush=True)):
    print("held", flush=True)
    signal.pause()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_lock_is_free_the_moment_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = holder(path)
    assert line(first) == "held"
    second = holder(path)
    assert line(second) == "waiting"
    assert second.poll() is None
    first.send_signal(signal.SIGKILL)
    first.wait()
    # `readline` returns when the next one has it; that it is soon is the kernel's doing, and no timer of ours.
    assert line(second) == "held"
    second.kill()
    second.wait()
    assert path.exists(), "a lock's file that is removed lets two processes hold two locks of one name"
    for process in (first, second):
        assert process.stdout is not None
        process.stdout.close()


def test_a_lock_s_file_that_is_a_symlink_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"), locked(tmp_path / "lock", waiting=lambda: None):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("path", ["/a", "a/", "a//b", "../a", "a/../../b", ".", "a\0", "a\nb", "a\\b", "x" * 256, ".hallmark-x"])
def test_a_file_s_name_that_cannot_be_below_a_folder(path: str) -> None:
    good = RemoteFile("sub/..a", 1, "v")
    assert require_plain([good]) == [good]
    with pytest.raises(TransferError) as caught:
        require_plain([good, RemoteFile(path, 1, "v")])
    assert caught.value.status == 422


def test_a_size_below_nothing_is_the_source_s_fault() -> None:
    """It would also make room for the others below the limit of all together."""
    with pytest.raises(TransferError, match="size that none has: b") as caught:
        require_plain([RemoteFile("a", 1 << 60, "v"), RemoteFile("b", -(1 << 60), "v")])
    assert caught.value.status == 502


@pytest.mark.parametrize(
    ("text", "public", "operators"),
    [
        ("8.8.8.8", True, True),
        ("2606:4700::1111", True, True),
        ("::ffff:8.8.8.8", True, True),
        ("10.1.2.3", False, True),
        ("fd12::1", False, True),
        ("100.64.0.1", False, True),
        ("fec0::1", False, True),
        ("127.0.0.1", False, False),
        ("::1", False, False),
        ("::ffff:127.0.0.1", False, False),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("2002:7f00:1::", False, False),
        ("2001:0:4136:e378:8000:63bf:5601:5601", False, False),
        ("fe80::1%eth0", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, True),
        ("ff02::1", False, True),
    ],
)
def test_which_addresses_are_public_and_which_an_operator_s_endpoint_may_have(text: str, public: bool, operators: bool) -> None:
    address = parse_address(text)
    assert (is_public(address), may_be_the_operators(address)) == (public, operators)


def test_a_network_is_matched_through_a_mapped_address() -> None:
    assert within(parse_address("::ffff:10.0.0.1"), ("10.0.0.0/8",))
    assert not within(parse_address("11.0.0.1"), ("10.0.0.0/8",))


def test_settings_come_from_the_environment_and_bad_ones_say_so() -> None:
    environ = {
        "RUNTIME_DOWNLOAD_ROOTS": "/models, /cache",
        "RUNTIME_ALLOWED_NETWORKS": "10.0.0.0/8",
        "RUNTIME_MAX_DOWNLOADS": "2",
        "ACCESS_KEY": "own-key-id",
        "SECRET_KEY": "own-secret",
        "HF_AUTH_TOKEN": "hf_own",
        "AWS_ROLE_ARN": "role",
    }
    limits = DownloadSettings.of_environment(environ)
    assert (limits.allowed_roots, limits.max_active) == (("/models", "/cache"), 2)
    assert limits.credentials.ambient == {"AWS_ROLE_ARN": "role"}
    assert "own-" not in repr(limits)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUNTIME_MAX_DOWNLOADS", "-1"),
        ("RUNTIME_MAX_DOWNLOADS", "many"),
        ("RUNTIME_ALLOWED_NETWORKS", "10.0.0.0/99"),
        ("RUNTIME_ALLOWED_ENDPOINTS", "huggingface.co"),
        ("RUNTIME_DOWNLOAD_ROOTS", "models"),
        ("RUNTIME_DOWNLOAD_ROOTS", "/"),
        ("RUNTIME_ADDRESSING_STYLE", "sideways"),
        ("ENDPOINT", "minio:9000"),
        ("HF_ENDPOINT", "ftp://mirror"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_said_at_once(name: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        DownloadSettings.of_environment({name: value})
    assert "\n" not in str(caught.value)


def test_the_service_loads_no_client_library_itself() -> None:
    """They are the workers' business: the service starts fast, and holds none of their state."""
    program = "import sys, hallmark_services.sidecar.downloads; print([m for m in sys.modules if m in %r])"
    heavy = ("botocore", "boto3", "huggingface_hub", "httpx2", "fastapi", "pydantic")
    assert subprocess.check_output([sys.executable, "-c", program % (heavy,)], cwd=ROOT, text=True).strip() == "[]"
