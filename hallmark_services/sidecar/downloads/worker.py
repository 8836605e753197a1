"""The process of one download: `python -m hallmark_services.sidecar.downloads.worker`, its plan on standard input.

It tells its progress and its end as JSON lines, and it ends when its standard input does: when the service is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hallmark_services.sidecar.downloads.delivery import FULL, deliver
from hallmark_services.sidecar.downloads.guard import Guard
from hallmark_services.sidecar.downloads.plan import DownloadPlan
from hallmark_services.sidecar.downloads.remote import Store, TransferError
from hallmark_services.sidecar.downloads.transfer import Counts

_REPORT_S = 0.2
_NICE = 10
_LONGEST_ERROR = 1000


class Reporter:
    """Tells the service, five times a second, how far the download is."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._writing = threading.Lock()
        threading.Thread(target=self._go_on, name="reporter", daemon=True).start()

    def tell(self, **what: Any) -> None:
        with self._writing, contextlib.suppress(OSError):
            os.write(sys.stdout.fileno(), json.dumps({**asdict(self._counts), **what}).encode() + b"\n")

    def phase(self, name: str) -> None:
        self.tell(phase=name)

    def _go_on(self) -> None:
        pause = threading.Event()
        while not pause.wait(_REPORT_S):
            self.tell()


def main() -> None:
    plan = DownloadPlan.from_plain(json.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_end_with_the_service, name="lifeline", daemon=True).start()
    _stand_back()
    reporter = Reporter(counts := Counts())
    guard = Guard(allowed_networks=plan.allowed_networks, trusted_hosts=_trusted_hosts(plan))
    guard.install()
    error, status = "", 0
    try:
        deliver(plan, open_store(plan, guard), counts, reporter.phase)
    except Exception as exc:
        message, status = explained(exc)
        # One line that can be read: names that the source chose may be in it.
        error = " ".join(message.split())[:_LONGEST_ERROR]
    reporter.tell(end=True, error=error, status=status)
    # No waiting for threads that wait for a silent source.
    os._exit(0)


def _end_with_the_service() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _stand_back() -> None:
    """What serves beside it comes first: the engine, and the service's own event loop."""
    os.nice(_NICE)
    # Linux may share out processors by session, and then the first counts among this session's processes only.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICE), encoding="ascii")


def _trusted_hosts(plan: DownloadPlan) -> tuple[str, ...]:
    host = plan.trusted_host
    if not host:
        return ()
    return (host, f"{plan.place}.{host}") if plan.kind in ("s3", "obs") else (host,)


def open_store(plan: DownloadPlan, guard: Guard) -> Store:
    """What the plan's kind of source is read with; each imports its client library only here."""
    match plan.kind:
        case "s3" | "obs":
            from hallmark_services.sidecar.downloads.object_store import ObjectStore

            return ObjectStore(plan, guard)
        case "hf":
            from hallmark_services.sidecar.downloads.hub import Hub

            return Hub(plan, guard)
        case "pvc":
            from hallmark_services.sidecar.downloads.volume import Volume

            return Volume(plan)


def explained(exc: BaseException) -> tuple[str, int]:
    """(what to tell, HTTP status) of what ended the download."""
    if isinstance(exc, TransferError):
        return exc.message, exc.status
    if isinstance(exc, OSError) and exc.errno in FULL:
        return "the disk is full; free some space and try again", 507
    if isinstance(exc, OSError):
        return f"cannot write the target: {exc.strerror or exc}", 500
    return f"{type(exc).__name__}: {exc}", 500


if __name__ == "__main__":
    main()
