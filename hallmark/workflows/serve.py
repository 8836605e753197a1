"""The workflow `server`: one cell's server, started as for its certification, that stays up until it is told to end."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.core.files import new_folder
from hallmark.core.grace import drain_s, stop_grace_s
from hallmark.core.progress import Progress
from hallmark.core.redact import Redactor
from hallmark.core.run_log import RunLog
from hallmark.core.signals import EndSignals
from hallmark.serving.plan import LaunchSettings
from hallmark.serving.server import RunningServer
from hallmark.serving.site import TestbedSettings
from hallmark.serving.testbed import Testbed
from hallmark.specs.catalogue import Selection, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.secrets import spec_secrets
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.device import guessed

_FOLLOW_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """What is to be served, and how."""

    selection: Selection
    spec_dirs: tuple[Path, ...]
    artifacts: Path
    server: str
    server_url: str = ""
    server_python: str = ""
    image: str = ""
    install_missing: bool = False
    strict_config: bool = False
    host: str = "127.0.0.1"
    port: int = 0
    device_wait_s: float | None = None
    engine_args: Mapping[str, str] = field(default_factory=dict)
    env_vars: Mapping[str, str] = field(default_factory=dict)
    api_key: str = field(default="", repr=False)
    jwt_secret: str = field(default="", repr=False)


def chosen_cell(request: ServeRequest) -> Cell:
    """The one selected cell; UsageError where none or several are."""
    if not request.selection.models:
        raise UsageError("say which model to serve", where="--model", hint="see `hallmark specs list`")
    catalogue = load_catalogue(request.spec_dirs)
    cells = catalogue.select(request.selection)
    if not request.selection.device:
        device = guessed(cells)
        cells = tuple(cell for cell in cells if cell.device == device)
    if not request.selection.configuration:
        cells = tuple(cell for cell in cells if not cell.alternative)
    if len(cells) != 1:
        names = ", ".join(cell.id for cell in cells)
        raise UsageError(
            f"{len(cells)} cells are meant, one can be served: {names}",
            hint="name --model, --device, --impl and --runtime-config",
        )
    return cells[0]


def make_testbed(cell: Cell, request: ServeRequest, *, root: Path, folder: Path) -> Testbed:
    settings = TestbedSettings(
        server=request.server,
        launch=LaunchSettings(
            host=request.host,
            port=request.port,
            server_url=request.server_url,
            api_key=request.api_key,
            engine_args=request.engine_args,
            env_vars=request.env_vars,
            device_wait_s=request.device_wait_s,
            strict_config=request.strict_config,
        ),
        server_python=request.server_python,
        image=request.image,
        install_missing=request.install_missing,
        jwt_secret=request.jwt_secret,
        environments=root / ".hallmark" / "environments",
    )
    redact = _redactor(cell, request)
    progress = Progress(lambda: None)
    progress.listener = RunLog(folder, redact).hear
    return Testbed(cell, settings, folder=folder, environ=os.environ, progress=progress, say=progress.say, redact=redact)


def _redactor(cell: Cell, request: ServeRequest) -> Redactor:
    return Redactor.of_environment(os.environ, extra=[request.api_key, request.jwt_secret, *spec_secrets([cell])])


def serve(request: ServeRequest, *, root: Path) -> Ended:
    """Start the server, say where it answers, follow its log, and stop it on Ctrl-C or SIGTERM. Exit 3 where it dies.

    Stopping takes STOP_GRACE_S at most, and no longer than the answers that are under way.
    """
    cell = chosen_cell(request)
    grace_s = stop_grace_s(os.environ)
    utc = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = new_folder(request.artifacts, f"{utc}-{cell.id}-server")
    testbed = make_testbed(cell, request, root=root, folder=folder)
    death = None
    signals = EndSignals()
    try:
        signals.take()
        server = testbed.server
        with _key_told(request, server, root / ".hallmark" / "keys" / folder.name) as key:
            print(*_announcement(cell, server, folder, key=key), sep="\n", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                _follow(folder / "server.log", server, _redactor(cell, request))
            death = server.death
            if not death:
                _finish(server, grace_s, signals)
    finally:
        signals.only_note()
        testbed.close()
        signals.give_back()
    how = str(death) if death else "stopped"
    return Ended(exit_code=3 if death else 0, lines=(f"{how}; the log is {folder}/server.log",))


def _finish(server: RunningServer, grace_s: float, signals: EndSignals) -> None:
    """Let answers under way come to their end; a second signal ends the wait."""
    with contextlib.suppress(KeyboardInterrupt):
        signals.expect_another()
        # In one piece with its line's end: the second signal may come between the two writes of a print.
        sys.stdout.write(f"stopping: answers under way may take {drain_s(grace_s):g} s; a second Ctrl-C cuts them\n")
        sys.stdout.flush()
        server.finish(grace_s)


def _announcement(cell: Cell, server: RunningServer, folder: Path, *, key: str) -> Iterator[str]:
    yield f"serving {cell.id}"
    yield from (f"  note:   {note}" for note in cell.notes)
    yield f"  url:    {server.endpoint.base_url}/v1"
    yield f"  model:  {server.endpoint.model}"
    yield f"  key:    {key}"
    yield f"  folder: {folder}"
    yield "  stop it with Ctrl-C"


@contextmanager
def _key_told(request: ServeRequest, server: RunningServer, place: Path) -> Iterator[str]:
    """Where the key is: printed for a person at a terminal, never into a log; a token is kept in a file until the end.

    The token names this server and has no other end; what is left of it after a kill opens nothing.
    """
    key = server.endpoint.api_key
    if not key or not request.jwt_secret:
        yield "the one in HALLMARK_API_KEY" if key else "none"
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.touch(mode=0o600)
    place.write_text(key + "\n", encoding="utf-8")
    try:
        yield key if sys.stdout.isatty() else f"in {place}; good until the server is stopped"
    finally:
        place.unlink(missing_ok=True)


def plan_text(request: ServeRequest, *, root: Path) -> str:
    """What `serve` would do. Does nothing, and ends as `serve` would, as far as that is known."""
    cell = chosen_cell(request)
    stop_grace_s(os.environ)
    return make_testbed(cell, request, root=root, folder=Path("artifacts")).plan_text()


def _follow(log: Path, server: RunningServer, redact: Callable[[str], str]) -> None:
    """Copy what the server logs to standard output, in whole lines and without secrets, until it dies."""
    offset = 0
    over = False
    while not over:
        over = server.died_within(_FOLLOW_S)
        if not log.is_file():
            continue
        with log.open("rb") as stream:
            stream.seek(offset)
            said = stream.read()
        if not over:
            said = said[: said.rfind(b"\n") + 1]
        offset += len(said)
        sys.stdout.write(redact(said.decode("utf-8", errors="replace")))
        sys.stdout.flush()
