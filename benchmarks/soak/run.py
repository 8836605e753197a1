"""The gateway and the sidecar before a real engine under random bad luck: does memory, descriptors, slots or files leak?

    python benchmarks/soak/run.py [--minutes 10] [--seed N] [--server-python PATH] [--write FILE]

A real vLLM serves hallmark-tiny on the CPU; its interpreter is --server-python, $HALLMARK_SERVER_PYTHON, or that of the
checkout's own server environment (`python run.py --model hallmark-tiny --device cpu` makes it). Ends 1 where something
grows by the rule of growth.py, a client got a wrong answer, or a slot is lost at the end; 3 where there is no engine.
The same seed draws the same troubles.
"""

from __future__ import annotations

import argparse
import os
import random
import socketserver
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # in the place of this folder, so that the checkout's packages are found

from benchmarks.soak.clients import Clients  # noqa: E402
from benchmarks.soak.growth import Allowance, judged  # noqa: E402
from benchmarks.soak.troubles import Troubles, started  # noqa: E402
from benchmarks.soak.world import CONNECTIONS, DOWNLOADS, MODELS, World, built, own_environment  # noqa: E402
from hallmark.core.tokens import sign_token  # noqa: E402
from selftests.core.polling import comes_true  # noqa: E402
from selftests.gateway.gateways import SECRET  # noqa: E402

EVERY_S = 1.0
ALLOWED = {
    "memory": Allowance("MiB", least=8, share=0.08),
    "descriptors": Allowance("", least=12),
    "threads": Allowance("", least=4),
    "files": Allowance("", least=6),
}


def memory_mib(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - no Path object for each


def files(*folders: Path) -> int:
    """All below, but the models that are there whole: those are what downloads are for."""
    found = [path for folder in folders for path in folder.rglob("*")]
    return sum(not path.is_relative_to(folders[0]) or ".hallmark-downloads" in path.parts for path in found)


@dataclass
class Series:
    """Measurements of all processes; `at_s` since the beginning."""

    at_s: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)

    def note(self, world: World, now_s: float) -> None:
        taken: dict[str, float] = {}
        for name, pid in (("gateway", world.front.process.pid), ("sidecar", world.sidecar_pid)):
            taken[f"{name}: memory"] = memory_mib(pid)
            taken[f"{name}: descriptors"] = descriptors(pid)
            taken[f"{name}: threads"] = len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208
        taken["temporary: files"] = files(world.disk, world.temporary)
        self.at_s.append(now_s)
        for name, value in taken.items():
            self.values.setdefault(name, []).append(value)


def measured(world: World, seconds: float) -> Series:
    """A point each EVERY_S, for so long; RuntimeError where a service has ended."""
    series, began = Series(), time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        if world.front.process.poll() is not None:
            raise RuntimeError(f"the gateway has ended:\n{world.front.log[-2000:]}")
        series.note(world, now)
        threading.Event().wait(EVERY_S)
    return series


def lost_slots(world: World) -> list[str]:
    """After the load: as many requests at once as there are places, as many downloads as may run; what is missing."""
    if not world.engine_is_up():
        return ["the engine is not up at the end"]
    together = threading.Barrier(CONNECTIONS)
    headers = {"authorization": f"Bearer {sign_token(SECRET)}"}
    body = {"model": "hallmark-tiny", "prompt": "1+1=", "max_tokens": 60, "ignore_eos": True, "stream": True}

    def ask(_: int) -> int:
        with httpx.Client(headers=headers, trust_env=False, timeout=90) as client:
            together.wait(30)
            with client.stream("POST", world.front.url + "/v1/completions", json=body) as answer:
                answer.read()
                return answer.status_code

    def fetch(number: int) -> int:
        wanted = {"source": list(MODELS)[number], "output_dir": str(world.disk / f"last-{number}")}
        return httpx.post(world.sidecar_url + "/v1/download_model", json=wanted, trust_env=False, timeout=90).status_code

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        said = list(pool.map(ask, range(CONNECTIONS)))
        fetched = list(pool.map(fetch, range(DOWNLOADS)))
    lost = [f"{CONNECTIONS - said.count(200)} of {CONNECTIONS} places"] if said.count(200) != CONNECTIONS else []
    return lost + ([f"downloads ended {fetched}"] if fetched != [200] * DOWNLOADS else [])


