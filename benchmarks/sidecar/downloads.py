"""What the sidecar's downloads cost beside the plain client libraries, and whether they hold up the event loop.

    python benchmarks/sidecar/downloads.py [--size-mib 1024] [--big-mib 4096] [--rounds 8] [--folder /dev/shm]

Throughput: whole processes that fetch one file from a server on loopback, in turns in one run, so that only the ratio
is a claim. The plain ones are boto3's `download_file` and huggingface_hub's `snapshot_download` with eight workers;
they do not compute the file's checksum, ours does; a third, that does so too once it has the file, shows what that
costs. The server is a stand-in for both protocols that does nothing but `sendfile` from a file of zeros, because a real
one would be slower than any client. Written to memory by default: a disk would be what is measured.

Stall: how late a timer of the event loop is while the big download runs, and in the same run while nothing does.
Lock: how long the next one waits when its holder is killed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import http.server
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from hallmark_services.sidecar.downloads import Credentials, DownloadRequest, Downloads, DownloadSettings  # noqa: E402

RATIO_GOAL = 0.9
STALL_GOAL_MS = 10.0
TICK_S = 0.002
NICE = 10
AS_NICE = f'echo {NICE} 2>/dev/null >/proc/self/autogroup; exec nice -n {NICE} "$@"'
MIB = 1 << 20
PART = 8 * MIB
SENT_AT_ONCE = 256 << 10
"""Bytes of one `sendfile`: while the kernel is at one, nothing else has that processor."""
NAME = "weights.bin"

PLAIN_S3 = """
import sys, boto3
url, target = sys.argv[1:]
boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b").download_file(
    "bucket", "model/weights.bin", target + "/weights.bin")
"""
CHECKING_S3 = (
    PLAIN_S3
    + """
import hashlib
with open(target + "/weights.bin", "rb") as stream:
    parts = [hashlib.md5(part).digest() for part in iter(lambda: stream.read(8 << 20), b"")]
