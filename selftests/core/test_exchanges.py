"""The file of exchanges: whole lines, of which each is known by its digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.core.errors import InfrastructureError
from hallmark.core.exchanges import EXCHANGES_FILE, append_exchanges, digest_of, lines_of, read_exchanges
from hallmark.core.redact import MASK, Redactor

REDACT = Redactor(["a known secret"])


def test_what_is_appended_is_read_with_its_digest(tmp_path: Path) -> None:
    assert list(read_exchanges(tmp_path)) == []
    lines = lines_of("server.a", [{"about": True, "rule": {"status": 200}}, {"lost": "a known secret \ud800"}], REDACT)
    append_exchanges(tmp_path, lines[:1])
    append_exchanges(tmp_path, lines[1:])
    first, second = read_exchanges(tmp_path)
    assert ([first.digest, second.digest], second.where) == ([*map(digest_of, lines)], f"{EXCHANGES_FILE} row 2")
    assert (first.check, dict(first.rule), dict(second.rule)) == ("server.a", {"status": 200}, {})
    assert second.content["lost"] == f"{MASK} ?"


@pytest.mark.parametrize("left", [b"", b'{"check": "server.a"', b"\xff"])
def test_a_part_of_a_line_that_a_kill_left_spoils_no_other(tmp_path: Path, left: bytes) -> None:
    append_exchanges(tmp_path, ['{"check": "one"}'])
    with (tmp_path / EXCHANGES_FILE).open("ab") as file:
        file.write(left)
    assert [one.check for one in read_exchanges(tmp_path)] == ["one"]
    append_exchanges(tmp_path, ['{"check": "two"}'])
    assert [one.check for one in read_exchanges(tmp_path)] == ["one", "two"]


def test_a_folder_that_takes_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="cannot be written"):
        append_exchanges(tmp_path / "none", ["{}"])
