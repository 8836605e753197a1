"""The chain of records, and the tree over rows: whatever is changed, dropped or moved shows."""

from __future__ import annotations

import errno
import json
import os
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.chain import ChainWriter, is_record, line_digest
from hallmark.core.errors import InfrastructureError
from hallmark.core.file_digests import ROW_DIGESTS, FileDigest, digest_folder, packed, root_of_files, unpacked
from hallmark.core.merkle import leaf_digest, root_of

ROWS = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
"""The leaves of Certificate Transparency's own reference tree, and below its roots after so many of them."""
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


@pytest.mark.parametrize(("n", "root"), list(enumerate(ROOTS)))
def test_the_tree_is_that_of_rfc_6962(n: int, root: str) -> None:
    assert root_of(leaf_digest(bytes.fromhex(row)) for row in ROWS[:n]).hex() == root


def test_each_line_holds_its_number_and_the_digest_of_the_one_before(tmp_path: Path) -> None:
    chain = ChainWriter(tmp_path / "records.jsonl")
    chain.mark("begins", {"format": 1})
    chain.append({"check": "a", "reason": "ünïcode ☃"})
    chain.mark("ends", {})
    lines = chain.path.read_bytes().splitlines()
    told = [json.loads(line) for line in lines]
    assert [one["number"] for one in told] == [1, 2, 3]
    assert told[0]["previous"] == ""
    assert [after["previous"] for after in told[1:]] == [line_digest(line) for line in lines[:-1]]
    assert [is_record(line) for line in lines] == [False, True, False]


def test_a_line_is_on_the_disk_when_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append((tmp_path / "records.jsonl").stat().st_size))
    chain = ChainWriter(tmp_path / "records.jsonl")
    chain.append({"check": "a"})
    chain.append({"check": "b"})
    assert len(synced) == 2
    assert synced[-1] == chain.path.stat().st_size > synced[0] > 0


def test_a_full_disk_leaves_no_half_line_and_the_chain_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = ChainWriter(tmp_path / "records.jsonl")
    chain.append({"check": "a"})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(InfrastructureError, match="No space left"):
        patched.setattr(os, "fsync", full)
        chain.append({"check": "b"})
    chain.append({"check": "c"})
    lines = chain.path.read_bytes().splitlines()
    assert [json.loads(line)["check"] for line in lines] == ["a", "c"]
    assert all(json.loads(after)["previous"] == line_digest(before) for before, after in pairwise(lines))


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize(("call", "written"), [("open", 0), ("write", 0.5), ("write", 1), ("fsync", 1), ("close", 1)])
def test_a_signal_at_any_moment_of_a_line_breaks_no_chain(
    call: str, written: float, before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C: what it broke off may stand there whole, half or not at all. The line behind it is the next one all the same."""
    chain = ChainWriter(tmp_path / "records.jsonl")
    for number in range(before):
        chain.append({"check": str(number)})
    real = getattr(os, call)

    def interrupted(*given: Any) -> None:
        if call == "write":
            real(given[0], given[1][: round(written * len(given[1]))])
        elif call != "open":
            real(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, call, interrupted)
        chain.append({"check": "broken off"})
    chain.append({"check": "interrupted"})
    lines = chain.path.read_bytes().splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(1, before + 2 + (written == 1)))
    assert [json.loads(line)["previous"] for line in lines] == ["", *map(line_digest, lines[:-1])]


def test_a_chain_goes_on_behind_its_last_whole_line(tmp_path: Path) -> None:
    """As when the report of a run that was killed is rendered."""
    path = tmp_path / "records.jsonl"
    ChainWriter(path).append({"check": "a"})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"check": "b", "rea')
    ChainWriter.resumed(path).mark("reported", {})
    (first, second) = path.read_bytes().splitlines()
    assert first + b"\n" == whole
    assert json.loads(second) == {"chain": "reported", "number": 2, "previous": line_digest(first)}


@pytest.mark.parametrize("content", [None, b"", b"half of a line", b"[]\n", b'{"check": "a"}\n'])
def test_what_is_no_chain_does_not_go_on(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "records.jsonl").write_bytes(content)
    with pytest.raises(InfrastructureError, match="chain"):
        ChainWriter.resumed(tmp_path / "records.jsonl")


def test_a_folder_is_told_by_its_files_and_their_rows(tmp_path: Path) -> None:
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals" / "a.samples.jsonl").write_bytes(b"one\ntwo\nthree")
    (tmp_path / "server.log").write_bytes(b"ready\n")
    (tmp_path / "report.html").write_bytes(b"made again")
    (tmp_path / "report.json.partial").write_bytes(b"half")
    found = digest_folder(tmp_path, without={"report.html"})
    assert list(found) == ["evals/a.samples.jsonl", ROW_DIGESTS, "server.log"]
    samples = found["evals/a.samples.jsonl"]
    assert (samples.rows, samples.root) == (3, root_of(map(leaf_digest, (b"one\n", b"two\n", b"three"))).hex())
    short = json.loads((tmp_path / ROW_DIGESTS).read_text())
    assert {path: len(unpacked(rows)) for path, rows in short.items()} == {"evals/a.samples.jsonl": 3}
    assert root_of_files(found) != root_of_files({path: digest for path, digest in found.items() if path != "server.log"})


@pytest.mark.parametrize("changed", [b"one\ntwo\nthre", b"two\none\nthree\n", b"one\nthree\n", b"one\ntwo\nthree\nfour\n", b""])
def test_another_row_is_another_root(changed: bytes) -> None:
    before, after = (FileDigest.of(BytesIO(content))[0] for content in (b"one\ntwo\nthree\n", changed))
    assert before.root != after.root


def test_short_digests_come_back() -> None:
    rows = [leaf_digest(row) for row in (b"one\n", b"two\n")]
    assert unpacked(packed(rows)) == [row[:8] for row in rows]
    assert unpacked(packed([])) == []
