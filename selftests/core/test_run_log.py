"""The log of a run: one redacted line for each event, with its UTC time, and none for figures that only tick."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hallmark.core import run_log
from hallmark.core.redact import Redactor
from hallmark.core.run_log import RunLog

SECRET = "a-secret-of-the-run"


def lines(folder: Path) -> list[str]:
    return (folder / "hallmark.log").read_text().splitlines()


def test_an_event_is_one_line_without_a_secret(tmp_path: Path) -> None:
    log = RunLog(tmp_path, Redactor([SECRET]))
    log.hear(f"SERVER LOST\n    it said {SECRET}\n\n    and ended", stays=True)
    log.write("too late", "error")
    first, second = lines(tmp_path)
    assert re.fullmatch(r"\S+Z INFO SERVER LOST \| it said \[redacted\] \| and ended", first)
    assert re.fullmatch(r"\S+Z ERROR too late", second)


def test_progress_is_written_when_it_is_another_and_seldom_where_only_figures_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RunLog(tmp_path, str)
    for done in range(100):
        log.hear(f"perf c1: {done} of 100 requests", stays=False)
    log.hear("the server is ready after 1.5 s", stays=False)
    assert [line.split(" INFO ")[1] for line in lines(tmp_path)] == [
        "perf c1: 0 of 100 requests",
        "the server is ready after 1.5 s",
    ]
    monkeypatch.setattr(run_log, "_REPEATED_AFTER_S", 0.0)
    log.hear("the server is ready after 2.5 s", stays=False)
    assert len(lines(tmp_path)) == 3


def test_a_log_that_cannot_be_written_ends_no_run(tmp_path: Path) -> None:
    RunLog(tmp_path / "absent", str).write("x")
    assert not (tmp_path / "absent").exists()
