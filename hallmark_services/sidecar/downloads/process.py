"""The process that carries out one download, as the event loop sees it: started, followed, killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hallmark
from hallmark_services.sidecar.downloads.plan import DownloadPlan

_PASSED_ON = (
    *("PATH", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE"),
    # Else it would compile anew what it imports, where modules are not kept compiled beside their sources.
    *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"),
)
_FIXED = {
    # Its downloads do not pass through Python's sockets, where the guard stands.
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
_NO_ROLE = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"}
"""Where no role of this machine may sign, none is looked for."""
_LONGEST_LINE = 1 << 20
_TAIL_LINES = 8


@dataclass(frozen=True, slots=True)
class End:
    """How it ended; no error means that the model is whole under its final name."""

    error: str = ""
    status: int = 0


class WorkerProcess:
    """One download in a process of its own. It ends when its standard input closes, so it never outlives this one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def start(cls, plan: DownloadPlan, *, ambient: Mapping[str, str]) -> WorkerProcess:
        """Its environment holds no credential, but for the AWS variables where a role of this machine may sign."""
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        root = str(Path(hallmark.__file__).resolve().parents[1])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "hallmark_services.sidecar.downloads.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**env, **(ambient or _NO_ROLE), **_FIXED, "PYTHONPATH": root},
            cwd="/",
            limit=_LONGEST_LINE,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(plan.to_plain()).encode() + b"\n")
        return cls(process)

    async def follow(self, report: Callable[[dict[str, Any]], None]) -> End:
        """Hand each report of the process on; its end when it is gone."""
        assert self._process.stdout is not None
        end: End | None = None
        while line := await self._line(self._process.stdout):
            message = _message(line)
            if message is None:
                self._tail.append(line.decode(errors="replace").rstrip())
                continue
            report(message)
            if "end" in message:
                end = End(str(message.get("error") or ""), int(message.get("status") or 0))
        code = await self._process.wait()
        if end is not None and (end.error or code == 0):
            return end
        last = " | ".join(self._tail)
        return End(f"the download's process ended with {code}" + (f": {last}" if last else "") + "; try again", 500)

    async def _line(self, stream: asyncio.StreamReader) -> bytes:
        while True:
            try:
                return await stream.readline()
            except ValueError:
                # Longer than any report of ours; what it was is lost, what follows is not.
                continue

    def kill(self) -> None:
        """At once: what is on the disk is fit for the next try at every instant."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


def _message(line: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
