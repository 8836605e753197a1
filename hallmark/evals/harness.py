"""The parent's side of the lm-eval worker: start early, ask, stop waiting the moment the server is lost."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hallmark.client.answer_watch import AnswerWatch
from hallmark.core.errors import HarnessError
from hallmark.core.process import tail
from hallmark.evals.paired import Compared

_POLL_S = 0.1
_BAR = re.compile(rb"Requesting API:[^\r\n]*?\b(\d+)/(\d+) \[")
"""lm-eval's own progress bar, which stands in its log."""
_BAR_BYTES = 2000
"""Of the log's end: more than a bar is long."""
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRequest:
    """One task to evaluate, in lm-eval's terms."""

    task: str
    task_dir: str
    """Folder with the task's YAML; a task from there needs no network."""
    model_type: str
    model_args: Mapping[str, Any]
    gen_kwargs: Mapping[str, Any]
    limit: int | None
    samples_path: str
    samples: Sequence[int] | None = None
    """Places in the task of the items to ask, ascending; None for all, or the first `limit`."""

    def to_plain(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalScores:
    """What lm-eval measured."""

    metrics: Mapping[str, float]
    n: int
    """Items that were scored."""
    total: int
    """Items that the task has."""
    seconds: float
    """What lm-eval took for requests and scoring."""
    lm_eval: str
    """lm-eval's version."""
    lower_is_better: tuple[str, ...] = ()
    """Metrics, without their filters, of which a good server has little."""
    refused: int = 0
    """Requests that were answered with an error; lm-eval sent them again."""
    answers: Mapping[str, Any] = field(default_factory=lambda: AnswerWatch().to_plain())
    """What was noticed in the server's answers, as `AnswerWatch.add_plain` takes it."""
    few_shot: int = 0
    """Examples before each question."""
    subtasks: Mapping[str, int] = field(default_factory=dict)
    """Of a group of tasks each with its items; empty of a task by itself."""
    alike: bool = False
    """Whether each subtask counts the same in the score, however many items it has."""
    from_items: bool = False
    """Whether the scores are the means of what the samples say of each item, so that they follow from those."""
    compared: Compared | None = None
    """The items beside those of the reference, where there is one."""


def straight_to(host: str, environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` for a process that must reach `host` itself: no proxy between, and no password of a .netrc in the key's place."""
    # Both spellings, and the same in both: who reads one does not read the other.
    spared = ",".join(filter(None, (environ.get("no_proxy") or environ.get("NO_PROXY"), host)))
    return {**environ, "no_proxy": spared, "NO_PROXY": spared, "NETRC": os.devnull}


class Harness:
    """lm-eval in a process of its own. It imports for some ten seconds, so start it before it is needed.

    A worker that was not waited for to the end is ended, and the next request gets a new one: the late answer to an
    earlier request must never be taken for the score of a later one.
    """

    def __init__(self, *, environ: Mapping[str, str], log_path: Path, python: str = sys.executable, offline: bool = True) -> None:
        self.log_path = log_path
        self._asked_at = 0
        """Where the log of the running task begins, in bytes."""
        self._python = python
        self._environ = {**environ, **(_OFFLINE if offline else {})}
        self._worker = _Worker(self._python, self._environ, log_path=log_path)

    def evaluate(self, request: EvalRequest, *, timeout_s: float, check: Callable[[], None]) -> EvalScores:
        """Evaluate one task. `check` is called ten times a second and may raise (a lost server, say) to end the wait.

        Raises HarnessError when lm-eval raises, dies, or takes longer than `timeout_s`.
        """
        began = time.monotonic()
        if self._worker.stopped:
            self._worker = _Worker(self._python, self._environ, log_path=self.log_path)
        if not self._worker.ready:
            self._next(began, timeout_s, check)
            self._worker.ready = True
        self._asked_at = self.log_path.stat().st_size
        self._worker.ask(request)
        answer = self._next(began, timeout_s, check)
        return EvalScores(
            metrics=answer["metrics"],
            n=answer["n"],
            total=answer["total"],
            seconds=answer["seconds"],
            lm_eval=answer["lm_eval"],
            lower_is_better=tuple(answer["lower_is_better"]),
            refused=answer["refused"],
            answers=answer["answers"],
            few_shot=answer["few_shot"],
            subtasks=answer["subtasks"],
            alike=answer["alike"],
        )

    def requests(self) -> tuple[int, int] | None:
        """How many of the running task's requests are answered, of how many; None where lm-eval has not said so yet."""
        with contextlib.suppress(OSError), self.log_path.open("rb") as log:
            log.seek(max(self._asked_at, log.seek(0, os.SEEK_END) - _BAR_BYTES))
            if said := _BAR.findall(log.read()):
                return int(said[-1][0]), int(said[-1][1])
        return None

    def _next(self, began: float, timeout_s: float, check: Callable[[], None]) -> dict[str, Any]:
        try:
            answer = self._awaited(began, timeout_s, check)
        except BaseException:
            self._worker.stop()
            raise
        if "ended" in answer:
            self._worker.stop()
        if "error" in answer:
            why = answer["error"].strip().splitlines()[0][:300]
            raise HarnessError(f"lm-eval failed: {why}", hint=f"see {self.log_path.name}\n{_explanation(answer, self.log_path)}")
        return answer

    def _awaited(self, began: float, timeout_s: float, check: Callable[[], None]) -> dict[str, Any]:
        while True:
            check()
            try:
                return self._worker.answers.get(timeout=_POLL_S)
            except queue.Empty:
                if time.monotonic() - began > timeout_s:
                    hint = "raise timeout_s of the eval"
                    raise HarnessError(
                        "lm-eval took longer than the spec allows", hint=hint, late_s=time.monotonic() - began
                    ) from None

    def stop(self) -> None:
        """End the worker, whatever it is doing; safe to call twice."""
        self._worker.stop()


class _Worker:
    """One process of `lm_eval_worker`, and what it answers."""

    def __init__(self, python: str, environ: Mapping[str, str], *, log_path: Path) -> None:
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.ready = False
        self.stopped = False
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [python, "-m", "hallmark.evals.lm_eval_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environ),
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, name="hallmark-lm-eval", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.answers.put(json.loads(line))
        self.answers.put({"error": f"the lm-eval process ended (exit code {self._process.wait()})", "ended": True})

    def ask(self, request: EvalRequest) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended; the reader says so
            self._process.stdin.write(json.dumps(request.to_plain()).encode() + b"\n")
            self._process.stdin.flush()

    def stop(self) -> None:
        self.stopped = True
        self._process.kill()
        self._reader.join(5)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def _explanation(answer: Mapping[str, Any], log_path: Path) -> str:
    return str(answer.get("traceback") or tail(log_path))