def report(series: Series) -> tuple[list[str], bool]:
    """(lines of a table, whether anything grows)."""
    lines = ["| what | at first | at the end | grown (fitted) | allowed | |", "| --- | --- | --- | --- | --- | --- |"]
    bad = False
    for name, values in series.values.items():
        allowance = ALLOWED[name.partition(": ")[2]]
        found = judged(series.at_s, values, allowance)
        bad |= found.grows
        cells = [f"{value:.1f} {allowance.unit}".strip() for value in (found.start, found.end, found.fitted, found.allowed)]
        lines.append("| " + " | ".join([name, *cells, "**GROWS**" if found.grows else "holds"]) + " |")
    return lines, bad


def quiet_again(world: World, before: dict[str, int]) -> list[str]:
    """What is left when nobody asks any more: descriptors beyond those of the start, files that are temporary."""
    pids = {"gateway": world.front.process.pid, "sidecar": world.sidecar_pid}
    left = []
    for name, pid in pids.items():
        # Connections to the engine that are kept, and what was opened once for good.
        if not comes_true(lambda pid=pid, name=name: descriptors(pid) <= before[name] + 8, within_s=30):  # type: ignore[misc]
            left.append(f"{name}: {descriptors(pid)} descriptors, {before[name]} at the start")
    if found := [path.name for path in world.temporary.rglob("*")]:
        left.append(f"temporary files: {found[:5]}")
    return left


def soak(world: World, minutes: float, seed: int) -> tuple[list[str], bool]:
    """(the lines to print, whether all is well)."""
    before = {"gateway": descriptors(world.front.process.pid), "sidecar": descriptors(world.sidecar_pid)}
    clients, troubles = Clients(world, seed), Troubles(world, seed)
    clients.start()
    thread = started(troubles)
    try:
        series = measured(world, minutes * 60)
    finally:
        world.ended.set()
        clients.join()
        thread.join(240)
    wrong = [*clients.wrong, *troubles.wrong, *quiet_again(world, before), *(f"lost: {what}" for what in lost_slots(world))]
    lines, bad = report(series)
    counted = [f"{count} {what}" for what, count in sorted(clients.counts.items())]
    made = [f"{count} x {what}" for what, count in sorted(troubles.counts.items())]
    small = "" if world.disk_is_small else " (no small file system can be mounted here: no disk was full)"
    lines += ["", "Clients: " + ", ".join(counted) + ".", "", f"Troubles{small}: " + ", ".join(made) + ".", ""]
    lines += [f"WRONG: {what}" for what in wrong[:20]] or ["No wrong answer, no slot lost, nothing left at the end."]
    return lines, not bad and not wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311 - a seed
    parser.add_argument("--server-python", default=own_environment(ROOT), metavar="PATH")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write what is printed there, too")
    options = parser.parse_args()
    if not options.server_python:
        print("soak: no interpreter has vLLM: python run.py --model hallmark-tiny --device cpu makes one", file=sys.stderr)
        return 3
    socketserver.BaseServer.handle_error = lambda *_: None  # type: ignore[method-assign] # of clients that are killed
    print(f"soak: {options.minutes:g} minutes, seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        try:
            with built(Path(scratch).resolve(), options.server_python) as world:
                lines, well = soak(world, options.minutes, options.seed)
        except RuntimeError as exc:
            print(f"soak: {exc}", file=sys.stderr)
            return 3
    text = "\n".join([f"{options.minutes:g} minutes, seed {options.seed}, {os.cpu_count()} cores", "", *lines])
    print(text)
    if options.write:
        options.write.write_text(text + "\n", encoding="utf-8")
    return 0 if well else 1


if __name__ == "__main__":
    raise SystemExit(main())
