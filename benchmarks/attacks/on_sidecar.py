"""Attacks on the sidecar: connections, requests, keys, and engines whose metrics are slow, huge or wrong."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

import httpx

from benchmarks.attacks.on_crowds import many_descriptors
from benchmarks.attacks.staging import KEY, MIB, Outcome, Sidecar, Stage, at_once, attack, memory_mib, probed
from selftests.gateway.gateways import everything

PROBES = ("/health", "/metrics")


def connected(sidecar: Sidecar, sent: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
    place = urlsplit(sidecar.url)
    connection = socket.create_connection((place.hostname, place.port or 80), timeout=20, source_address=(source, 0))
    connection.sendall(sent)
    return connection


@contextlib.contextmanager
def silent(sidecar: Sidecar, count: int, sent: bytes) -> Iterator[None]:
    """So many connections that send `sent` and no more, from sixteen addresses."""
    with many_descriptors(count + 200), contextlib.ExitStack() as stack:
        for number in range(count):
            with contextlib.suppress(OSError):
                stack.enter_context(connected(sidecar, sent, f"127.0.0.{2 + number % 16}"))
        yield


def crowd(count: int, sent: bytes, stage: Stage) -> Outcome:
    with stage.sidecar(limits={resource.RLIMIT_NOFILE: 1024}) as sidecar, silent(sidecar, count, sent):
        found = probed(sidecar.url, PROBES)
        jobs = sidecar.ask("GET", "/v1/jobs").status_code
    return Outcome(found.all_good and jobs == 200, f"{found}; a request is answered {jobs}")


for _count, _what, _sent in (
    (1100, "1,100 silent connections at 1,024 descriptors", b""),
    (1100, "1,100 half heads at 1,024 descriptors", b"GET /health HTTP/1.1\r\nHo"),
):
    attack("sidecar", _what, "each probe and each request is answered 200 meanwhile")(partial(crowd, _count, _sent))


def refusal(request: bytes, status: int, stage: Stage, **settings: str) -> Outcome:
    with stage.sidecar(**settings) as sidecar, connected(sidecar) as connection:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        said = everything(connection)
        took = time.monotonic() - began
        found = probed(sidecar.url, ("/health",), rounds=3)
    answered = said[9:12].decode() or "closed"
    right = answered == str(status) or (status == 0 and not said)
    return Outcome(right and found.all_good, f"{answered} after {took:.1f} s; {found}")


POST = (
    f"POST /v1/download_model HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n".encode()
)
attack("sidecar", "a head without end (1 MiB)", "400, and probes are answered")(
    partial(refusal, b"GET /health HTTP/1.1\r\nX: " + b"y" * MIB, 400)
)
attack("sidecar", "a head that does not come", "closed after its time of 1 s")(
    partial(refusal, b"GET /health HTTP/1.1\r\nHo", 0, RUNTIME_HEAD_TIMEOUT="1")
)
attack("sidecar", "a body that does not come", "408 after its time of 1 s")(
    partial(refusal, POST + b"Content-Length: 100\r\n\r\n{", 408, RUNTIME_BODY_TIMEOUT="1")
)
attack("sidecar", "a body over the limit", "413")(
    partial(refusal, POST + b"Content-Length: 2000000\r\n\r\n" + b" " * 100_000, 413)
)
attack("sidecar", "a length beside chunks", "400")(
    partial(refusal, POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400)
)


@attack("sidecar", "JSON of 100,000 brackets, and other bodies that are none", "4xx for each, and probes are answered")
def odd_bodies(stage: Stage) -> Outcome:
    bodies = [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\xff\xfe",
        b"null",
        b"{}",
        b'{"source": 1e999}',
        b'{"source": "x", "output_dir": "/x", "z": 1}',
    ]
    with stage.sidecar() as sidecar:
        headers = {"content-type": "application/json"}
        said = [sidecar.ask("POST", "/v1/download_model", content=body, headers=headers).status_code for body in bodies]
        found = probed(sidecar.url, ("/health",), rounds=3)
    refused = sum(400 <= status < 500 for status in said)
    return Outcome(refused == len(bodies) and found.all_good, f"{refused} of {len(bodies)} refused; {found}")


@attack("sidecar", "bearer keys that are nearly right", "401 for each, on each path that changes something")
def near_misses(stage: Stage) -> Outcome:
    near = ["", KEY[:-1], KEY + "x", KEY.upper(), KEY[::-1], f'"{KEY}"', KEY + ","]
    paths = [("POST", "/v1/download_model"), ("POST", "/v1/load_lora_adapter"), ("POST", "/v1/unload_lora_adapter")]
    paths += [("GET", "/v1/jobs"), ("DELETE", "/v1/jobs/x")]
    with stage.sidecar() as sidecar:
        said = [sidecar.ask(method, path, key=key).status_code for method, path in paths for key in near]
        good = sidecar.ask("GET", "/v1/jobs").status_code
        asked = len([seen for seen in sidecar.engine.seen if seen[0] == "POST"])
    refused = said.count(401)
    return Outcome(
        refused == len(said) and good == 200 and not asked, f"{refused} of {len(said)} refused; the engine saw {asked}"
    )


def scraped(sidecar: Sidecar, patience_s: float = 5.0) -> tuple[int, float, float]:
    """(status, value of engine_up, seconds) of one scrape."""
    began = time.monotonic()
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": str(patience_s)}
    with httpx.Client(trust_env=False, timeout=patience_s + 10) as client:
        answer = client.get(sidecar.url + "/metrics", headers=headers)
    took = time.monotonic() - began
    found = [line for line in answer.text.splitlines() if line.startswith("matrixinfer:engine_up ")]
    return answer.status_code, float(found[0].split()[1]) if found else -1.0, took


@attack("sidecar", "a scrape of an engine that hangs", "200 with engine_up 0 before the scraper's own 2 s are over")
def hung_scrape(stage: Stage) -> Outcome:
    with stage.sidecar() as sidecar:
        sidecar.engine.faults["/metrics"] = sidecar.engine.hangs
        status, up, took = scraped(sidecar, 2.0)
    return Outcome(status == 200 and up == 0 and took < 2, f"{status}, engine_up {up:g}, after {took:.2f} s")


@attack("sidecar", "a scrape of an engine that is gone", "200 with engine_up 0")
def dead_scrape(stage: Stage) -> Outcome:
    with stage.sidecar() as sidecar:
        sidecar.engine.stop()
        status, up, took = scraped(sidecar)
    return Outcome(status == 200 and up == 0, f"{status}, engine_up {up:g}, after {took:.2f} s")


@attack("sidecar", "an exposition of 80 MiB", "200 with engine_up 0, less than 150 MiB more memory")
def huge_scrape(stage: Stage) -> Outcome:
    with stage.sidecar(metrics=b"a_metric_name 1\n" * (5 * MIB)) as sidecar:
        before = memory_mib(sidecar.pid)
        status, up, took = scraped(sidecar)
        grown = memory_mib(sidecar.pid, "VmHWM") - before
    return Outcome(status == 200 and up == 0 and grown < 150, f"{status}, engine_up {up:g}, {grown:.0f} MiB more, {took:.1f} s")


@attack("sidecar", "an exposition of rubbish", "200, what can be read is served, what cannot is counted")
def rubbish_scrape(stage: Stage) -> Outcome:
    lines = b'good 1\nhalf{x="\n\x00\xff 1\nname 1 2 3 4\n{} {}\n# TYPE good nonsense\n' * 1000
    with stage.sidecar(metrics=lines) as sidecar:
        answer = httpx.get(sidecar.url + "/metrics", trust_env=False, timeout=20)
    served = answer.text.count("\ngood 1") + answer.text.startswith("good 1")
    counted = [line.split()[1] for line in answer.text.splitlines() if line.startswith("matrixinfer:malformed_lines_total ")]
    return Outcome(
        answer.status_code == 200 and served == 1000 and float(counted[0]) >= 4000,
        f"{answer.status_code}, {served} of 1000 good lines, {float(counted[0]):.0f} counted",
    )


@attack("sidecar", "an engine that redirects the scrape elsewhere", "200 with engine_up 0, and it is not followed")
def redirected_scrape(stage: Stage) -> Outcome:
    with stage.sidecar() as sidecar:
        sidecar.engine.faults["/metrics"] = lambda: (302, "text/plain", b"")
        status, up, _ = scraped(sidecar)
        followed = len(sidecar.engine.asked("/elsewhere"))
    return Outcome(status == 200 and up == 0 and not followed, f"{status}, engine_up {up:g}, {followed} followed")


@attack("sidecar", "100 scrapes at once of an engine that hangs", "/health is answered 200 meanwhile")
def many_scrapes(stage: Stage) -> Outcome:
    with stage.sidecar() as sidecar, contextlib.ExitStack() as stack:
        sidecar.engine.faults["/metrics"] = sidecar.engine.hangs
        ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 20\r\n\r\n"
        for _ in range(100):
            stack.enter_context(connected(sidecar, ask, "127.0.0.2"))
        found = probed(sidecar.url, ("/health",), rounds=8)
    return Outcome(found.all_good, str(found))


@attack("sidecar", "20 scrapes at once of 8 MiB each", "/health is answered 200 within a second, each scrape 200")
def many_large_scrapes(stage: Stage) -> Outcome:
    whole: list[bool] = []

    def scrape() -> None:
        headers = b"Host: x\r\nConnection: close\r\nX-Prometheus-Scrape-Timeout-Seconds: 60"
        with connected(sidecar, b"GET /metrics HTTP/1.1\r\n" + headers + b"\r\n\r\n") as connection:
            connection.settimeout(55)
            start, got, buffer = connection.recv(12), 0, bytearray(MIB)
            while count := connection.recv_into(buffer):
                got += count
        whole.append(start == b"HTTP/1.1 200" and got > 8 * MIB)

    with stage.sidecar(metrics=b"".join(b'big{n="%d"} %d\n' % (n, n) for n in range(500_000))) as sidecar:
        before = memory_mib(sidecar.pid)
        scrapes = threading.Thread(target=at_once, args=([scrape] * 20,), daemon=True)
        scrapes.start()
        found = probed(sidecar.url, ("/health",), rounds=20, patience_s=10)
        scrapes.join(55)
        grown = memory_mib(sidecar.pid, "VmHWM") - before
    return Outcome(
        found.all_good and found.slowest_ms < 1000 and sum(whole) == 20,
        f"{sum(whole)} of 20 scrapes whole, {grown:.0f} MiB more; {found}",
    )


@attack("sidecar", "adapter names and paths that climb", "400 or 403 for each; the engine hears of nothing")
def climbing_adapters(stage: Stage) -> Outcome:
    names = ["../x", "a/../../b", "/etc/x", "a\nb", "", "a" * 300]
    paths = ["/etc", "{root}/../x", "relative", "/proc/self/root", "{root}/a\0b"]
    with stage.sidecar() as sidecar:
        bodies = [{"lora_name": name, "lora_path": f"{sidecar.root}/a"} for name in names]
        bodies += [{"lora_name": "x", "lora_path": path.format(root=sidecar.root)} for path in paths]
        said = [sidecar.ask("POST", "/v1/load_lora_adapter", json=body).status_code for body in bodies]
        asked = len(sidecar.engine.asked("/v1/load_lora_adapter"))
    refused = sum(status in (400, 403, 422) for status in said)
    return Outcome(refused == len(said) and not asked, f"{refused} of {len(said)} refused; the engine saw {asked}")
