"""Jobs are remembered over a restart, and nothing that is wrong with the file or the disk costs a download."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hallmark_services.sidecar.downloads import DownloadRequest, Downloads, DownloadSettings, Job
from hallmark_services.sidecar.downloads.history import History
from hallmark_services.sidecar.downloads.lock import locked
from selftests.core.polling import comes_true
from selftests.sidecar.downloads.fetching import settings

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path.resolve()
    (folder / "volume").mkdir()
    (folder / "volume" / "file").write_bytes(b"x" * 100)
    return folder


def kept(root: Path) -> DownloadSettings:
    return settings(root, state_dir=f"{root}/state")


def fetched(root: Path, target: str = "model", limits: DownloadSettings | None = None) -> Job:
    async def run() -> Job:
        downloads = Downloads(limits or kept(root))
        try:
            return await downloads.wait(downloads.submit(DownloadRequest(f"pvc:/{root}/volume", f"{root}/{target}")))
        finally:
            await downloads.close()

    return asyncio.run(run())


def remembered(limits: DownloadSettings) -> list[dict[str, Any]]:
    """What a service that starts now tells of its jobs."""

    async def look() -> list[dict[str, Any]]:
        downloads = Downloads(limits)
        try:
            return [job.to_plain() for job in downloads.list()]
        finally:
            await downloads.close()

    return asyncio.run(look())


def test_a_job_that_ended_is_told_of_as_it_was(root: Path) -> None:
    job = fetched(root)
    assert remembered(kept(root)) == [job.to_plain()]
    assert remembered(kept(root)) == [job.to_plain()], "and the time after that"
    assert remembered(settings(root)) == [], "only where a folder is named"
    assert (root / "state" / "jobs.json").stat().st_mode & 0o077 == 0


KILLED = """
import asyncio, os, signal, sys
from hallmark_services.sidecar.downloads import DownloadRequest, Downloads, DownloadSettings

async def main(root):
    limits = DownloadSettings(allowed_roots=(root,), source_roots=(root,), state_dir=root + "/state", max_active=1)
    downloads = Downloads(limits)
    jobs = [downloads.submit(DownloadRequest("pvc:/" + root + "/volume", root + name)) for name in ("/held", "/waits")]
    while jobs[0].phase != "locking":
        await asyncio.sleep(0.01)
    print(*(job.id for job in jobs), flush=True)
    await downloads.wait(jobs[0])

asyncio.run(main(sys.argv[1]))
"""


def test_jobs_that_a_kill_cut_short_are_interrupted_and_say_how_to_go_on(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / ".hallmark-downloads").mkdir()
    with locked(root / ".hallmark-downloads" / "held.lock", waiting=lambda: None):
        service = subprocess.Popen([sys.executable, "-c", KILLED, str(root)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert service.stdout is not None
        ids = service.stdout.readline().split()
        assert comes_true(lambda: '"running"' in (root / "state" / "jobs.json").read_text())
        service.kill()
        service.wait()
        service.stdout.close()
    with caplog.at_level(logging.INFO):
        jobs = remembered(kept(root))
    assert [(job["id"], job["state"]) for job in jobs] == [(one, "interrupted") for one in ids]
    assert all("ask for the same source to the same output_dir again" in job["error"] for job in jobs)
    ended = [record for record in caplog.records if getattr(record, "hallmark_fields", {}).get("state") == "interrupted"]
    assert len(ended) == 2, "each ended in its line of the log after all"
    caplog.clear()
    assert [job["state"] for job in remembered(kept(root))] == ["interrupted"] * 2
    assert not caplog.records, "and is told of once"
    assert fetched(root, "held").error == ""


@pytest.mark.parametrize("spoilt", [b"", b"{", b"[]", b'{"jobs": [{"id": 7}]}', b"\xff" * 100, b"[" * 100_000, b" " * 5_000_000])
def test_a_file_that_is_spoilt_is_set_aside_and_told_of(root: Path, spoilt: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (root / "state").mkdir()
    (root / "state" / "jobs.json").write_bytes(spoilt)
    assert remembered(kept(root)) == []
    assert "begins anew" in caplog.text
    assert (root / "state" / "jobs.json.unreadable").exists()


def test_jobs_of_a_newer_service_are_left_out_and_the_others_kept(root: Path) -> None:
    job = fetched(root).to_plain()
    odd = [{**job, "id": "odd", "state": "paused"}, {"id": "bare"}, {**job, "id": "text", "bytes_done": "many"}]
    (root / "state" / "jobs.json").write_text(json.dumps({"jobs": [*odd, job]}))
    assert remembered(kept(root)) == [job]


def test_a_state_folder_that_cannot_be_written_costs_no_download(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "state").write_text("no folder")
    assert fetched(root).error == ""
    assert caplog.text.count("not remembered over a restart") == 1


def test_a_full_disk_is_told_of_once_and_the_old_history_stays(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def write() -> None:
        history = History(root / "state")
        history.put({"id": "first"})
        await history.close()
        before = (root / "state" / "jobs.json").read_text()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
        try:
            for name in ("second", "third"):
                history.put({"id": name})
                await history.close()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (root / "state" / "jobs.json").read_text() == before
        assert caplog.text.count("not remembered over a restart") == 1
        assert sorted(path.name for path in (root / "state").iterdir()) == ["jobs.json", "lock"]
        history.put({"id": "fourth"})
        await history.close()

    asyncio.run(write())
    assert [job["id"] for job in History(root / "state").load()] == ["first", "second", "third", "fourth"]


def test_it_is_bounded_in_number_and_in_size(root: Path) -> None:
    async def write(history: History) -> None:
        for number in range(50):
            history.put({"id": str(number), "error": "x" * 100})
        await history.close()

    asyncio.run(write(History(root / "few", most_jobs=7)))
    assert [job["id"] for job in History(root / "few").load()] == [str(number) for number in range(43, 50)]
    asyncio.run(write(History(root / "small", most_bytes=1000)))
    assert (root / "small" / "jobs.json").stat().st_size < 1200
    assert [job["id"] for job in History(root / "small").load()][-1] == "49"


def test_two_services_do_not_write_over_each_other(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    job = fetched(root)
    first = History(root / "state")
    assert [one["id"] for one in first.load()] == [job.id]
    assert fetched(root, "other").error == ""
    assert "another service keeps its own there" in caplog.text
    asyncio.run(first.close())
    assert [one["id"] for one in remembered(kept(root))] == [job.id]


def test_who_comes_while_another_still_ends_takes_its_history_over(root: Path) -> None:
    first = History(root / "state")

    async def one_after_the_other() -> None:
        first.put({"id": "of the first"})
        second = History(root / "state")
        while not (root / "state" / "jobs.json").exists():
            await asyncio.sleep(0.01)
        assert second.load() == []
        await first.close()
        second.put({"id": "of the second"})
        await second.close()

    asyncio.run(one_after_the_other())
    assert [one["id"] for one in History(root / "state").load()] == ["of the first", "of the second"]
