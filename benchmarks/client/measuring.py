"""One tool against one server, each on a core of its own, and what else the machine did meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client.tools import Load, Report, Tool
from benchmarks.peers import ROOT

CLIENT_CORE, SERVER_CORE = 0, 1
_AHEAD = -20
_LIMIT_S = 400
_QUIET = 0.1
"""The share of both cores that others may use in a quiet second."""


class Failed(Exception):
    """A tool gave no figures; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One stream in the server's log. Nanoseconds."""

    arrived: int
    sent: tuple[int, ...]

    @property
    def ttft_ms(self) -> float:
        return (self.sent[0] - self.arrived) / 1e6

    @property
    def tpot_ms(self) -> float:
        return (self.sent[-1] - self.sent[0]) / 1e6 / (len(self.sent) - 1)

    def late_ms(self, *, ttft_ms: float, gap_ms: float) -> list[float]:
        """Of each event: how far from the plan it went out."""
        return [(moment - self.arrived) / 1e6 - ttft_ms - place * gap_ms for place, moment in enumerate(self.sent)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a tool reports, what the server did, and which share of the machine's cores was neither's."""

    osl: int
    """Tokens of each answer."""
    report: Report
    log: tuple[Answer, ...]
    """Of the requests that the report counts, in the order in which they came."""
    others: float


def measured(tool: Tool, load: Load, folder: Path, *server: str, ahead: bool = False, patience_s: float = 0) -> Measured:
    """Run `tool` once and keep what it writes in `folder`; Failed where it has nothing to report."""
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier run no report may be left to be read
    folder.mkdir(parents=True)
    wait_for_quiet(patience_s)
    busy, own = _busy_s(), _own_s()
    began = time.perf_counter()
    log = folder / "server.jsonl"
    with _served(log, folder / "server.txt", server, ahead=ahead) as url:
        _run(tool.command(load, url, folder), folder / "output.txt", ahead=ahead)
    seconds = time.perf_counter() - began
    others = max(0.0, (_busy_s() - busy) - (_own_s() - own)) / seconds / (os.cpu_count() or 1)
    try:
        report = tool.report(folder)
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise Failed(f"{tool.name} reported nothing that can be read: {exc!r}; see {folder}") from exc
    answers = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()][-report.counted :]
    return Measured(
        osl=load.osl,
        report=report,
        log=tuple(Answer(arrived=answer["arrived"], sent=tuple(answer["sent"])) for answer in answers),
        others=others,
    )


@contextlib.contextmanager
def _served(log: Path, said: Path, options: tuple[str, ...], *, ahead: bool) -> Iterator[str]:
    """The base URL of a paced server, whose log is written when the block ends."""
    command = ["taskset", "-c", str(SERVER_CORE), sys.executable, "-m", "benchmarks.client.server", str(log), *options]
    with said.open("w") as errors, _started(command, ahead=ahead, stderr=errors) as process:
        assert process.stdin
        assert process.stdout
        port = process.stdout.readline().decode().strip()
        if not port:
            raise Failed(f"the paced server did not start; see {said}")
        yield f"http://127.0.0.1:{port}"
        process.stdin.close()
        process.wait(60)


def _run(command: list[str], output: Path, *, ahead: bool) -> None:
    pinned = ["taskset", "-c", str(CLIENT_CORE), *command]
    with output.open("w") as file, _started(pinned, ahead=ahead, stdout=file, stderr=file) as process:
        try:
            code = process.wait(_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"it had not ended after {_LIMIT_S} s") from None
    if code:
        raise Failed(f"it ended with {code}; see {output}")


@contextlib.contextmanager
def _started(command: list[str], *, ahead: bool, **streams: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process and all that it starts, ended when the block is left.

    It has a session of its own: Linux shares a core out among sessions first, so that the many processes of a tool would
    otherwise be weighed together with the server. `ahead` puts it before the other sessions of the machine.
    """
    kinds = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, **streams}
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, **kinds)  # type: ignore[call-overload]
    try:
        if ahead:
            Path(f"/proc/{process.pid}/autogroup").write_text(str(_AHEAD))
            os.setpriority(os.PRIO_PROCESS, process.pid, _AHEAD)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for_quiet(patience_s: float) -> None:
    """Return after a second in which others left the cores alone, or when the patience is over."""
    deadline = time.perf_counter() + patience_s
    while time.perf_counter() < deadline:
        busy, began = _busy_s(), time.perf_counter()
        time.sleep(1)
        if (_busy_s() - busy) / (time.perf_counter() - began) / (os.cpu_count() or 1) < _QUIET:
            return


def _busy_s() -> float:
    """CPU seconds that the machine has spent on anything, or that were taken from it."""
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    ticks: Mapping[str, int] = dict(
        zip(names, map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]), strict=True)
    )
    return sum(ticks[name] for name in names if name not in ("idle", "iowait")) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
