"""Bad luck, drawn by a seed: kills, stops, clients that are slow or leave, a full disk, restarts."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.soak.world import World, download_settings
from hallmark.core.tokens import sign_token
from selftests.core.polling import alive, comes_true
from selftests.gateway.gateways import SECRET, everything, gateway
from selftests.gateway.real_engine import Vllm
from selftests.sidecar.running import command

ENGINE_KILLS_EVERY = 24
"""An engine takes tens of seconds to come back: so many troubles are made, at least, from one kill to the next."""


class Troubles:
    """One after another until the end; `counts` says how often each was made, `wrong` what must not come of one."""

    def __init__(self, world: World, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._world = world
        self._chance = random.Random(seed)  # noqa: S311 - a seed
        self._replacing = threading.Thread(target=lambda: None)
        self._replacing.start()
        self._kinds: dict[str, Callable[[], None]] = {
            "engine stopped for seconds": self._stop_engine,
            "clients that leave within a stream": self._leave,
            "clients that do not read": self._read_nothing,
            "silent connections": self._say_nothing,
            "half bodies": self._half_bodies,
            "download processes killed": self._kill_downloads,
            "disk full": self._fill_disk,
            "services restarted": self._restart,
        }

    def run(self) -> None:
        """Until `world.ended` is set: each kind once, in an order that is drawn, and again."""
        made = 0
        while True:
            for kind in self._chance.sample(list(self._kinds), len(self._kinds)):
                if self._world.ended.wait(self._chance.uniform(0.5, 3)):
                    self._replacing.join(240)
                    return
                made += 1
                self._make(kind, self._kinds[kind])
                if made % ENGINE_KILLS_EVERY == ENGINE_KILLS_EVERY // 2 and not self._replacing.is_alive():
                    # Beside the others: they must not wait until it is back.
                    words = ("engine killed and started again", self._replace_engine)
                    self._replacing = threading.Thread(target=self._make, args=words, daemon=True)
                    self._replacing.start()

    def _make(self, kind: str, make: Callable[[], None]) -> None:
        self.counts[kind] += 1
        try:
            make()
        except Exception as exc:
            self.wrong.append(f"{kind}: {type(exc).__name__}: {exc}")

    def _rest(self, least_s: float, most_s: float) -> None:
        self._world.ended.wait(self._chance.uniform(least_s, most_s))

    # -- the engine

    def _stop_engine(self) -> None:
        pid = self._world.engine.process.pid
        if pid is None or not alive(pid):
            return
        os.kill(pid, signal.SIGSTOP)
        try:
            self._rest(1, 12)
        finally:
            os.kill(pid, signal.SIGCONT)

    def _replace_engine(self) -> None:
        world = self._world
        pid = world.engine.process.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        world.engine.process.ended.wait(30)
        world.engine.process.stop()
        self._rest(0, 5)
        world.engine = Vllm(world.folder, world.python, port=world.engine.port)
        if not world.engine_is_up() and not world.ended.is_set():
            self.wrong.append("the engine was started again, and the gateway did not find it within 180 s")

    # -- clients

    def _ask(self, tokens: int) -> bytes:
        body = b'{"model": "hallmark-tiny", "prompt": "1+1=", "max_tokens": %d, "ignore_eos": true, "stream": true}' % tokens
        return _head(len(body)) + body

    def _crowd(self, count: int, sent: bytes, *, sidecar: bool = False) -> contextlib.ExitStack:
        place = urlsplit(self._world.sidecar_url if sidecar else self._world.front.url)
        stack = contextlib.ExitStack()
        for _ in range(count):
            with contextlib.suppress(OSError):
                connection = stack.enter_context(socket.create_connection((place.hostname, place.port or 80), timeout=5))
                connection.sendall(sent)
        return stack

    def _leave(self) -> None:
        with self._crowd(self._chance.randint(5, 30), self._ask(300)):
            self._rest(0, 1)

    def _read_nothing(self) -> None:
        with self._crowd(self._chance.randint(2, 16), self._ask(400)):
            self._rest(2, 6)

    def _say_nothing(self) -> None:
        half = b"GET /livez HTTP/1.1\r\nHo"
        with self._crowd(300, self._chance.choice([b"", half])), self._crowd(300, b"", sidecar=True):
            self._rest(1, 4)

    def _half_bodies(self) -> None:
        with self._crowd(10, _head(8 << 20) + b"x" * (4 << 20)):
            self._rest(0.5, 3)

    # -- downloads

    def _kill_downloads(self) -> None:
        for _ in range(3):
            for task in Path(f"/proc/{self._world.sidecar_pid}/task").glob("*/children"):
                for pid in task.read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
            self._rest(0.2, 0.5)

    def _fill_disk(self) -> None:
        if not self._world.disk_is_small:
            return
        filler = self._world.disk / "filler"
        try:
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
                while True:
                    stream.write(bytes(1 << 20))
            self._rest(2, 8)
        finally:
            filler.unlink(missing_ok=True)

    # -- services of their own, which come and go

    def _restart(self) -> None:
        """A second gateway and a second sidecar, at work, ended by SIGTERM or SIGKILL: no process and no file stays."""
        world = self._world
        number = self._chance.choice([signal.SIGTERM, signal.SIGKILL])
        with tempfile.TemporaryDirectory(dir=world.folder) as scratch:
            folder = Path(scratch)
            with gateway(world.engine.url, folder, TMPDIR=scratch) as front:
                front.becomes("ok", within_s=20)
                with front.connect() as connection:
                    connection.sendall(self._ask(50))
                    front.process.send_signal(number)
                    front.process.wait(45)
                    whole = everything(connection).endswith(b"0\r\n\r\n")
                if number == signal.SIGTERM and front.process.returncode != 0:
                    self.wrong.append(f"a gateway ended {front.process.returncode} on SIGTERM (its answer was whole: {whole})")
            variables = download_settings(world.disk, world.hub, folder)
            arguments = ["-E", "vllm", "-I", "soak", "-N", "hallmark-tiny", "-B", world.engine.url]
            with command(arguments, log=folder / "sidecar.log", environ=variables) as (_, pid):
                children = [int(p) for t in Path(f"/proc/{pid}/task").glob("*/children") for p in t.read_text().split()]
                os.kill(pid, number)
                if not comes_true(lambda: not alive(pid) and not any(map(alive, children)), within_s=30):
                    self.wrong.append("a sidecar, or a process of it, was left after its end")


def _head(length: int) -> bytes:
    """Of a request with a body of so many bytes."""
    lines = ["POST /v1/completions HTTP/1.1", "Host: x", f"Authorization: Bearer {sign_token(SECRET)}"]
    lines += ["Content-Type: application/json", f"Content-Length: {length}", "", ""]
    return "\r\n".join(lines).encode()


def started(troubles: Troubles) -> threading.Thread:
    """A thread that makes them."""
    thread = threading.Thread(target=troubles.run, daemon=True)
    thread.start()
    return thread
