"""What a worker of a Ray cluster does for hallmark. It is sent there by value, so it takes the standard library only.

A worker is no place to measure in: Ray gives it a nice level, makes it the kernel's first choice when memory ends, and sets
variables (`CUDA_VISIBLE_DEVICES`, `OMP_NUM_THREADS`) for tasks that compute in it. What is started here gets what the node
itself has.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

_LOOK_S = 60.0
_SHARED_S = 10.0
"""How long a network file system may take to show what another machine wrote."""
_ENDS_S = 60.0
_POLL_S = 0.1
_ALLOCATOR = "/ray/core/libjemalloc.so"
"""Ray preloads its own in the process that starts its workers."""


def look(proof: str, word: str, spec_dirs: list[str]) -> tuple[str, str]:
    """What `hallmark.fleet.node_look` prints on this node, or why the node cannot be used: one of the two is empty.

    `proof` is a file that the driver wrote, with `word` in it, where results are expected; `spec_dirs` are more catalogues.
    """
    if problem := _not_shared(Path(proof), word) or _held_down():
        return "", problem
    command = [sys.executable, "-m", "hallmark.fleet.node_look", *(f"--spec-dir={folder}" for folder in spec_dirs)]
    try:
        done = subprocess.run(
            command, env=nodes_environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=_LOOK_S, check=False
        )
    except subprocess.TimeoutExpired:
        return "", f"its look at itself took longer than {_LOOK_S:g} s"
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "replace"), ""
    last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it says nothing"])[-1]
    return "", f"hallmark cannot be run there: {last} - install it for {sys.executable}, which runs Ray there"


def _not_shared(proof: Path, word: str) -> str:
    """Why the folder of `proof` is not the driver's; empty where it is, and can be written."""
    deadline = time.monotonic() + _SHARED_S
    while True:
        try:
            if proof.read_text(encoding="utf-8") == word:
                break
            problem = "another file is there"
        except OSError as exc:
            problem = exc.strerror or type(exc).__name__
        if time.monotonic() > deadline:
            return (
                f"{proof.parent} is not the driver's folder there ({problem}) - name with --artifacts=FOLDER a folder "
                "that every node sees under the same path"
            )
        time.sleep(_POLL_S)
    mine = proof.with_name(f"{proof.name}.{uuid.uuid4().hex}")
    try:
        mine.write_text(word, encoding="utf-8")
        mine.unlink()
    except OSError as exc:
        return f"{proof.parent} cannot be written there: {exc.strerror} - give the user that runs Ray there the right to"
    return ""


def _held_down() -> str:
    """Why what is started here would be slower than elsewhere on this node; empty where it is not."""
    mine, wanted = os.getpriority(os.PRIO_PROCESS, 0), os.getpriority(os.PRIO_PROCESS, os.getppid())
    try:
        os.setpriority(os.PRIO_PROCESS, 0, wanted)
    except OSError:
        return (
            f"Ray's workers have nice level {mine} there, and so has what they start - set RAY_worker_niceness=0 for `ray start`"
        )
    os.setpriority(os.PRIO_PROCESS, 0, mine)
    return ""


def attend(arguments: list[str], log: str) -> None:
    """Start `python -m hallmark ARGUMENTS` and stay until it has ended. The pipe that is its standard input closes when this
    process ends, however it ends, or when the task is cancelled; then the command ends all it began."""
    with Path(log).open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "hallmark", *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=nodes_environment(),
            start_new_session=True,
        )
    _as_the_node(child.pid)
    try:
        while child.poll() is None:
            time.sleep(_POLL_S)  # a cancelled task is interrupted between two instructions, and in no long wait
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait(_ENDS_S)


def nodes_environment() -> dict[str, str]:
    """The environment of the process that runs Ray on this node, as its owner set it: without what Ray adds, to a worker's,
    and to its own where the owner preloads nothing."""
    settings = Path(f"/proc/{os.getppid()}/environ").read_bytes().split(b"\0")
    pairs = (entry.partition(b"=") for entry in settings if b"=" in entry)
    found = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    preloaded = found.get("LD_PRELOAD", "")
    if preloaded.endswith(_ALLOCATOR) or preloaded == found.get("RAY_JEMALLOC_LIB_PATH"):
        found.pop("LD_PRELOAD", None)  # a server is not the one that was certified with another's memory allocator in it
    return found


def _as_the_node(pid: int) -> None:
    """Give a process that has just been started the nice level and the chance to be killed that Ray's own process has."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, os.getppid()))
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(Path(f"/proc/{os.getppid()}/oom_score_adj").read_text())
