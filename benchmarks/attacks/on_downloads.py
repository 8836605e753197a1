"""Attacks by way of downloads: forbidden places, sources that lie, trickle or never end, full disks, kills."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.attacks.staging import Outcome, Sidecar, Stage, attack, memory_mib, probed
from selftests.core.polling import alive, comes_true
from selftests.sidecar.downloads.fetching import content, marked, noise
from selftests.sidecar.downloads.forbidden import ENDPOINTS, REBINDING, REDIRECTS, SOURCES, TARGETS, listening
from selftests.sidecar.downloads.hub_server import CuttingProxy, Hub, Repository

ROOT = Path(__file__).resolve().parents[2]
NAME = "org/model"
TOKEN = "hf_open_sesame_0123456789"  # noqa: S105 - opens nothing
SIZE = 3_000_000
ENDED = ("completed", "failed", "cancelled")


@contextlib.contextmanager
def hub(size: int = SIZE) -> Iterator[Hub]:
    """With one model of one large file, which is redirected to a second origin, and a small one."""
    files = {"weights": noise(70, size), "config.json": b"{}"}
    with Hub({NAME: Repository(files, frozenset({"weights"}))}) as server:
        yield server


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@attack("downloads", f"{len(TARGETS)} targets that leave the root", "each is refused, nothing is written")
def targets(stage: Stage) -> Outcome:
    with stage.sidecar() as sidecar:
        outside = sidecar.root.parent / "elsewhere"
        outside.mkdir()
        (sidecar.root / "link").symlink_to(outside)
        (sidecar.root / "chain").symlink_to("link")
        before = everything(sidecar.root.parent)
        said = [
            sidecar.ask("POST", "/v1/download_model", json={"source": NAME, "output_dir": target.format(root=sidecar.root)})
            for target in TARGETS
        ]
        written = len(everything(sidecar.root.parent) - before)
    refused = sum(answer.status_code in (400, 403, 422) for answer in said)
    return Outcome(refused == len(TARGETS) and not written, f"{refused} of {len(TARGETS)} refused; {written} files written")


@attack("downloads", f"{len(SOURCES)} sources that are none", "each is refused, nothing is written")
def sources(stage: Stage) -> Outcome:
    with stage.sidecar() as sidecar:
        before = everything(sidecar.root)
        said = [sidecar.download(source, "model").status_code for source in SOURCES]
        written = len(everything(sidecar.root) - before)
    refused = sum(status in (400, 422) for status in said)
    return Outcome(refused == len(SOURCES) and not written, f"{refused} of {len(SOURCES)} refused; {written} files written")


def kinds_of_endpoints() -> dict[str, list[str]]:
    """The forbidden endpoints by what they are."""
    ipv6 = [place for place in ENDPOINTS if "[" in place]
    odd = [
        place
        for place in ENDPOINTS
        if any(part in place for part in ("127.1", "2130706433", "0x7f", "0177", "//0", "\uff11", "\u3002"))
    ]
    link_local = [place for place in ENDPOINTS if "169.254.169.254" in place and place not in ipv6]
    private = [
        place
        for place in ENDPOINTS
        if any(part in place for part in ("//10.", "//192.168", "//172.16", "//100.64", "//168.63", "//224.", "//255."))
    ]
    here = [place for place in ENDPOINTS if "localhost" in place or "//127.0.0.1:" in place]
    sorted_out = {*ipv6, *odd, *link_local, *private, *here}
    return {
        "of this machine": here,
        "in other spellings of 127.0.0.1 (decimal, hex, octal, short, wide)": odd,
        "of the cloud's metadata": link_local,
        "of private networks": private,
        "in IPv6, mapped and tunnelled": ipv6,
        "of another scheme, or that are none": [place for place in ENDPOINTS if place not in sorted_out],
    }


def endpoints(places: Sequence[str], stage: Stage) -> Outcome:
    with stage.sidecar(RUNTIME_ALLOWED_NETWORKS="") as sidecar:
        said = [sidecar.download(NAME, "model", config={"hf_endpoint": place}).status_code for place in places]
        keys = {"access_key": "a", "secret_key": "b"}
        said += [sidecar.download("s3://bucket/x", "model", config={"endpoint": place, **keys}).status_code for place in places]
    refused = sum(status in (400, 403) for status in said)
    return Outcome(refused == len(said), f"{refused} of {len(said)} refused")


for _kind, _places in kinds_of_endpoints().items():
    attack("downloads", f"endpoints {_kind}", "each is refused, though any public one is allowed")(partial(endpoints, _places))


@attack("downloads", "a hub at an address that the operator's list leaves out", "403, and the hub is not asked")
def not_listed(stage: Stage) -> Outcome:
    with hub() as server, stage.sidecar(HF_ENDPOINT=server.url, RUNTIME_ALLOWED_NETWORKS="127.0.0.9/32") as sidecar:
        said = sidecar.download(NAME, "model").status_code
    return Outcome(said == 403 and not server.asked, f"{said}; the hub was asked {len(server.asked)} times")


@attack("downloads", f"{len(REDIRECTS)} redirects to forbidden places", "each download fails, nothing there is connected to")
def redirects(stage: Stage) -> Outcome:
    with hub() as server, listening("127.0.0.2") as (port, came), stage.sidecar(HF_ENDPOINT=server.url) as sidecar:
        said = []
        for place in REDIRECTS:
            server.redirect = place.format(port=port)
            said.append(sidecar.download(NAME, "model").status_code)
    failed = sum(status in (403, 502) for status in said)
    return Outcome(failed == len(REDIRECTS) and not came, f"{failed} of {len(REDIRECTS)} failed; {len(came)} connections there")


@attack("downloads", "a name that resolves elsewhere the second time", "not connected to, at each of three addresses")
def rebinding(stage: Stage) -> Outcome:
    forbidden, seconds = 0, ("127.0.0.1", "169.254.169.254", "10.0.0.1")
    with listening() as (port, came):
        for second in seconds:
            argv = [sys.executable, "-c", REBINDING, str(port), second]
            ended = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT, timeout=30)
            forbidden += ended.stdout.startswith("forbidden")
    return Outcome(forbidden == 3 and not came, f"{forbidden} of {len(seconds)} refused; {len(came)} connections")


@attack("downloads", "a symlink put into the target's path while it downloads", "nothing outside the root is written")
def swapped(stage: Stage) -> Outcome:
    with hub() as server, stage.sidecar(HF_ENDPOINT=server.url) as sidecar:
        outside = sidecar.root.parent / "elsewhere"
        outside.mkdir()

        def swap(_path: str) -> None:
            with contextlib.suppress(OSError):
                (sidecar.root / "deep").rename(sidecar.root / "aside")
                (sidecar.root / "deep").symlink_to(outside)

        server.before_body = swap
        said = sidecar.download(NAME, "deep/model").status_code
        written = len(everything(outside))
    swapped_in = (sidecar.root / "deep").is_symlink()
    return Outcome(swapped_in and not written, f"{said}; {written} files outside")


@attack("downloads", "a listing whose file names climb", "each fails, nothing outside is written")
def climbing_names(stage: Stage) -> Outcome:
    names = ["../evil", "/etc/evil", "a/../../evil", "a\\..\\..\\evil", "a\0b", ".hallmark-complete.json", "a/./b", "x" * 5000]
    with hub() as server, stage.sidecar(HF_ENDPOINT=server.url) as sidecar:
        said = []
        for name in names:
            server.listing = json.dumps({"id": NAME, "sha": "c" * 40, "siblings": [{"rfilename": name, "size": 2}]}).encode()
            said.append(sidecar.download(NAME, "model").status_code)
        evil = [path for path in everything(sidecar.root.parent) if "evil" in path.name]
    failed = sum(status >= 400 for status in said)
    return Outcome(failed == len(names) and not evil, f"{failed} of {len(names)} failed; {len(evil)} files written")


@attack("downloads", "a listing of 300,000 files", "it fails; less than 100 MiB more memory, /health is answered")
def huge_listing(stage: Stage) -> Outcome:
    siblings = [{"rfilename": f"file-{number}", "size": 1} for number in range(300_000)]
    with hub() as server, stage.sidecar(HF_ENDPOINT=server.url) as sidecar:
        server.listing = json.dumps({"id": NAME, "sha": "c" * 40, "siblings": siblings}).encode()
        before = memory_mib(sidecar.pid)
        job = sidecar.download(NAME, "model", wait=False).json()["job_id"]
        found = probed(sidecar.url, ("/health",), rounds=10)
        ended = comes_true(lambda: sidecar.job(job)["state"] in ENDED)
        grown, state = memory_mib(sidecar.pid, "VmHWM") - before, sidecar.job(job)["state"]
    return Outcome(ended and state == "failed" and grown < 100 and found.all_good, f"{state}, {grown:.0f} MiB more; {found}")


def lies(spoil: str, stage: Stage) -> Outcome:
    with hub() as server, stage.sidecar(HF_ENDPOINT=server.url) as sidecar:
        files = server.repositories[NAME].files
        good = files["weights"]
        changed = {"other bytes": good[:-1] + bytes([good[-1] ^ 1]), "more": good + b"more", "fewer": good[:-4]}[spoil]

        def alter(path: str) -> None:
            if path == "weights":
                files["weights"] = changed

        server.before_body = alter
        said = sidecar.download(NAME, "model").status_code
        there = (sidecar.root / "model").exists()
        server.before_body, files["weights"] = lambda _: None, good
        again = sidecar.download(NAME, "model").status_code
        whole = content(sidecar.root / "model") == server.repositories[NAME].files
    return Outcome(said >= 400 and not there and again == 200 and whole, f"{said}; the next try {again}, whole: {whole}")


for _spoil in ("other bytes", "more", "fewer"):
    attack("downloads", f"a file of {_spoil} than listed", "it fails, nothing is published, the next try is whole")(
        partial(lies, _spoil)
    )


@attack("downloads", "a source that announces more than it sends, 20 times", "resumed each time, whole at the end")
def cut_short(stage: Stage) -> Outcome:
    cuts = [SIZE * number // 21 for number in range(1, 21)]
    with hub() as server, CuttingProxy(server.cdn_url, cuts) as proxy, stage.sidecar(HF_ENDPOINT=server.url) as sidecar:
        server.redirect = f"{proxy.url}/cdn/{NAME}/weights"
        server.repositories[NAME].files.pop("config.json")
        said = sidecar.download(NAME, "model").status_code
        whole = content(sidecar.root / "model") == server.repositories[NAME].files
    return Outcome(said == 200 and whole, f"{said} after {proxy.cut} cuts, whole: {whole}")


@contextlib.contextmanager
def trickling() -> Iterator[str]:
    """The URL of a source that sends 20 bytes a second for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def trickle(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
            while not ended.wait(0.05):
                connection.sendall(b"x")

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=trickle, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x"
    finally:
        ended.set()
        listener.close()


@attack("downloads", "four sources that trickle, and a fifth download", "the fifth is told why it waits, and completes")
def trickled(stage: Stage) -> Outcome:
    slow = {f"org/slow-{number}": Repository({"weights": noise(number, SIZE)}) for number in range(4)}
    patience = {"RUNTIME_DOWNLOAD_RATE_WINDOW": "3", "RUNTIME_MAX_DOWNLOADS": "4"}
    with trickling() as place, Hub(slow, redirect=place) as bad, hub() as good, stage.sidecar(**patience) as sidecar:
        ids = [sidecar.download(name, name, wait=False, config={"hf_endpoint": bad.url}).json()["job_id"] for name in slow]
        began = time.monotonic()
        fifth = sidecar.download(NAME, "model", wait=False, config={"hf_endpoint": good.url}).json()
        done = comes_true(lambda: sidecar.job(fifth["job_id"])["state"] in ENDED)
        took, state = time.monotonic() - began, sidecar.job(fifth["job_id"])["state"]
        slow_ends = [sidecar.job(job_id)["state"] for job_id in ids]
    told = "queued" in fifth["message"]
    return Outcome(
        done and state == "completed" and told,
        f"the fifth {state} after {took:.1f} s, told: {told}; {slow_ends.count('failed')} of 4 trickling ones ended",
    )


@attack("downloads", "a download that comes to no end", "it ends at its deadline of 3 s")
def comes_to_no_end(stage: Stage) -> Outcome:
    settings = {"RUNTIME_DOWNLOAD_DEADLINE": "3", "RUNTIME_DOWNLOAD_MIN_RATE": "0"}
    endless = {NAME: Repository({"weights": noise(0, SIZE)})}
    with (
        trickling() as place,
        Hub(endless, redirect=place) as server,
        stage.sidecar(HF_ENDPOINT=server.url, **settings) as sidecar,
    ):
        began = time.monotonic()
        said = sidecar.download(NAME, "model").status_code
        took = time.monotonic() - began
    return Outcome(said == 504 and took < 15, f"{said} after {took:.1f} s")


@attack("downloads", "a disk that fills up within the download", "507, nothing is published, the next try is whole")
def full_disk(stage: Stage) -> Outcome:
    with hub() as server:
        with stage.sidecar(limits={resource.RLIMIT_FSIZE: SIZE // 2}, HF_ENDPOINT=server.url) as sidecar:
            said = sidecar.download(NAME, "model").status_code
            there = (sidecar.root / "model").exists()
            alive_still = probed(sidecar.url, ("/health",), rounds=3)
        with stage.sidecar(HF_ENDPOINT=server.url) as sidecar:
            again = sidecar.download(NAME, "model").status_code
    return Outcome(
        said == 507 and not there and again == 200 and alive_still.all_good, f"{said}; the next try {again}; {alive_still}"
    )


def half_is_there(root: Path) -> bool:
    """Whether half of the weights is counted as there."""
    counts = [path for path in root.glob(".hallmark-downloads/*/parts/*.counts") if path.stat().st_size]
    return any(int.from_bytes(path.read_bytes()[:8], "little") >= 1_000_000 for path in counts)


@contextlib.contextmanager
def halfway(server: Hub, sidecar: Sidecar) -> Iterator[str]:
    """The job of a download that stands in its middle."""
    gate = threading.Event()
    server.after_first = lambda _path: gate.wait(60) and None
    job = str(sidecar.download(NAME, "model", wait=False, max_workers=1).json()["job_id"])
    comes_true(lambda: half_is_there(sidecar.root))
    try:
        yield job
    finally:
        gate.set()
        server.after_first = None


@attack("downloads", "kill -9 of a download's process", "no half model; the next try fetches only what is missing")
def killed_worker(stage: Stage) -> Outcome:
    with hub() as server, stage.sidecar(HF_ENDPOINT=server.url) as sidecar:
        with halfway(server, sidecar) as job:
            for pid in sidecar.workers():
                os.kill(pid, signal.SIGKILL)
            failed = comes_true(lambda: sidecar.job(job)["state"] == "failed")
            there = (sidecar.root / "model").exists()
        again = sidecar.job(sidecar.download(NAME, "model").json()["job_id"])
        fetched = int(str(again["bytes_fetched"]))
        whole = content(sidecar.root / "model") == server.repositories[NAME].files
    return Outcome(
        failed and not there and whole and fetched < SIZE - 900_000, f"{fetched} of {SIZE} bytes fetched again, whole: {whole}"
    )


@attack("downloads", "kill -9 of the sidecar within a download", "its process ends with it; the next sidecar completes it")
def killed_service(stage: Stage) -> Outcome:
    with hub() as server, stage.sidecar(HF_ENDPOINT=server.url) as sidecar:
        with halfway(server, sidecar):
            workers = sidecar.workers()
            os.kill(sidecar.pid, signal.SIGKILL)
            gone = comes_true(lambda: not any(map(alive, workers)), within_s=10)
            there = (sidecar.root / "model").exists()
        # The same root for the next one.
        with stage.sidecar(HF_ENDPOINT=server.url, RUNTIME_DOWNLOAD_ROOTS=str(sidecar.root)) as other:
            said = other.download(NAME, f"{sidecar.root}/model").status_code
        whole = marked(sidecar.root / "model")
    return Outcome(
        gone and not there and said == 200 and whole,
        f"{len(workers)} processes gone: {gone}; the next try {said}, whole: {whole}",
    )


@attack("downloads", "a model put into another model's folder", "409, and the first stays whole")
def into_another(stage: Stage) -> Outcome:
    with hub() as server, stage.sidecar(HF_ENDPOINT=server.url) as sidecar:
        first = sidecar.download(NAME, "model").status_code
        said = sidecar.download(NAME, "model/inner").status_code
        whole = content(sidecar.root / "model") == server.repositories[NAME].files
    return Outcome(first == 200 and said == 409 and whole, f"{said}; the first is whole: {whole}")


@attack("downloads", "a hub's token shown to the origin that it redirects to", "the other origin gets none")
def stolen_token(stage: Stage) -> Outcome:
    with hub() as server, stage.sidecar(HF_ENDPOINT=server.url, HF_AUTH_TOKEN=TOKEN) as sidecar:
        server.repositories[NAME].token = TOKEN
        said = sidecar.download(NAME, "model").status_code
    got = [asked for asked in server.asked if asked.path.startswith("/cdn/") and asked.authorization]
    return Outcome(said == 200 and not got, f"{said}; {len(got)} requests with the token at the other origin")


@attack("downloads", "300 downloads asked for at once", "those beyond the queue are 503; /health is answered")
def many_downloads(stage: Stage) -> Outcome:
    with hub() as server, stage.sidecar(HF_ENDPOINT=server.url, RUNTIME_MAX_DOWNLOADS="2") as sidecar:
        gate = threading.Event()
        server.after_first = lambda _path: gate.wait(30) and None
        said = [sidecar.download(NAME, f"m-{number}", wait=False).status_code for number in range(300)]
        found = probed(sidecar.url, ("/health", "/metrics"), rounds=5)
        running = len(sidecar.workers())
        gate.set()
        server.after_first = None
    return Outcome(
        set(said) <= {202, 503} and running <= 2 and found.all_good, f"{said.count(202)} taken, {running} running; {found}"
    )