assert hashlib.md5(b"".join(parts)).digest()
"""
)
PLAIN_HUB = """
import sys
from huggingface_hub import snapshot_download
url, target = sys.argv[1:]
snapshot_download("org/model", local_dir=target, endpoint=url, max_workers=8)
"""


COMPARED = (
    ("S3, plain client", "s3://bucket/model", PLAIN_S3, True),
    ("S3, plain client that checks", "s3://bucket/model", CHECKING_S3, False),
    ("hub, plain client", "org/model", PLAIN_HUB, True),
)
"""What is compared, with what, and whether it is the goal."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Just as much of S3 and of the hub as fetching one file takes."""

    protocol_version = "HTTP/1.1"
    zeros: int
    """A descriptor of SENT_AT_ONCE bytes in memory."""
    size: int
    tags: dict[str, str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        if "list-type=2" in url.query:
            entry = f"<Contents><Key>model/{NAME}</Key><Size>{self.size}</Size></Contents>"
            self._text(f"<ListBucketResult><IsTruncated>false</IsTruncated>{entry}</ListBucketResult>", "application/xml")
        elif path.startswith("/api/models/"):
            lfs = {"size": self.size, "sha256": self.tags["hub"], "pointerSize": 134}
            sibling = {"rfilename": NAME, "size": self.size, "blobId": "0" * 40, "lfs": lfs}
            if "/tree/" in path:
                lfs = {"oid": self.tags["hub"], "size": self.size, "pointerSize": 134}
                entry = {"type": "file", "path": NAME, "size": self.size, "oid": "0" * 40, "lfs": lfs}
                self._text(json.dumps([entry]), "application/json")
            else:
                found = {"id": "org/model", "sha": "1" * 40, "siblings": [sibling]}
                self._text(json.dumps(found), "application/json")
        elif "partNumber=1" in url.query:
            self._file(self.tags["s3"], 0, min(PART, self.size) - 1, status=206)
        else:
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start, end = (int(asked[1]), int(asked[2] or self.size - 1)) if asked else (0, self.size - 1)
            self._file(self.tags["hub" if "/resolve/" in path else "s3"], start, end, status=206 if asked else 200)

    def _text(self, text: str, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    def _file(self, tag: str, start: int, end: int, *, status: int) -> None:
        self.send_response(status)
        self.send_header("ETag", f'"{tag}"')
        self.send_header("X-Repo-Commit", "1" * 40)
        self.send_header("Content-Length", str(end - start + 1))
        self.send_header("Content-Range", f"bytes {start}-{end}/{self.size}")
        self.send_header("Last-Modified", "Sat, 21 Nov 2026 00:00:00 GMT")
        self.end_headers()
        self.wfile.flush()
        if self.command == "HEAD":
            return
        left = end - start + 1
        while left:
            left -= os.sendfile(self.connection.fileno(), self.zeros, 0, min(SENT_AT_ONCE, left))

    def log_message(self, *_: object) -> None:
        """Nothing: it is a figure that is wanted."""


def serve(size: int) -> None:
    """The server's process: tells its port, ends with its standard input. As another machine, it takes no one's turn."""
    os.nice(NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICE), encoding="ascii")
    Handler.zeros = os.memfd_create("zeros")
    os.truncate(Handler.zeros, SENT_AT_ONCE)
    Handler.size, Handler.tags = size, tags_of_zeros(size)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


def tags_of_zeros(size: int) -> dict[str, str]:
    """The checksums of `size` zeros: as an object that was uploaded in parts, and as the hub gives it."""
    parts = [
        hashlib.md5(bytes(min(PART, size - start)), usedforsecurity=False).digest()
        for start in {0, size - size % PART}
        if start < size
    ]
    count = -(-size // PART)
    digests = [parts[0]] * (size // PART) + (parts[-1:] if size % PART else [])
    whole = hashlib.sha256()
    for start in range(0, size, PART):
        whole.update(bytes(min(PART, size - start)))
    return {"s3": f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{count}", "hub": whole.hexdigest()}


class Served:
    """The server's process, for a `with`."""

    def __init__(self, size: int) -> None:
        command = [sys.executable, __file__, "--serve", str(size)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def plainly(program: str, url: str, target: Path) -> float:
    """Seconds of the plain client's process, which is as nice to others as ours."""
    target.mkdir()
    env = {"PATH": os.environ["PATH"], "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}
    began = time.perf_counter()
    command = ["sh", "-c", AS_NICE, "sh", sys.executable, "-c", program, url, str(target)]
    subprocess.run(command, env=env, check=True, start_new_session=True)
    return time.perf_counter() - began


def settings(url: str, folder: Path) -> DownloadSettings:
    return DownloadSettings(
        allowed_roots=(str(folder),),
        allowed_networks=("127.0.0.0/8",),
        credentials=Credentials(endpoint=url, access_key="a", secret_key="b", hf_endpoint=url),  # noqa: S106 - the stand-in asks for none
    )


async def ours(source: str, url: str, folder: Path, name: str) -> float:
    """Seconds of a job, its process included."""
    downloads = Downloads(settings(url, folder))
    began = time.perf_counter()
    job = await downloads.wait(downloads.submit(DownloadRequest(source, str(folder / name))))
    seconds = time.perf_counter() - began
    await downloads.close()
    if job.error:
        sys.exit(f"the download failed: {job.error}")
    return seconds


def ours_alone(source: str, url: str, folder: Path, name: str) -> float:
    return asyncio.run(ours(source, url, folder, name))


@dataclass(frozen=True)
class Cost:
    """What a whole process took."""

    wall_s: float
    cpu_s: float


def cost(run: Callable[[], float]) -> Cost:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall_s = run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def throughput(source: str, program: str, url: str, folder: Path, rounds: int) -> list[tuple[Cost, Cost]]:
    """(plain, ours) of each round; each is first in every other one, for the first finds less memory that is ready."""
    pairs = []
    for number in range(rounds):
        plain, mine = folder / f"plain-{number}", f"ours-{number}"
        runs = [partial(plainly, program, url, plain), partial(ours_alone, source, url, folder, mine)]
        order = (0, 1) if number % 2 == 0 else (1, 0)
        costs = {which: cost(runs[which]) for which in order}
        pairs.append((costs[0], costs[1]))
        shutil.rmtree(plain)
        shutil.rmtree(folder / mine)
    return pairs


def report(name: str, pairs: list[tuple[Cost, Cost]], size_mib: int) -> bool:
    """Whether the goal is reached."""
    plain, mine = (size_mib / statistics.median(cost.wall_s for cost in column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a.wall_s / b.wall_s for a, b in pairs)
    cpu = statistics.median(a.cpu_s / b.cpu_s for a, b in pairs)
    speeds = f"{plain:5.0f} MiB/s, ours {mine:5.0f} MiB/s"
    print(f"{name}: {speeds}, ratio {ratio:.2f} (goal {RATIO_GOAL}); by processor time {cpu:.2f}", flush=True)
    return ratio >= RATIO_GOAL


HOLDER = """
import signal, sys
from pathlib import Path
from hallmark_services.sidecar.downloads.lock import locked
with locked(Path(sys.argv[1]), waiting=lambda: print("waiting", flush=True)):
    print("held", flush=True)
    signal.pause()
"""


def handover(folder: Path, rounds: int) -> float:
    """The longest time, in ms, from a holder's SIGKILL until the next one has the lock."""
    longest = 0.0
    for number in range(rounds):
        command = [sys.executable, "-c", HOLDER, str(folder / f"lock-{number}")]
        pair = []
        for state in ("held", "waiting"):
            pair.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT))
            if pair[-1].stdout is None or pair[-1].stdout.readline().strip() != state:
                sys.exit("the lock does not work")
        began = time.perf_counter()
        pair[0].kill()
        if pair[1].stdout is not None:
            pair[1].stdout.readline()
        longest = max(longest, (time.perf_counter() - began) * 1000)
        for process in pair:
            process.kill()
            process.communicate()
    return longest


async def lateness(until: asyncio.Event) -> list[float]:
    """How late, in ms, each tick of a timer is until the event is set."""
    loop, late = asyncio.get_running_loop(), []
    while not until.is_set():
        due = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        late.append((loop.time() - due) * 1000)
    return late


async def stall(url: str, folder: Path) -> tuple[list[float], list[float], float]:
    """(lateness while nothing runs, lateness while the big download does, its seconds)."""
    done = asyncio.Event()
    ticks = asyncio.create_task(lateness(done))
    await asyncio.sleep(3)
    done.set()
    idle = await ticks
    done.clear()
    ticks = asyncio.create_task(lateness(done))
    seconds = await ours("s3://bucket/model", url, folder, "big")
    done.set()
    return idle, await ticks, seconds


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--big-mib", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--folder", default="/dev/shm" if Path("/dev/shm").is_dir() else None)  # noqa: S108
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return 0
    good = True
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        folder = Path(scratch).resolve()
        with Served(options.size_mib * MIB) as server:
            for name, source, program, counts in COMPARED:
                reached = report(name, throughput(source, program, server.url, folder, options.rounds), options.size_mib)
                good &= reached or not counts
        print(f"lock: the next one has it {handover(folder, 10):.1f} ms after its holder was killed, at most of 10 times")
        with Served(options.big_mib * MIB) as server:
            idle, busy, seconds = asyncio.run(stall(server.url, folder))
    print(f"event loop, p99 of {len(idle)} ticks while nothing runs: {p99(idle):6.2f} ms")
    what = f"while {options.big_mib} MiB come in {seconds:.1f} s"
    print(f"event loop, p99 of {len(busy)} ticks {what}: {p99(busy):6.2f} ms (goal < {STALL_GOAL_MS:.0f})")
    return 0 if good and p99(busy) < STALL_GOAL_MS else 1


if __name__ == "__main__":
    raise SystemExit(main())
