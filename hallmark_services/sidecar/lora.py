"""The life of adapters: fetched if need be, given to the engine by its own API, taken away again; repeats do no harm."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hallmark_services.sidecar.adapter_log import Asked
from hallmark_services.sidecar.downloads import DownloadRequest, Downloads, Job, JobState, Refused
from hallmark_services.sidecar.downloads.target import MARKER, resolve_target
from hallmark_services.sidecar.engine import EngineClient, EngineFault, Reply, refusal
from hallmark_services.sidecar.metrics.rules import Engine

_REMEMBERED = 10_000
_FINISHED_KEPT = 1000
_INTERRUPTED = "the service ended before it; ask for the adapter again: a repeat does no harm, and what was fetched is kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOrder:
    """One adapter to be loaded."""

    name: str
    path: str
    """The adapter's folder: where it is, or where `download` puts it."""
    download: DownloadRequest | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """More fields for the engine, as load_inplace."""
    authorization: str = field(default="", repr=False)
    asked_by: str = ""
    """The caller's address, for the log."""

    @property
    def asked(self) -> Asked:
        """As the log tells of it."""
        source, secrets = (self.download.source, self.download.secrets()) if self.download else ("", [])
        return Asked("load", self.name, self.path, source, by=self.asked_by, secrets=(*secrets, self.authorization))


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a call on the engine ended well."""

    outcome: Literal["loaded", "already_loaded", "unloaded", "already_unloaded"]
    name: str
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class _Held:
    """What the engine was given."""

    path: str
    download: str
    """Which download had filled the folder; empty where none had."""

    @classmethod
    def at(cls, path: str) -> _Held:
        with suppress(OSError):
            marker = (Path(path) / MARKER).stat()
            return cls(path, f"{marker.st_ino}-{marker.st_mtime_ns}")
        return cls(path, "")


class LoadJob:
    """A load that runs behind its requester's back, told about in the shape of a download job."""

    def __init__(self, order: LoadOrder) -> None:
        self.id = uuid.uuid4().hex
        self.order = order
        self.state: Literal["running", "completed", "failed", "cancelled", "interrupted"] = "running"
        self.error = ""
        self.download: Job | None = None
        self.task: asyncio.Task[None] | None = None
        self._remembered: dict[str, Any] = {}

    @classmethod
    def remembered(cls, plain: dict[str, Any]) -> LoadJob:
        """The job that an earlier service wrote down; LookupError where that is none. What ran then was interrupted."""
        job = cls(LoadOrder(name=str(plain["lora_name"]), path=str(plain["output_dir"])))
        job.id, job._remembered = plain["id"], plain
        ended = plain["state"] in ("completed", "failed", "cancelled", "interrupted")
        job.state, job.error = (plain["state"], plain.get("error") or "") if ended else ("interrupted", _INTERRUPTED)
        return job

    def to_plain(self) -> dict[str, Any]:
        """JSON data without a secret."""
        if self._remembered:
            return {**self._remembered, "state": self.state, "error": self.error or None}
        fetched = self.download.to_plain() if self.download else {}
        return {
            **fetched,
            "id": self.id,
            "kind": "load_lora_adapter",
            "state": self.state,
            "source": self.order.download.source if self.order.download else "",
            "output_dir": self.order.path,
            "error": self.error or None,
            "lora_name": self.order.name,
            "download_job_id": self.download.id if self.download else None,
        }


