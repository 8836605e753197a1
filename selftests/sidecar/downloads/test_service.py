"""The service itself: jobs joined, bounded, cancelled, killed; what is left is fit for the next try."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hallmark_services.sidecar.downloads import DownloadRequest, Downloads, JobState, Refused
from hallmark_services.sidecar.downloads.pace import Pace
from selftests.core.polling import alive, comes_true
from selftests.sidecar.downloads.fetching import content, fetch, hub_settings, marked, noise, settings
from selftests.sidecar.downloads.hub_server import Hub, Repository

pytestmark = [pytest.mark.e2e, pytest.mark.long]

NAME = "org/model"
SIZE = 4_000_000


class Gate:
    """Holds every body of the hub in its middle until it is opened."""

    def __init__(self, hub: Hub) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        hub.after_first = self._hold

    def _hold(self, _path: str) -> None:
        self.reached.set()
        self.opened.wait(60)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub({NAME: Repository({"weights": noise(40, SIZE), "config.json": b"{}"}, frozenset({"weights"}))}) as server:
        yield server


def left(root: Path) -> list[str]:
    """What a reader would find below the root."""
    return sorted(path.name for path in root.iterdir() if not path.name.startswith("."))


def counted(path: Path) -> int:
    """How many bytes it counts as there; 0 for a file that is gone, as that of a whole one is."""
    try:
        return int.from_bytes(path.read_bytes()[:8], "little")
    except FileNotFoundError:
        return 0


def half_is_there(root: Path) -> bool:
    """Whether the first half of the weights is counted as there: what a kill must not cost."""
    return any(counted(path) >= 1_000_000 for path in root.glob(".hallmark-downloads/*/parts/*.counts"))


def test_a_worker_that_is_killed_leaves_no_half_model_and_the_next_try_resumes(hub: Hub, tmp_path: Path) -> None:
    gate = Gate(hub)

    async def killed() -> None:
        downloads = Downloads(hub_settings(tmp_path, hub.url))
        job = downloads.submit(DownloadRequest(NAME, str(tmp_path / "model")))
        assert await asyncio.to_thread(comes_true, lambda: half_is_there(tmp_path))
        [run] = downloads._runs.values()
        assert run.worker is not None
        os.kill(run.worker.pid, signal.SIGKILL)
        await downloads.wait(job)
        assert (job.state, job.status) == (JobState.FAILED, 500)
        assert "ended with -9" in job.error
        assert left(tmp_path) == []
        gate.opened.set()
        hub.after_first = None
        again = await downloads.wait(downloads.submit(DownloadRequest(NAME, str(tmp_path / "model"))))
        assert (again.state, again.error) == (JobState.COMPLETED, "")
        assert again.bytes_fetched < SIZE - 900_000, "what had come was kept"
        await downloads.close()

    asyncio.run(killed())
    assert content(tmp_path / "model") == hub.repositories[NAME].files
    assert marked(tmp_path / "model")


SERVICE = """
import asyncio, sys
from pathlib import Path
from hallmark_services.sidecar.downloads import Credentials, DownloadRequest, Downloads, DownloadSettings

async def main(root, url):
    limits = DownloadSettings(
        allowed_roots=(root,), allowed_networks=("127.0.0.0/8",), credentials=Credentials(hf_endpoint=url)
    )
    downloads = Downloads(limits)
    job = downloads.submit(DownloadRequest("org/model", root + "/model"))
    while not (run := downloads._runs[job.output_dir]).worker:
        await asyncio.sleep(0.01)
    print(run.worker.pid, flush=True)
    await downloads.wait(job)
    print(job.state.value, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_service_that_is_killed_takes_its_downloads_along_and_frees_the_target(hub: Hub, tmp_path: Path) -> None:
    gate = Gate(hub)
    command = [sys.executable, "-c", SERVICE, str(tmp_path), hub.url]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])
    assert service.stdout is not None
    worker = int(service.stdout.readline())
    assert comes_true(lambda: half_is_there(tmp_path))
    service.kill()
    service.wait()
    service.stdout.close()
    assert comes_true(lambda: not alive(worker))
    assert left(tmp_path) == []
    gate.opened.set()
    hub.after_first = None
    job = fetch(hub_settings(tmp_path, hub.url), NAME, tmp_path / "model")
    assert job.state is JobState.COMPLETED
    assert job.bytes_fetched < SIZE - 900_000
    assert content(tmp_path / "model") == hub.repositories[NAME].files


