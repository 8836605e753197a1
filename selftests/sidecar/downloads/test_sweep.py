"""What failed downloads left goes after a time; what is in use, young, or not ours stays."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from hallmark_services.sidecar.downloads import Downloads
from hallmark_services.sidecar.downloads.lock import locked
from hallmark_services.sidecar.downloads.sweep import sweep
from selftests.sidecar.downloads.fetching import settings

HOUR_S = 3600.0
NOW_S = time.time()
Change = Callable[[Path, ExitStack], None]


def left(folder: Path, name: str = "model", *, hours: float = 200) -> Path:
    """What a download that failed so many hours ago left of `folder/name`."""
    workshop = folder / ".hallmark-downloads"
    partial = workshop / f"{name}.partial"
    (partial / "parts").mkdir(parents=True)
    (partial / "done").mkdir()
    (partial / "parts" / "key").write_bytes(b"x" * 5000)
    (workshop / f"{name}.lock").touch()
    for path in [*partial.rglob("*"), partial]:
        os.utime(path, (NOW_S - hours * HOUR_S,) * 2)
    return partial


def swept(root: Path, *, wanted: frozenset[str] = frozenset(), hours: float = 168) -> list[Path]:
    return sweep([str(root)], kept_s=hours * HOUR_S, now_s=NOW_S, wanted=wanted)


def test_what_is_old_goes_wherever_it_lies_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    root = tmp_path.resolve()
    old, deep, young = left(root), left(root / "a" / "b", "other"), left(root, "young", hours=160)
    assert sorted(swept(root)) == [root / "a" / "b" / "other", root / "model"]
    assert (old.exists(), deep.exists(), young.exists()) == (False, False, True)
    assert old.with_name("model.lock").exists(), "a lock's file is never removed"
    assert "removed" in caplog.text
    assert "8.3 days" in caplog.text


def young_file(partial: Path, _: ExitStack) -> None:
    (partial / "done" / "late").write_bytes(b"")


def held(partial: Path, stack: ExitStack) -> None:
    stack.enter_context(locked(partial.with_name("model.lock"), waiting=lambda: None))


def no_lock(partial: Path, _: ExitStack) -> None:
    partial.with_name("model.lock").unlink()


def anothers(partial: Path, _: ExitStack) -> None:
    os.chown(partial, 12345, -1)


def another_s_workshop(partial: Path, _: ExitStack) -> None:
    os.chown(partial.parent, 12345, -1)


def linked(partial: Path, _: ExitStack) -> None:
    """To what looks like one, elsewhere."""
    partial.parent.rename(partial.parents[2] / "elsewhere")
    partial.parent.symlink_to(partial.parents[2] / "elsewhere")


def in_a_model(partial: Path, _: ExitStack) -> None:
    (partial.parents[1] / ".hallmark-complete.json").write_text("{}")
    inner = partial.parents[1] / "inner"
    inner.mkdir()
    partial.parent.rename(inner / partial.parent.name)
    partial.parent.symlink_to(inner / partial.parent.name)


CHANGES: list[Change] = [young_file, held, no_lock, anothers, another_s_workshop, linked, in_a_model]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_is_in_use_or_not_ours_stays(tmp_path: Path, change: Change) -> None:
    if change in (anothers, another_s_workshop) and os.geteuid():
        pytest.skip("not tested: only root can give a folder to another user")
    root = tmp_path.resolve() / "root"
    partial = left(root)
    with ExitStack() as stack:
        change(partial, stack)
        assert swept(root) == []
        assert (partial / "parts" / "key").read_bytes() == b"x" * 5000


def test_a_root_that_is_not_there_yet_holds_nothing(tmp_path: Path) -> None:
    assert swept(tmp_path / "absent") == []


def test_what_a_queued_download_will_resume_stays(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    partial = left(root)
    assert swept(root, wanted=frozenset({str(root / "model")})) == []
    assert partial.exists()
    assert swept(root) == [root / "model"]


@pytest.mark.parametrize(("kept_s", "goes"), [(HOUR_S, True), (0.0, False)])
def test_a_service_sweeps_when_it_starts_unless_told_never_to(tmp_path: Path, kept_s: float, goes: bool) -> None:
    partial = left(tmp_path.resolve())

    async def start() -> None:
        downloads = Downloads(settings(tmp_path, partial_kept_s=kept_s))
        task = asyncio.create_task(downloads.keep_swept())
        while partial.exists() and not task.done():
            await asyncio.sleep(0.01)
        task.cancel()
        await downloads.close()

    asyncio.run(start())
    assert partial.exists() is not goes
