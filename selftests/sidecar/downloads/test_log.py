"""Each download ends in exactly one line of the log, which says what came or why nothing did, and holds no credential."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hallmark_services.sidecar.downloads import DownloadRequest, Downloads, DownloadSettings, JobState, Refused
from hallmark_services.sidecar.downloads.lock import locked
from selftests.sidecar.downloads.fetching import fetch, hub_settings, noise, settings
from selftests.sidecar.downloads.hub_server import Hub, Repository

pytestmark = pytest.mark.e2e

NAME = "org/model"
TOKEN = "hf_a_token_that_nobody_may_see"
SIZE = 300_000


@pytest.fixture
def hub() -> Iterator[Hub]:
    files = {"weights": noise(70, SIZE), "config.json": b"{}"}
    with Hub({NAME: Repository(files, frozenset({"weights"}), token=TOKEN)}) as server:
        yield server


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def ends(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The fields of the lines with which downloads ended, each with its text as `line`."""
    told = ((record, getattr(record, "hallmark_fields", {})) for record in caplog.records)
    return [{**known, "line": record.getMessage()} for record, known in told if known.get("event") == "download"]


def test_a_download_that_is_done_tells_what_came_and_what_was_checked(
    hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = fetch(hub_settings(tmp_path, hub.url, TOKEN), NAME, tmp_path / "model")
    [end] = ends(caplog)
    assert (end["job"], end["state"], end["bytes"], end["checksums_verified"]) == (job.id, "completed", SIZE + 2, 2)
    assert end["seconds"] > 0
    assert end["rate_bytes_per_s"] == pytest.approx((SIZE + 2) / end["seconds"], rel=0.05)
    assert "2 checksums verified" in end["line"]
    assert f"hf://{NAME} -> {tmp_path}/model" in end["line"]


def test_a_source_without_checksums_is_not_said_to_be_checked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "file").write_bytes(b"x" * 100)
    fetch(settings(tmp_path), f"pvc:/{tmp_path}/volume", tmp_path / "model")
    [end] = ends(caplog)
    assert (end["state"], end["bytes"], end["checksums_verified"]) == ("completed", 100, 0)


def test_a_download_that_fails_tells_why_without_the_credentials(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = f"pvc:/{tmp_path}/{TOKEN}"
    fetch(settings(tmp_path, source_roots=("/nowhere",)), source, tmp_path / "model", config={"hf_token": TOKEN})
    [end] = ends(caplog)
    assert (end["state"], end["bytes"], end["status"]) == ("failed", 0, 403)
    assert "not below a folder" in end["error"]
    assert end["error"] in end["line"]


def refused(limits: DownloadSettings, request: DownloadRequest) -> int:
    async def submit() -> int:
        with pytest.raises(Refused) as caught:
            Downloads(limits).submit(request)
        return caught.value.status

    return asyncio.run(submit())


def test_a_download_that_is_refused_tells_who_asked_for_what(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = "a-secret-key-of-the-caller"
    request = DownloadRequest(f"s3://{key}/../x", f"{tmp_path}/model", {"secret_key": key}, asked_by="10.1.2.3")
    assert refused(settings(tmp_path), request) == 400
    [end] = ends(caplog)
    assert (end["state"], end["status"], end["asked_by"]) == ("refused", 400, "10.1.2.3")
    assert end["error"] in end["line"]
    assert key not in caplog.text
    assert key not in str(end)


def test_cancelled_queued_joined_and_interrupted_downloads_end_in_one_line_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = f"pvc:/{tmp_path}/volume"
    (tmp_path / ".hallmark-downloads").mkdir()

    async def many() -> None:
        downloads = Downloads(settings(tmp_path, max_active=1))
        running = downloads.submit(DownloadRequest(source, f"{tmp_path}/running"))
        assert downloads.submit(DownloadRequest(source, f"{tmp_path}/running")) is running
        queued, waiting = (downloads.submit(DownloadRequest(source, f"{tmp_path}/{name}")) for name in ("queued", "waiting"))
        while running.phase != "locking":
            await asyncio.sleep(0.01)
        downloads.cancel(queued.id)
        downloads.cancel(queued.id)
        await downloads.close()
        states = [job.state for job in (running, queued, waiting)]
        assert states == [JobState.INTERRUPTED, JobState.CANCELLED, JobState.INTERRUPTED]
        told = [(end["job"], end["state"]) for end in ends(caplog)]
        assert sorted(told) == sorted((job.id, job.state.value) for job in (running, queued, waiting))

    with locked(tmp_path / ".hallmark-downloads" / "running.lock", waiting=lambda: None):
        asyncio.run(many())