def test_what_was_spoilt_on_the_disk_between_two_tries_is_noticed_and_fetched_again(hub: Hub, tmp_path: Path) -> None:
    gate = Gate(hub)

    async def cancelled() -> None:
        downloads = Downloads(hub_settings(tmp_path, hub.url))
        job = downloads.submit(DownloadRequest(NAME, str(tmp_path / "model")))
        assert await asyncio.to_thread(comes_true, lambda: half_is_there(tmp_path))
        await downloads.wait(downloads.cancel(job.id))
        assert job.state is JobState.CANCELLED
        await downloads.close()

    asyncio.run(cancelled())
    assert left(tmp_path) == []
    gate.opened.set()
    hub.after_first = None
    [part] = [p for p in tmp_path.glob(".hallmark-downloads/*/parts/*") if p.suffix != ".counts" and p.stat().st_size == SIZE]
    with part.open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"spoilt")
    job = fetch(hub_settings(tmp_path, hub.url), NAME, tmp_path / "model")
    assert (job.state, job.error) == (JobState.COMPLETED, "")
    assert content(tmp_path / "model") == hub.repositories[NAME].files


def test_no_secret_is_in_the_worker_s_arguments_or_environment(hub: Hub, tmp_path: Path) -> None:
    gate = Gate(hub)
    token = "hf_a_token_that_nobody_may_see"
    hub.repositories[NAME].token = token

    async def look() -> bytes:
        downloads = Downloads(hub_settings(tmp_path, hub.url, token))
        downloads.submit(DownloadRequest(NAME, str(tmp_path / "model")))
        assert await asyncio.to_thread(gate.reached.wait, 20)
        [run] = downloads._runs.values()
        assert run.worker is not None
        seen = b"".join(Path(f"/proc/{run.worker.pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
        await downloads.close()
        return seen

    seen = asyncio.run(look())
    gate.opened.set()
    assert b"hallmark_services.sidecar.downloads.worker" in seen
    assert token.encode() not in seen
    assert b"HF_TOKEN" not in seen


def test_two_requests_for_one_target_are_one_job_and_another_source_is_refused(hub: Hub, tmp_path: Path) -> None:
    gate = Gate(hub)
    hub.repositories["org/other"] = hub.repositories[NAME]

    async def twice() -> None:
        downloads = Downloads(hub_settings(tmp_path, hub.url))
        first = downloads.submit(DownloadRequest(NAME, str(tmp_path / "model")))
        assert downloads.submit(DownloadRequest(f"hf://{NAME}", f"{tmp_path}//model/")) is first
        for other in (
            DownloadRequest("org/other", str(tmp_path / "model")),
            DownloadRequest(NAME, f"{tmp_path}/model", {"hf_revision": "v2"}),
        ):
            with pytest.raises(Refused) as caught:
                downloads.submit(other)
            assert caught.value.status == 409
        assert downloads.list() == [first]
        assert downloads.get(first.id) is first
        gate.opened.set()
        await downloads.wait(first)
        await downloads.close()

    asyncio.run(twice())
    assert len(hub.reads(f"{NAME}/weights")) == 1


def test_two_services_that_share_a_folder_download_once(hub: Hub, tmp_path: Path) -> None:
    gate = Gate(hub)

    async def both() -> None:
        one, two = (Downloads(hub_settings(tmp_path, hub.url)) for _ in range(2))
        first = one.submit(DownloadRequest(NAME, str(tmp_path / "model")))
        assert await asyncio.to_thread(gate.reached.wait, 20)
        second = two.submit(DownloadRequest(NAME, str(tmp_path / "model")))
        while second.phase != "locking":
            await asyncio.sleep(0.01)
        gate.opened.set()
        await asyncio.gather(one.wait(first), two.wait(second))
        assert (first.state, second.state, second.bytes_fetched) == (JobState.COMPLETED, JobState.COMPLETED, 0)
        await asyncio.gather(one.close(), two.close())

    asyncio.run(both())
    assert len(hub.reads(f"{NAME}/weights")) == 1


def test_jobs_are_bounded_queued_cancelled_and_forgotten(hub: Hub, tmp_path: Path) -> None:
    gate = Gate(hub)

    async def many() -> None:
        own = hub_settings(tmp_path, hub.url).credentials
        downloads = Downloads(settings(tmp_path, credentials=own, max_active=1, max_queued=2, max_history=2))
        jobs = [downloads.submit(DownloadRequest(NAME, str(tmp_path / name))) for name in "abc"]
        with pytest.raises(Refused) as caught:
            downloads.submit(DownloadRequest(NAME, str(tmp_path / "d")))
        assert caught.value.status == 503
        assert await asyncio.to_thread(gate.reached.wait, 20)
        assert [job.state for job in jobs] == [JobState.RUNNING, JobState.QUEUED, JobState.QUEUED]
        assert downloads.cancel(jobs[1].id).state is JobState.CANCELLED
        jobs.append(downloads.submit(DownloadRequest(NAME, str(tmp_path / "d"))))
        assert jobs[3].state is JobState.QUEUED, "a cancelled job holds no place in the queue"
        assert downloads.cancel(jobs[3].id).state is JobState.CANCELLED, "before it was its turn for the first time"
        await downloads.wait(downloads.cancel(jobs[0].id))
        assert jobs[0].state is JobState.CANCELLED
        assert downloads.cancel(jobs[0].id).state is JobState.CANCELLED, "again is no error"
        gate.opened.set()
        await downloads.wait(jobs[2])
        assert jobs[2].state is JobState.COMPLETED
        for name in "xyz":
            await downloads.wait(downloads.submit(DownloadRequest(NAME, str(tmp_path / name))))
        assert len(downloads.list()) <= 3
        with pytest.raises(Refused) as caught:
            downloads.get(jobs[0].id)
        assert caught.value.status == 404
        await downloads.close()
        with pytest.raises(Refused):
            downloads.submit(DownloadRequest(NAME, str(tmp_path / "late")))

    asyncio.run(many())


def test_closing_leaves_no_process(hub: Hub, tmp_path: Path) -> None:
    gate = Gate(hub)

    async def close() -> int:
        downloads = Downloads(hub_settings(tmp_path, hub.url))
        job = downloads.submit(DownloadRequest(NAME, str(tmp_path / "model")))
        assert await asyncio.to_thread(gate.reached.wait, 20)
        [run] = downloads._runs.values()
        assert run.worker is not None
        await downloads.close()
        assert (job.state, job.status) == (JobState.INTERRUPTED, 503)
        return run.worker.pid

    assert not alive(asyncio.run(close()))
    gate.opened.set()


@pytest.mark.parametrize("thing", ["file", "foreign files", "link"])
def test_what_no_download_put_there_is_not_replaced(hub: Hub, tmp_path: Path, thing: str) -> None:
    root, target = tmp_path / "root", tmp_path / "root" / "model"
    root.mkdir()
    match thing:
        case "file":
            target.write_text("mine")
        case "foreign files":
            target.mkdir()
            (target / "mine").write_text("mine")
        case "link":
            (root / "else").mkdir()
            target.symlink_to(root / "else")
            (root / "else" / "mine").write_text("mine")
    job = fetch(hub_settings(root, hub.url), NAME, target)
    assert (job.state, job.status) == (JobState.FAILED, 409)
    assert hub.asked == []


def test_a_model_is_not_put_into_a_model(hub: Hub, tmp_path: Path) -> None:
    limits = hub_settings(tmp_path, hub.url)
    assert fetch(limits, NAME, tmp_path / "model").state is JobState.COMPLETED
    inner = fetch(limits, NAME, tmp_path / "model" / "inner")
    assert (inner.state, inner.status) == (JobState.FAILED, 409)
    assert content(tmp_path / "model") == hub.repositories[NAME].files


def test_two_hundred_requests_for_twenty_targets_fetch_each_once(hub: Hub, tmp_path: Path) -> None:
    names = [f"org/model-{number}" for number in range(20)]
    hub.repositories = {name: Repository({"weights": noise(60, 50_000)}, frozenset({"weights"})) for name in names}

    async def all_of_them() -> None:
        downloads = Downloads(hub_settings(tmp_path, hub.url))
        requests = [DownloadRequest(name, f"{tmp_path}/{name.partition('/')[2]}") for name in names * 10]
        jobs = [downloads.submit(request) for request in requests]
        await asyncio.gather(*map(downloads.wait, jobs))
        assert {job.state for job in jobs} == {JobState.COMPLETED}
        assert len({job.id for job in jobs}) == 20
        await downloads.close()

    asyncio.run(all_of_them())
    assert [len(hub.reads(f"{name}/weights")) for name in names] == [1] * 20
    assert all(marked(tmp_path / name.partition("/")[2]) for name in names)


def test_a_source_that_trickles_gives_its_place_to_the_next_who_was_told_why_it_waited(hub: Hub, tmp_path: Path) -> None:
    gate = Gate(hub)
    pace = Pace(least_bytes_per_s=100, window_s=4.0, deadline_s=600)

    async def crowded() -> None:
        downloads = Downloads(dataclasses.replace(hub_settings(tmp_path, hub.url), max_active=1, pace=pace))
        first = downloads.submit(DownloadRequest(NAME, str(tmp_path / "first")))
        assert await asyncio.to_thread(gate.reached.wait, 60)
        second = downloads.submit(DownloadRequest(NAME, str(tmp_path / "second")))
        assert downloads.waits_for(first) == ""
        told = downloads.waits_for(second)
        assert told.startswith("1 of 1 downloads are running and 0 are queued before this one: it begins within ")
        await downloads.wait(first)
        assert (first.state, first.status) == (JobState.FAILED, 504)
        assert "RUNTIME_DOWNLOAD_MIN_RATE" in first.error
        gate.opened.set()
        hub.after_first = None
        await downloads.wait(second)
        assert (second.state, downloads.waits_for(second)) == (JobState.COMPLETED, "")
        await downloads.close()

    asyncio.run(crowded())
