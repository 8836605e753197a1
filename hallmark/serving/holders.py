"""Who holds a lock file: the note that its holder left in it, held against the processes that are there."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hallmark.core.redact import MASK, Redactor, is_secret_name

PROC = Path("/proc")
_LONGEST_COMMAND = 160
_RUN_VARIABLE = "PYTEST_XDIST_TESTRUNUID"
"""pytest-xdist gives it to the workers of one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a holder says of itself. No command line: the file is there for everybody to read."""

    holder: str
    """The cell that is served."""
    since: float
    """`time.time()` when it got the lock."""
    pid: int
    born: str
    """The tick at which that process began: a pid is given again."""
    namespace: str
    """The machine's boot and the pid namespace in which `pid` counts."""
    host: str
    run: str = ""
    """What the workers of one run have in common; empty for a run of one process."""

    @classmethod
    def of_this_process(cls, holder: str, *, now: float) -> Note:
        return cls(
            holder=holder,
            since=now,
            pid=os.getpid(),
            born=born(os.getpid()),
            namespace=_namespace(),
            host=socket.gethostname(),
            run=this_run(),
        )

    def written(self) -> str:
        return json.dumps(asdict(self))


_NOTE = TypeAdapter(Note)


def this_run() -> str:
    """What the notes of this run's workers have in common; empty where this process is the whole run."""
    return os.environ.get(_RUN_VARIABLE, "")


def read_note(path: Path) -> Note | None:
    """The note in a lock file; None where there is none that can be read."""
    try:
        return _NOTE.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def described(path: Path, *, now: float) -> str:
    """`held by CELL since TIME (N s): pid P, COMMAND`, or as much of it as is true and can be seen from here."""
    note = read_note(path)
    if note is None:
        return f"held by a run that left no note of itself: {_processes(path)}"
    since = f"{datetime.fromtimestamp(note.since, UTC):%Y-%m-%d %H:%M:%S} UTC ({max(now - note.since, 0):.0f} s)"
    return f"held by {note.holder} since {since}: {_where(note, path)}"


def _where(note: Note, path: Path) -> str:
    if note.namespace != _namespace():
        return f"pid {note.pid} of another container or machine ({note.host}), which cannot be looked at from here"
    if note.born and born(note.pid) == note.born:
        return f"pid {note.pid}, {command_of(note.pid)}"
    return f"its pid {note.pid} is gone, but what it left behind is not: {_processes(path)}"


def _processes(path: Path) -> str:
    found = [f"pid {pid}, {command_of(pid)}" for pid in _holding(path)]
    return "; ".join(found) or "no process that can be seen from here has it"


def _holding(path: Path) -> Iterator[int]:
    """The processes that have the lock's open file; of others' processes the kernel does not tell."""
    try:
        wanted = path.stat()
    except OSError:
        return
    mark = f"{os.major(wanted.st_dev):02x}:{os.minor(wanted.st_dev):02x}:{wanted.st_ino} "
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(_locks(entry, mark) for entry in (folder / "fdinfo").iterdir()):
                yield int(folder.name)


def _locks(entry: Path, mark: str) -> bool:
    """Whether one descriptor's `lock:` lines name that file; whoever only waits for it has none."""
    with contextlib.suppress(OSError):
        return any(line.startswith("lock:") and mark in line for line in entry.read_text(encoding="ascii").splitlines())
    return False


def born(pid: int) -> str:
    """The tick at which a process began, since a pid is given again; empty where there is none."""
    try:
        return (PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _namespace() -> str:
    # The first namespace has the same number on every machine.
    with contextlib.suppress(OSError):
        boot = (PROC / "sys" / "kernel" / "random" / "boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {(PROC / 'self' / 'ns' / 'pid').readlink()}"
    return ""


def command_of(pid: int) -> str:
    """A process's command line, shortened and without what stands there under a secret's name."""
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").rstrip("\0").split("\0")
    except OSError:
        words = [""]
    line = " ".join(Redactor.of_environment(os.environ)(shlex.join(_without_secrets(words))).split())
    line = line if len(line) <= _LONGEST_COMMAND else line[: _LONGEST_COMMAND - 3] + "..."
    return line if any(words) else "whose command cannot be seen"


def _without_secrets(words: list[str]) -> Iterator[str]:
    masked = False
    for word in words:
        name, equals, _ = word.partition("=")
        secret = is_secret_name(name) and (bool(equals) or word.startswith("-"))
        yield MASK if masked else f"{name}={MASK}" if secret and equals else word
        masked = secret and not equals
