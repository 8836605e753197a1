"""The image's entrypoint with the real gateway before a stand-in for vLLM, in no container."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from hallmark.serving.ports import free_port
from selftests.core.polling import comes_true, marked

PROGRAM = Path(__file__).with_name("stand_in_image.py")
PROMPT_S = 30.0


@dataclass
class Image:
    process: subprocess.Popen[str]
    url: str
    folder: Path
    engine_port: str

    def status(self, path: str, key: str = "") -> int:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            return httpx.get(self.url + path, headers=headers, timeout=5).status_code
        except httpx.HTTPError:
            return 0

    def up(self) -> bool:
        return comes_true(lambda: self.status("/healthz") == 200, within_s=PROMPT_S)

    def end(self) -> str:
        return self.process.communicate(timeout=PROMPT_S)[0]


@contextmanager
def image(folder: Path, *arguments: str, **environ: str) -> Iterator[Image]:
    port, inner = str(free_port("127.0.0.1")), str(free_port("127.0.0.1"))
    given = {"PORT": port, "ENGINE_PORT": inner, "HOST": "127.0.0.1", "MODEL_ID": "stand-in", "STOP_GRACE_S": "3", **environ}
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), *arguments],
        env={**os.environ, **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Image(process, f"http://127.0.0.1:{port}", folder, inner)
        assert comes_true(lambda: not marked(f"--port\0{inner}\0")), "the engine was left"
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
