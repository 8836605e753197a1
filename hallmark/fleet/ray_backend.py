"""Cells on the machines of a Ray cluster that runs already: one task for each attempt, and nothing of a result through Ray.

A node declares its devices as resources named `hallmark_UNIT`; what counts is what it finds when it looks at itself.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.core.files import write_text
from hallmark.core.process import tail
from hallmark.fleet.backends import Node, NotReached, Placed, Poll, State
from hallmark.fleet.engines import Site
from hallmark.fleet.order import LOG_FILE, ORDER_FILE
from hallmark.fleet.proof import proved
from hallmark.fleet.resources import PREFIX

CONNECT_S = 60.0
FIRST_OFFER_S = 120.0
CALL_S = 15.0
"""How long Ray may take to answer: meanwhile a driver does nothing but beat."""


def opened(site: Site) -> RayBackend:
    """`--on ray`, or `--on ray://HOST:PORT`."""
    return RayBackend(site.address, site.folder, site.spec_dirs)


class RayBackend:
    """The running cluster at `address`, HOST:PORT of its server for clients; empty for this machine's (or that of RAY_ADDRESS).

    `folder` is where results are expected, which each node has to see; `spec_dirs` are catalogues beside hallmark's own.
    UsageError without the extra `ray`, InfrastructureError where no cluster answers.
    """

    name = "ray"
    elastic = True

    def __init__(self, address: str, folder: Path, spec_dirs: Sequence[Path] = ()) -> None:
        self._address = address
        self._specs = [str(path) for path in spec_dirs]
        self._word = uuid.uuid4().hex
        self._proof = folder / f".ray-{self._word}"
        self._log = folder / f".ray-{self._word}.log"
        self._ids: dict[str, str] = {}
        """Ray's id of each node, by our name of it."""
        self._process = _Asked(address, self._log)
        write_text(self._proof, self._word)

    def offer(self) -> Sequence[Node]:
        """The nodes that are there now; the first time it waits for what they say; one that has not said it is not proved yet.

        Where the process that asks has ended it is tried anew: another head may be there, or the driver's own node again.
        """
        if self._process.is_over:
            self._process = _Asked(self._address, self._log, within_s=CALL_S)
        within_s = CALL_S if self._ids else FIRST_OFFER_S
        offered = self._process.ask("offer", str(self._proof), self._word, self._specs, within_s=within_s)
        self._ids |= {node["name"]: node["id"] for node in offered}
        return [_node(node["name"], node["declared"], node["said"]) for node in offered]

    def start(self, placed: Placed) -> str:
        folder, handle = placed.folder, f"ray:{uuid.uuid4().hex}"
        resources = {PREFIX + placed.order.unit: len(placed.order.slots)} if placed.order.slots else {}
        arguments = ["run-cell", str(folder / ORDER_FILE), f"--out={folder}", "--leashed"]
        self._process.ask("start", handle, self._ids[placed.node.name], resources, arguments, str(folder / LOG_FILE))
        return handle

    def poll(self, handles: Sequence[str]) -> Mapping[str, Poll]:
        if self._process.is_over:
            return dict.fromkeys(handles, Poll(state=State.LOST, reason=self._process.last_words, blameless=True))
        told = self._process.ask("poll", list(handles))
        return {handle: Poll(state=State(state), reason=reason) for handle, (state, reason) in told.items()}

    def cancel(self, handle: str) -> None:
        with contextlib.suppress(InfrastructureError):  # then its lease ends it
            self._process.ask("cancel", handle)

    def close(self) -> None:
        self._process.end()
        for path in (self._proof, self._log):
            path.unlink(missing_ok=True)


def _node(name: str, declared: Mapping[str, int], said: tuple[str, str] | None) -> Node:
    if said is None:
        return Node(name=name, unproved=declared, awaited="its look at itself has not come yet")
    return proved(name, declared, *said)


class _Asked:
    """The process that has Ray's library (`ray_process`), and its answers. It ends with this one."""

    def __init__(self, address: str, log: Path, *, within_s: float = CONNECT_S) -> None:
        self._log = log
        with log.open("ab") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hallmark.fleet.ray_process", *([address] if address else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # a Ctrl-C is the driver's to handle
            )
        self._where = f"ray://{address}" if address else "ray"
        self._number = 0
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="hallmark-ray-answers", daemon=True).start()
        try:
            self._answer(0, within_s)
        except BaseException:
            self.end()
            raise

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                self._answers.put(json.loads(line))
        self._process.wait()
        self._answers.put(None)

    @property
    def is_over(self) -> bool:
        return self._process.poll() is not None

    @property
    def last_words(self) -> str:
        return f"the driver's connection to the cluster ended: {tail(self._log, 1).strip() or 'it says nothing'}"

    def ask(self, what: str, *arguments: Any, within_s: float = CALL_S) -> Any:
        """InfrastructureError where the answer is an error; NotReached where none comes in time."""
        self._number += 1
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended, which is the answer
            self._process.stdin.write(json.dumps({"number": self._number, "do": what, "with": arguments}) + "\n")
            self._process.stdin.flush()
        return self._answer(self._number, within_s)

    def _answer(self, number: int, within_s: float) -> Any:
        deadline = time.monotonic() + within_s
        hint = "see `ray status` on its head"
        while True:
            try:
                answer = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise NotReached(f"no answer in {within_s:g} s", where=self._where, hint=hint) from None
            if answer is None:
                self._answers.put(None)
                raise NotReached(self.last_words, where=self._where, hint=hint)
            if answer["number"] != number:
                continue  # to a question that was given up
            if "error" in answer:
                kind = UsageError if answer.get("usage") else InfrastructureError
                raise kind(answer["error"], where=self._where, hint=answer["hint"])
            return answer["is"]

    def end(self) -> None:
        """Let go of the cluster; safe to call twice."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()
