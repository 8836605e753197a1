"""Clients that behave: they ask all the time, and tell wrong answers from honest failures."""

from __future__ import annotations

import random
import shutil
import threading
from collections import Counter
from pathlib import Path

import httpx

from benchmarks.soak.world import MODELS, World
from hallmark.core.tokens import sign_token
from selftests.gateway.gateways import SECRET

HONEST = frozenset({429, 502, 503, 504})
"""What may be answered while an engine is away or a disk is full."""


class Clients:
    """`counts` says how often each thing came; `wrong` holds what must not come at all."""

    def __init__(self, world: World, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._world = world
        self._threads = [
            *(threading.Thread(target=self._completions, args=(random.Random(seed + n),), daemon=True) for n in range(6)),  # noqa: S311 - a seed
            threading.Thread(target=self._probes, daemon=True),
            *(threading.Thread(target=self._downloads, args=(random.Random(seed + 50 + n), n), daemon=True) for n in range(2)),  # noqa: S311 - a seed
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """After `world.ended` is set."""
        for thread in self._threads:
            thread.join(90)

    def _completions(self, chance: random.Random) -> None:
        headers = {"authorization": f"Bearer {sign_token(SECRET)}"}
        while not self._world.ended.wait(chance.uniform(0, 0.3)):
            with httpx.Client(base_url=self._world.front.url, headers=headers, trust_env=False, timeout=60) as client:
                for _ in range(chance.randint(1, 5)):
                    self._complete(client, chance)

    def _complete(self, client: httpx.Client, chance: random.Random) -> None:
        prompt = "1+1=" + "2+3=" * chance.randint(0, 60)
        body = {
            "model": "hallmark-tiny",
            "prompt": prompt,
            "max_tokens": chance.randint(1, 60),
            "ignore_eos": True,
            "stream": True,
        }
        try:
            with client.stream("POST", "/v1/completions", json=body) as answer:
                text = answer.read().decode()
        except httpx.HTTPError:
            self.counts["completions that broke off"] += 1
            return
        if answer.status_code == 200 and (text.endswith("data: [DONE]\n\n") or '"error"' in text):
            self.counts["completions whole"] += 1
        elif answer.status_code in HONEST:
            self.counts["completions refused"] += 1
        else:
            self.wrong.append(f"a completion: {answer.status_code} {text[-80:]!r}")

    def _probes(self) -> None:
        with httpx.Client(trust_env=False, timeout=10) as client:
            while not self._world.ended.wait(0.5):
                for url, good in (
                    (self._world.front.url + "/livez", {200}),
                    (self._world.front.url + "/healthz", {200, 503}),
                    (self._world.sidecar_url + "/health", {200}),
                    (self._world.sidecar_url + "/metrics", {200}),
                ):
                    try:
                        status = client.get(url).status_code
                    except httpx.HTTPError as exc:
                        status, why = 0, type(exc).__name__
                        self.wrong.append(f"a probe: {url}: {why}")
                        continue
                    self.counts["probes good"] += status in good
                    if status not in good:
                        self.wrong.append(f"a probe: {url}: {status}")

    def _downloads(self, chance: random.Random, number: int) -> None:
        with httpx.Client(base_url=self._world.sidecar_url, trust_env=False, timeout=60) as client:
            while not self._world.ended.wait(chance.uniform(0, 1)):
                name = chance.choice(list(MODELS))
                target = self._world.disk / f"target-{number}-{chance.randint(0, 2)}"
                try:
                    status = client.post("/v1/download_model", json={"source": name, "output_dir": str(target)}).status_code
                except httpx.HTTPError as exc:
                    self.wrong.append(f"a download: {type(exc).__name__}: {exc}")
                    continue
                self._look_at(target, name, status)

    def _look_at(self, target: Path, name: str, status: int) -> None:
        """The clients of two threads have no target in common, so what is there is what was just fetched."""
        self.counts["downloads whole" if status == 200 else f"downloads ended {status}"] += 1
        if status == 200:
            size = (target / "weights").stat().st_size
            if size != MODELS[name]:
                self.wrong.append(f"a download of {name} has {size} bytes")
            shutil.rmtree(target)
        elif status not in {409, 500, 502, 503, 504, 507}:
            self.wrong.append(f"a download: {status}")