class Adapters:
    """Made and used inside one event loop."""

    def __init__(self, engine: EngineClient, kind: Engine, downloads: Downloads, roots: tuple[str, ...]) -> None:
        self._engine = engine
        self._kind = kind
        self._downloads = downloads
        self._roots = roots
        self._locks: dict[str, asyncio.Lock] = {}
        self._loaded: dict[str, _Held] = {}
        """By name, as far as we did it: the engine may have been told by others, or have started anew."""
        self._unloaded: dict[str, None] = {}
        self.jobs: dict[str, LoadJob] = {}
        for plain in downloads.others:
            with suppress(LookupError):
                self.jobs[plain["id"]] = LoadJob.remembered(plain)
        self._closing = False

    def admitted(self, path: str, label: str) -> str:
        """The folder without symlinks; Refused where it is not below a root."""
        try:
            return str(resolve_target(path, self._roots)[0])
        except Refused as refused:
            raise Refused(refused.status, refused.message.replace("output_dir", label, 1)) from None

    async def load(self, order: LoadOrder) -> Done:
        """The adapter is loaded when this returns; Refused with the status that fits where it cannot be."""
        with order.asked.logged() as line:
            job = self._downloads.submit(order.download) if order.download else None
            done = await self._load(order, job)
            line.outcome = done.outcome
            return done

    def start(self, order: LoadOrder) -> LoadJob:
        """Load in the background; what is wrong with the request itself is Refused at once."""
        job = LoadJob(order)
        with order.asked.told_if_refused():
            job.download = self._downloads.submit(order.download) if order.download else None
        ended = [old.id for old in self.jobs.values() if old.state != "running"]
        for old in ended[: max(len(ended) - _FINISHED_KEPT, 0)]:
            del self.jobs[old]
        self.jobs[job.id] = job
        self._downloads.history.put(job.to_plain())
        job.task = asyncio.create_task(self._run(job), name=f"load-{job.id}")
        return job

    def cancel(self, job: LoadJob) -> None:
        """Stop a background load. Its download goes on: others may wait for it, and it is a job of its own."""
        if job.state == "running" and job.task:
            job.state = "cancelled"
            job.task.cancel()

    async def close(self) -> None:
        self._closing = True
        tasks = [job.task for job in self.jobs.values() if job.task and not job.task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def unload(self, name: str, options: Mapping[str, Any], *, authorization: str = "", asked_by: str = "") -> Done:
        """The adapter is not loaded when this returns. A name that never was one is the engine's to refuse."""
        with Asked("unload", name, by=asked_by, secrets=(authorization,)).logged() as line:
            done = await self._unload(name, options, authorization)
            line.outcome = done.outcome
            return done

    async def _unload(self, name: str, options: Mapping[str, Any], authorization: str) -> Done:
        async with self._lock(name):
            reply = await self._ask("unload", {"lora_name": name, **options}, authorization)
            if not reply.ok and not (reply.status in (400, 404) and await self._is_gone(name, authorization)):
                raise Refused(_refusal_status(reply), refusal(reply, self._kind))
            held = self._loaded.pop(name, None)
            self._unloaded[name] = None
            _forget_oldest(self._unloaded)
            path = held.path if held else ""
            if reply.ok:
                return Done(outcome="unloaded", name=name, path=path, message=reply.reason())
            return Done(outcome="already_unloaded", name=name, path=path, message=f"'{name}' is not loaded any more")

    async def _run(self, job: LoadJob) -> None:
        order = job.order
        try:
            with order.asked.logged() as line:
                line.outcome = (await self._load(order, job.download)).outcome
            job.state = "completed"
        except Refused as refused:
            cut = job.download is not None and job.download.state is JobState.INTERRUPTED
            job.state, job.error = "interrupted" if cut else "failed", refused.message
        except asyncio.CancelledError:
            if self._closing and job.state == "running":
                job.state, job.error = "interrupted", _INTERRUPTED
            else:
                job.state = "cancelled"
        except Exception as exc:
            # Whatever it was, whoever asks for the job must hear of it.
            job.state, job.error = "failed", f"{type(exc).__name__} while the adapter was loaded"
        finally:
            self._downloads.history.put(job.to_plain())

    async def _load(self, order: LoadOrder, job: Job | None) -> Done:
        path = order.path
        if job:
            await self._downloads.wait(job)
            if job.state != "completed":
                raise Refused(job.status or 409, job.error or f"the download was {job.state}")
            path = job.output_dir
        async with self._lock(order.name):
            return await self._give(order, path)

    async def _give(self, order: LoadOrder, path: str) -> Done:
        held = await asyncio.to_thread(_Held.at, path)
        body = {"lora_name": order.name, "lora_path": path, **order.options}
        reply = await self._ask("load", body, order.authorization)
        if reply.ok:
            self._loaded[order.name] = held
            _forget_oldest(self._loaded)
            self._unloaded.pop(order.name, None)
            return Done(outcome="loaded", name=order.name, path=path, message=reply.reason())
        if reply.status == 400 and await self._is_there(order, path):
            if self._loaded.setdefault(order.name, held) != held:
                hint = "unload it first, or have it replaced (load_inplace)"
                raise Refused(409, f"the engine holds '{order.name}' as it was before the last download; {hint}")
            return Done(
                outcome="already_loaded", name=order.name, path=path, message=f"'{order.name}' is loaded from there already"
            )
        raise Refused(_refusal_status(reply), refusal(reply, self._kind))

    async def _is_there(self, order: LoadOrder, path: str) -> bool:
        """Whether the engine serves this adapter from this folder: then its refusal only says that there is nothing to do."""
        served = await self._served(order.authorization)
        if order.name not in served:
            return False
        folder = served[order.name]
        if folder.startswith("/"):
            return os.path.normpath(folder) == os.path.normpath(path)
        return order.name in self._loaded and self._loaded[order.name].path == path

    async def _is_gone(self, name: str, authorization: str) -> bool:
        """Whether the engine had this adapter once and has it no more: unloaded before, or lost with a restart."""
        if name not in self._unloaded and name not in self._loaded:
            return False
        served = await self._served(authorization)
        return bool(served) and name not in served

    async def _served(self, authorization: str) -> dict[str, str]:
        """What the engine lists; nothing at all where it does not answer, for its base model is always there."""
        with suppress(EngineFault):
            return await self._engine.served(authorization=authorization)
        return {}

    async def _ask(self, verb: Literal["load", "unload"], body: Mapping[str, Any], authorization: str) -> Reply:
        try:
            return await self._engine.lora(verb, body, authorization=authorization)
        except EngineFault as fault:
            raise Refused(fault.status, fault.message) from fault

    def _lock(self, name: str) -> asyncio.Lock:
        """One call at a time for a name, so that two requesters do not see each other's half."""
        for idle in [other for other, lock in self._locks.items() if not lock.locked()][:-_REMEMBERED]:
            del self._locks[idle]
        return self._locks.setdefault(name, asyncio.Lock())


def _forget_oldest(known: dict[str, Any]) -> None:
    while len(known) > _REMEMBERED:
        del known[next(iter(known))]


def _refusal_status(reply: Reply) -> int:
    """The engine's own; what is no refusal by its status is one by its body."""
    return reply.status if 400 <= reply.status < 600 else 400 if reply.status < 300 else 502
