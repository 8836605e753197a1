"""The entrypoint: settings and hardware checked, sshd where asked, vLLM, the gateway - and a name for what went wrong.

Exit codes: 0 stopped by a signal, 2 a setting that makes no sense, 3 the machine lacks something, else vLLM's own
(128 + N for signal N, never 0).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hallmark_engine import commands, sshd, troubles
from hallmark_engine.hardware import Hardware, choose_dtype, look
from hallmark_engine.healthcheck import ADDRESS_FILE
from hallmark_engine.settings import Settings, Wrong, read
from hallmark_engine.startup import Startup
from hallmark_engine.supervise import Child, Supervisor, exit_code

APPUSER = 1000
WRONG_SETTING, LACKING = 2, 3


class Lacking(Exception):
    """The machine or the mount lacks what the engine needs."""


def say(line: str) -> None:
    """One line of ours between those of the engine, written whole."""
    os.write(sys.stdout.fileno(), f"engine: {line}\n".encode())


def _write(raw: bytes) -> None:
    os.write(sys.stdout.fileno(), raw)


def main(arguments: Sequence[str]) -> int:
    environ = dict(os.environ)
    if arguments and not arguments[0].startswith("-"):  # `docker run IMAGE bash`
        os.execvp(arguments[0], list(arguments))  # noqa: S606
    try:
        settings = read(arguments, environ)
        hardware = look(environ.get("ENGINE_FLAVOR", "cuda"))
        return _serve(settings, hardware, environ)
    except Wrong as exc:
        say(str(exc))
        return WRONG_SETTING
    except Lacking as exc:
        say(str(exc))
        return LACKING


def _serve(settings: Settings, hardware: Hardware, environ: Mapping[str, str]) -> int:
    flavor = environ.get("ENGINE_FLAVOR", "cuda")
    cache = Path(environ.get("ENGINE_CACHE", "/cache"))
    root = os.geteuid() == 0
    _require(settings, hardware, flavor=flavor, cache=cache, root=root)
    dtype, why = choose_dtype(settings.dtype, hardware)
    home = Path(environ.get("HOME", "/home/appuser"))
    daemon = sshd.prepare(settings, home=home, folder=sshd.ROOTS_FOLDER if root else cache / "sshd") if settings.sshd else None
    if root and daemon:
        sshd.own(home, APPUSER)
    _introduce(settings, hardware, dtype=dtype, why=why)
    _tell_healthcheck(settings)
    key = commands.engine_key(environ)
    kills = troubles.oom_kills()
    names = _Namer()
    startup = Startup(settings.engine_port, cache, say)
    supervisor = Supervisor(stop_grace_s=settings.kill_after_s, say=say, write=_write, user=APPUSER if root else None)
    if daemon:
        supervisor.start(daemon, needed=False, as_root=root)
        say(f"sshd listens on port {settings.ssh_port}, for appuser, keys only")
    vllm = commands.engine(settings, dtype=dtype, environ=environ, key=key)
    # After the start a line of the log may quote a client; then only the end counts.
    supervisor.start(vllm, heard=lambda line: None if startup.ready.is_set() else names(line))
    supervisor.start(commands.gateway(settings, environ=environ, key=key))
    startup.start()
    ended = supervisor.run()
    startup.ready.set()
    return 0 if ended is None else _explain(ended, killed=troubles.oom_kills() > kills)


def _require(settings: Settings, hardware: Hardware, *, flavor: str, cache: Path, root: bool) -> None:
    if flavor != "cpu" and not hardware.gpus:
        raise Lacking(str(troubles.NO_GPU))
    if flavor != "cpu" and settings.tensor_parallel > len(hardware.gpus):
        raise Wrong(f"TENSOR_PARALLEL={settings.tensor_parallel}: only {len(hardware.gpus)} GPU(s) can be seen")
    if root:
        os.chown(cache, APPUSER, APPUSER)
    try:
        with tempfile.TemporaryFile(dir=cache):
            pass
    except OSError as exc:
        raise Lacking(f"{troubles.CACHE_NOT_WRITABLE} ({exc.strerror})") from exc


def _introduce(settings: Settings, hardware: Hardware, *, dtype: str, why: str) -> None:
    what = f"{len(hardware.gpus)} x {hardware.gpus[0]}" if hardware.gpus else "CPU"
    say(f"{settings.model} as {settings.served_name} on {what}; build {settings.build_sha} of {settings.build_time}")
    say(f"DTYPE={dtype} ({why}) MAX_MODEL_LEN={settings.max_model_len} TENSOR_PARALLEL={settings.tensor_parallel}")
    say(f"gateway on {settings.host}:{settings.port}, vLLM behind it on 127.0.0.1:{settings.engine_port}")


def _tell_healthcheck(settings: Settings) -> None:
    everywhere = settings.host in ("0.0.0.0", "::", "[::]")  # noqa: S104
    address = {"host": "127.0.0.1" if everywhere else settings.host.strip("[]"), "port": settings.port}
    ADDRESS_FILE.write_text(json.dumps(address), encoding="utf-8")


class _Namer:
    """Says each trouble once, when its sign is seen."""

    def __init__(self, tell: Callable[[str], None] = say) -> None:
        self._said: set[str] = set()
        self._tell = tell

    def __call__(self, *lines: str) -> None:
        for trouble in troubles.named(lines):
            if trouble.name not in self._said:
                self._said.add(trouble.name)
                self._tell(str(trouble))


def _explain(ended: Child, *, killed: bool) -> int:
    code = exit_code(ended)
    how = f"signal {-ended.status}" if ended.status and ended.status < 0 else f"exit code {ended.status}"
    say(f"{ended.command.name} ended by itself ({how}); so the container ends with {code}")
    # Said again where it was said before: the last line is the one that is read.
    for trouble in [*troubles.named(ended.lines), *([troubles.OUT_OF_MEMORY] if killed else [])]:
        say(str(trouble))
    return code
