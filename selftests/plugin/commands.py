"""Whole commands, run as a person runs them: started, watched line by line, signalled, and read back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeVar

from selftests.forkserver import Forked, fork

LONGEST_S = 120.0
Found = TypeVar("Found")


def wait_for(find: Callable[[], Found], what: str, *, deadline_s: float = 60.0) -> Found:
    """Poll `find` until it finds something; AssertionError that names `what` when it never does."""
    deadline = time.monotonic() + deadline_s
    while not (found := find()):
        assert time.monotonic() < deadline, f"after {deadline_s:g} s there is still no {what}"
        time.sleep(0.02)
    return found


def processes_with(mark: str, sessions: Collection[int] = ()) -> list[int]:
    """Every live process whose environment holds `mark`: children inherit it, so none can hide.

    A forked command has in it what the process had that forked it: it, and what it forks, is found by its session.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
            if state != "Z" and (int(session) in sessions or mark.encode() in (folder / "environ").read_bytes()):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def records_in(path: Path) -> list[dict[str, Any]]:
    """The records of a run as plain data, without the lines that begin and end their chain."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if "check" in line]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended, what it said and what it left."""

    code: int
    out: str
    err: str
    folders: tuple[Path, ...]
    """The runs' folders that were not there before."""

    @property
    def said(self) -> str:
        return self.out + self.err

    @property
    def folder(self) -> Path:
        assert len(self.folders) == 1, f"{len(self.folders)} folders: {self.folders}\n{self.said}"
        return self.folders[0]

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "report.json").read_text(encoding="utf-8"))

    @property
    def outcome(self) -> str:
        return str(self.report["decision"]["outcome"])

    @property
    def causes(self) -> str:
        """As the report tells them; what report.json says stands in report.md and on the terminal, too."""
        return "\n".join(self.report["decision"]["causes"])

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["check"]: row for row in self.report["rows"]}

    @property
    def bad(self) -> dict[str, str]:
        """Check -> verdict, of every check that is not good."""
        return {check: row["verdict"] for check, row in self.rows.items() if row["verdict"] != "PASS"}

    @property
    def records(self) -> list[dict[str, Any]]:
        """Of the lines of records.jsonl those that are of a check."""
        return records_in(self.folder / "records.jsonl")

    def of(self, model: str) -> Ended:
        """This, as far as the cell of one model of several goes."""
        folders = [folder for folder in self.folders if f"_{model}_" in folder.name]
        assert len(folders) == 1, f"{len(folders)} folders of {model}\n{self.said}"
        return replace(self, folders=tuple(folders))

    def must_end(self, code: int, outcome: str) -> Ended:
        """This, if it ended so; else an AssertionError with all that was said."""
        assert (self.code, self.outcome) == (code, outcome), f"{self.code} {self.outcome}: {self.causes}\n{self.said}"
        assert self.report["decision"]["accepted"] == (outcome == "ACCEPTED")
        return self


class Command:
    """A command that runs, in a session of its own so that a signal to its group reaches nobody else."""

    def __init__(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], artifacts: Path, forked: bool = False) -> None:
        """`forked`: `argv` is `python -m ...`, and has no interpreter of its own; see forkserver.py."""
        self.argv = argv
        self._artifacts = artifacts
        self._before = set(artifacts.iterdir()) if artifacts.is_dir() else set()
        out, err = os.pipe(), os.pipe()
        try:
            self.process = self._begin(argv, cwd=cwd, env=env, out=out[1], err=err[1], forked=forked)
        finally:
            for _, written in (out, err):
                os.close(written)
        self._said: dict[str, list[tuple[float, str]]] = {"out": [], "err": []}
        self._readers = [
            threading.Thread(target=self._read, args=(name, stream), daemon=True)
            for name, stream in (("out", os.fdopen(out[0], "rb")), ("err", os.fdopen(err[0], "rb")))
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _begin(
        argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: int, err: int, forked: bool
    ) -> Forked | subprocess.Popen[bytes]:
        if forked:
            return fork(argv[2:], cwd=cwd, env=env, out=out, err=err)
        nothing = subprocess.DEVNULL
        return subprocess.Popen(argv, cwd=cwd, env=dict(env), stdin=nothing, stdout=out, stderr=err, start_new_session=True)

    def _read(self, name: str, stream: IO[bytes]) -> None:
        for line in stream:
            self._said[name].append((time.time(), line.decode("utf-8", errors="replace")))
        stream.close()

    def arrived(self, text: str, *, on: str = "err") -> list[float]:
        """When (by `time.time()`) each line with `text` came."""
        return [at for at, line in list(self._said[on]) if text in line]

    def lines(self, on: str) -> list[str]:
        """What it has said so far."""
        return [line for _, line in list(self._said[on])]

    def folder(self) -> Path:
        """The run's folder, as soon as its manifest is there."""

        def find() -> list[Path]:
            return [path.parent for path in self._artifacts.glob("*/manifest.json") if path.parent not in self._before]

        return wait_for(find, "manifest")[0]

    def signal_all(self, number: int) -> None:
        """As the terminal does on Ctrl-C: to every process of the group."""
        os.killpg(self.process.pid, number)

    def children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    def end(self, *, deadline_s: float = LONGEST_S) -> Ended:
        try:
            code = self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.signal_all(signal.SIGKILL)
            raise AssertionError(
                f"not over after {deadline_s:g} s: {self.argv}\n{self._text('out')}{self._text('err')}"
            ) from None
        for reader in self._readers:
            reader.join(10)
        after = set(self._artifacts.iterdir()) if self._artifacts.is_dir() else set()
        return Ended(code=code, out=self._text("out"), err=self._text("err"), folders=tuple(sorted(after - self._before)))

    def _text(self, name: str) -> str:
        return "".join(line for _, line in self._said[name])
