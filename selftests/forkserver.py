"""Whole commands and gateways without their imports: a process that has loaded them forks a child for each.

Imports are half of what a command costs and nearly all that a gateway does, and there are hundreds of both. A forked one has
a session, variables, streams, a folder and an exit code of its own, as a fresh one has. hallmark's plugin and the suite are not
loaded before: pytest has to rewrite their assertions. `run.py` forks its pytest where it would start an interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import platform
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from hallmark.core.signals import ENDING

ROOT = Path(__file__).resolve().parents[1]
_LOADED = (
    "pytest",
    "hallmark.cli",
    "hallmark.client.offers",
    "hallmark.evals.harness",
    "hallmark.perf.judge",
    "hallmark.perf.loadgen",
    "hallmark.report.render_html",
    "hallmark.serving.testbed",
    "hallmark.workflows.run_command",
    "hallmark.workflows.acceptance",
    "hallmark_services.gateway.server",
)
"""What commands and gateways import."""
_LONGEST_REQUEST = 1 << 17
_PR_SET_PDEATHSIG = 1


class Forked:
    """A command that was forked, as far as tests need `subprocess.Popen`."""

    def __init__(self, status: int) -> None:
        """`status`: where its parent writes its id and, once it has ended, how."""
        self._status = os.fdopen(status)
        self.pid = int(self._status.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative for a signal; subprocess.TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked command", timeout or 0)
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: int, err: int, open_files: int = 0) -> Forked:
    """`python -m *argv` in `cwd` with the variables `env` alone, writing to the descriptors `out` and `err`.

    It may have `open_files` descriptors and no more; 0 for as many as this process.
    """
    request = json.dumps({"argv": [*argv], "cwd": str(cwd), "env": dict(env), "open_files": open_files}).encode()
    assert len(request) < _LONGEST_REQUEST
    ours, theirs = os.pipe()
    try:
        socket.send_fds(_forker(), [request], [out, err, theirs])
    finally:
        os.close(theirs)
    return Forked(ours)


@cache
def _forker() -> socket.socket:
    """The connection to the process that forks for this one. It ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "selftests.forkserver", str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


# -- in the process that forks ---------------------------------------------------------------------------------------


def serve(requests: socket.socket) -> None:
    """Fork a command for each request, until nobody is left who could ask."""
    for name in _LOADED:
        importlib.import_module(name)
    _prepare()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait for the commands
    while True:
        request, descriptors, *_ = socket.recv_fds(requests, _LONGEST_REQUEST, 3)
        if not request:
            return
        if not os.fork():
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _wait_for_command(json.loads(request), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _prepare() -> None:
    """Compile once what each command would at its first use: the templates of the report, the validators of specs."""
    from pytest_benchmark import utils

    from hallmark.report.render_html import template
    from hallmark.specs.strict import Strict

    environment = template("report.html.j2").environment
    for name in environment.list_templates():
        environment.get_template(name)
    for kind in (kinds := Strict.__subclasses__()):
        kinds += kind.__subclasses__()
        kind.model_rebuild()
    # Each pytest with pytest-benchmark asks git six times and `file` once at its start.
    platform.architecture = cache(platform.architecture)
    utils.get_commit_info = cache(utils.get_commit_info)
    utils.get_machine_id()
    utils.get_tag()


def _wait_for_command(request: dict[str, Any], out: int, err: int, status: int) -> NoReturn:
    pid = os.fork()
    if not pid:
        os.close(status)
        _become(request, out, err)
    # Where the run of the tests is killed, the process that forks ends, this one hears of it, and so does the command.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    for descriptor in (out, err):
        os.close(descriptor)
    with os.fdopen(status, "w", buffering=1) as told:
        print(pid, file=told)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=told)
    os._exit(0)


def _become(request: dict[str, Any], out: int, err: int) -> NoReturn:
    os.setsid()
    for descriptor, stream in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    if limit := request["open_files"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    os.chdir(request["cwd"])
    ours = {str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[:] = [
        request["cwd"],
        *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)),
        *(path for path in sys.path if path not in ours),
    ]
    from _pytest.assertion.rewrite import AssertionRewritingHook

    from hallmark.workflows import acceptance

    # Of plugins that are loaded before pytest could rewrite them: none of them has assertions that a test is about.
    AssertionRewritingHook._warn_already_imported = lambda *_: None  # type: ignore[method-assign]
    acceptance.subprocess = SimpleNamespace(Popen=Pytest)  # type: ignore[attr-defined]
    _run_module(*request["argv"])


class Pytest:
    """The pytest of `run.py`, forked: stands for the `subprocess.Popen` that starts it otherwise."""

    def __init__(self, command: Sequence[str], cwd: Path) -> None:
        self._pid = os.fork()
        if not self._pid:
            for number in ENDING:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, signal.SIG_DFL)
            weakref.finalize._registry.clear()  # type: ignore[attr-defined]
            os.chdir(cwd)
            sys.path[0] = str(cwd)
            _run_module(*command[2:])

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def send_signal(self, number: int) -> None:
        os.kill(self._pid, number)


def _run_module(module: str, *arguments: str) -> NoReturn:
    """`python -m module arguments`, and the end of this process, whoever called this."""
    sys.argv[:] = [module, *arguments]
    code = _code_of(lambda: runpy.run_module(module, run_name="__main__", alter_sys=True))
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _code_of(run: Callable[[], object]) -> int:
    """The exit code that Python has for how `run` ends."""
    try:
        run()
    except SystemExit as exc:
        if exc.code is None or isinstance(exc.code, int):
            return (exc.code or 0) & 0xFF
        print(exc.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
