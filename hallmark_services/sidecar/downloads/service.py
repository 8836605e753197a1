"""The jobs of this service: admitted, joined where two ask for one target, bounded, watched, ended."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import logging
import time
from pathlib import Path
from typing import Any

from hallmark.core.redact import Redactor
from hallmark_services.sidecar.downloads.admission import admit
from hallmark_services.sidecar.downloads.folder import Folder
from hallmark_services.sidecar.downloads.history import History
from hallmark_services.sidecar.downloads.job import INTERRUPTED, Job, JobState
from hallmark_services.sidecar.downloads.log import tell_end, tell_refusal
from hallmark_services.sidecar.downloads.pace import PaceWatch
from hallmark_services.sidecar.downloads.plan import DownloadPlan
from hallmark_services.sidecar.downloads.process import WorkerProcess
from hallmark_services.sidecar.downloads.publish import require_same_model
from hallmark_services.sidecar.downloads.remote import TransferError
from hallmark_services.sidecar.downloads.request import DownloadRequest, Refused
from hallmark_services.sidecar.downloads.settings import DownloadSettings
from hallmark_services.sidecar.downloads.sweep import sweep

_log = logging.getLogger(__name__)
_LOOK_EVERY_S = 1.0
_SWEEP_EVERY_S = 3600.0


class _Run:
    """A job with what carries it out."""

    def __init__(self, job: Job, plan: DownloadPlan) -> None:
        self.job = job
        self.plan = plan
        self.worker: WorkerProcess | None = None
        self.cancelled = False
        self.interrupted = False
        """Cancelled because the service ends."""
        self.too_slow = ""
        """Why its pace ended it."""
        self.task: asyncio.Task[None] | None = None


class Downloads:
    """Made and used inside one event loop; none of its methods waits for a disk or a network.

    (`submit` follows the symlinks of the target's path, which is a matter of microseconds.)
    """

    def __init__(self, settings: DownloadSettings) -> None:
        self.settings = settings
        self._jobs: dict[str, Job] = {}
        self._runs: dict[str, _Run] = {}
        """The jobs that have not ended, by target."""
        self._slots = asyncio.Semaphore(settings.max_active)
        self._closed = False
        self.history = History(Path(settings.state_dir) if settings.state_dir else None)
        self.others: list[dict[str, Any]] = []
        """What is remembered of jobs that are no downloads, for whoever has them."""
        self._recall()

    def _recall(self) -> None:
        """Take over what an earlier service remembered; what it had not ended has been interrupted, and is told so."""
        for plain in self.history.load():
            if plain.get("kind", "download") != "download":
                self.others.append(plain)
                continue
            try:
                job = Job.remembered(plain)
            except (ValueError, TypeError, LookupError):
                continue  # by a service that is newer or older than this
            self._jobs[job.id] = job
            if job.state.value != plain["state"]:
                tell_end(job)
                self.history.put(job.to_plain())

    async def keep_swept(self) -> None:
        """Remove, now and then, what failed downloads left and nobody came back for; until it is cancelled."""
        kept_s = self.settings.partial_kept_s
        while kept_s:
            try:
                await asyncio.to_thread(
                    sweep, self.settings.allowed_roots, kept_s=kept_s, now_s=time.time(), wanted=frozenset(self._runs)
                )
            except Exception:
                _log.exception("what failed downloads left could not be swept; tried again later")
            await asyncio.sleep(min(_SWEEP_EVERY_S, kept_s))

    def submit(self, request: DownloadRequest) -> Job:
        """The job that fetches this: a new one, or the one that is fetching the same to the same place already.

        Refused: 400 malformed, 403 not allowed, 409 the target is being filled from elsewhere, 503 too many or closing.
        """
        try:
            return self._submit(request)
        except Refused as refused:
            tell_refusal(request, refused)
            raise

    async def require_replaceable(self, request: DownloadRequest) -> None:
        """Refused (409) where the target holds a model of another source and the request does not replace it.

        So that a caller hears of it at once. The download looks again, when nobody else can change it; all else that may be
        wrong with the request is for `submit` to say.
        """
        try:
            plan = admit(request, self.settings)
        except Refused:
            return
        if plan.target in self._runs:
            return
        if why := await asyncio.to_thread(_held_by_another, plan):
            refused = Refused(409, why)
            tell_refusal(request, refused)
            raise refused

    def _submit(self, request: DownloadRequest) -> Job:
        plan = admit(request, self.settings)
        running = self._runs.get(plan.target)
        if running is not None and not running.cancelled:
            if running.plan.identity != plan.identity:
                raise Refused(409, "output_dir: another source is being downloaded to it; wait for that job or cancel it")
            return running.job
        if self._closed:
            raise Refused(503, "the service is closing")
        if len(self._runs) >= self.settings.max_active + self.settings.max_queued:
            raise Refused(503, "too many downloads are queued; try again later")
        job = Job(source=plan.source, output_dir=plan.target, asked_by=request.asked_by)
        self._remember(job)
        self.history.put(job.to_plain())
        run = _Run(job, plan)
        self._runs[plan.target] = run
        run.task = asyncio.create_task(self._carry_out(run), name=f"download-{job.id}")
        return job

    def get(self, job_id: str) -> Job:
        """The job of that id; Refused (404) when there is none (any more)."""
        try:
            return self._jobs[job_id]
        except KeyError:
            raise Refused(404, "no such job") from None

    def list(self) -> builtins.list[Job]:
        """Every job that is remembered, oldest first."""
        return [*self._jobs.values()]

    async def wait(self, job: Job) -> Job:
        """The job when it has ended. Who stops waiting does not stop the job."""
        await job.finished.wait()
        return job

    def cancel(self, job_id: str) -> Job:
        """End the job; what has come is kept for the next try. A job that has ended stays as it is."""
        job = self.get(job_id)
        for run in [*self._runs.values()]:
            if run.job is job:
                self._stop(run)
        return job

    async def close(self) -> None:
        """Cancel what runs, and return when no process is left."""
        self._closed = True
        runs = [*self._runs.values()]
        for run in runs:
            run.interrupted = not run.cancelled
            self._stop(run)
        await asyncio.gather(*(run.task for run in runs if run.task), return_exceptions=True)
        await self.history.close()

    def _stop(self, run: _Run) -> None:
        run.cancelled = True
        if run.worker is not None:
            run.worker.kill()
        elif run.job.state is JobState.QUEUED and run.task:
            # At once: its place in the queue is another's now.
            run.task.cancel()
            self._ended(run)

    def _remember(self, job: Job) -> None:
        self._jobs[job.id] = job
        surplus = len(self._jobs) - self.settings.max_history - len(self._runs) - 1
        for old in [old.id for old in self._jobs.values() if old.state.ended][: max(surplus, 0)]:
            del self._jobs[old]

    async def _carry_out(self, run: _Run) -> None:
        try:
            async with self._slots:
                if not run.cancelled:
                    await self._work(run)
        except Exception as exc:
            # Whatever it was, whoever waits for the job must hear of it.
            why = self._redactor(run)(f"the download could not be run: {type(exc).__name__}: {exc}")
            self._end(run, JobState.FAILED, why, 500)
        finally:
            self._ended(run)

    def _ended(self, run: _Run) -> None:
        self._end_stopped(run)
        if self._runs.get(run.plan.target) is run:
            del self._runs[run.plan.target]

    def _end_stopped(self, run: _Run) -> None:
        """By whoever asked for it, or with the service."""
        if run.interrupted:
            self._end(run, JobState.INTERRUPTED, INTERRUPTED, 503)
        else:
            self._end(run, JobState.CANCELLED)

    def _end(self, run: _Run, state: JobState, error: str = "", status: int = 0) -> None:
        """The one place where a job ends, and is told of in the log."""
        if run.job.end(state, error, status):
            tell_end(run.job)
            self.history.put(run.job.to_plain())

    def _redactor(self, run: _Run) -> Redactor:
        return Redactor([*run.plan.secrets(), *self.settings.credentials.secrets()])

    async def _watch(self, run: _Run) -> None:
        """End the download where its pace is too slow: its place is wanted by others."""
        watch, job = PaceWatch(self.settings.pace, started_s=time.monotonic()), run.job
        while not run.too_slow:
            await asyncio.sleep(min(_LOOK_EVERY_S, self.settings.pace.window_s / 4))
            run.too_slow = watch.too_slow(now_s=time.monotonic(), phase=job.phase, bytes_fetched=job.bytes_fetched)
        if run.worker:
            run.worker.kill()

    def waits_for(self, job: Job) -> str:
        """Why a queued job has not begun, and for how long at most; empty for one that has."""
        if job.state is not JobState.QUEUED:
            return ""
        queued = [run.job for run in self._runs.values() if run.job.state is JobState.QUEUED]
        running = [run.job for run in self._runs.values() if run.job.state is JobState.RUNNING]
        ahead = queued.index(job) if job in queued else 0
        rounds = 1 + ahead // max(self.settings.max_active, 1)
        left = [max(0.0, one.started_at + self.settings.pace.deadline_s - time.time()) for one in running]
        longest_s = max(min(left, default=0.0), 0.0) + (rounds - 1) * self.settings.pace.deadline_s
        guesses = sorted(s for one in running if (s := one.seconds_left) is not None)
        about = f"; at their present rate the next place is free in about {guesses[0]:.0f} s" if guesses and not ahead else ""
        return (
            f"{len(running)} of {self.settings.max_active} downloads are running and {ahead} are queued before this one: "
            f"it begins within {longest_s:.0f} s at the latest{about}"
        )

    async def _work(self, run: _Run) -> None:
        run.job.start()
        self.history.put(run.job.to_plain())
        ambient = self.settings.credentials.ambient if run.plan.ambient else {}
        run.worker = await WorkerProcess.start(run.plan, ambient=ambient)
        if run.cancelled:
            run.worker.kill()
        watch = asyncio.create_task(self._watch(run), name=f"pace-{run.job.id}")
        try:
            end = await run.worker.follow(run.job.progress)
        finally:
            watch.cancel()
            with contextlib.suppress(ProcessLookupError):
                run.worker.kill()
        if run.cancelled:
            self._end_stopped(run)
        elif run.too_slow and end.error:
            self._end(run, JobState.FAILED, f"{run.too_slow}; what has come is kept for the next try", 504)
        elif end.error:
            self._end(run, JobState.FAILED, self._redactor(run)(end.error), end.status)
        else:
            self._end(run, JobState.COMPLETED)


def _held_by_another(plan: DownloadPlan) -> str:
    """Why the plan must not be carried out, as far as can be told without asking its source."""
    try:
        with Folder.at(Path(plan.target)) as model:
            require_same_model(model, plan, ("source",))
    except TransferError as exc:
        return exc.message if exc.status == 409 else ""
    except OSError:
        pass  # it is not there yet
    return ""
