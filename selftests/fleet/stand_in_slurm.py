"""Stands in for Slurm's commands with the options that hallmark uses: sinfo, scontrol, sbatch, squeue, scancel. No controller.

Nodes are lines of a recording; jobs are really started, on this machine, and each is a file. What it says has the shape of what
a real Slurm said (`recorded_slurm/`). It has no queue: a job of a node in `held` waits, with the reason in that file, until
squeue is asked once the file is gone. Boards of a `gpu` are given from the last one down, which no driver expects.
A program of the standard library, started for each command: see `install`.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

COMMANDS = ("sinfo", "scontrol", "sbatch", "squeue", "scancel")
NODES_FILE = "nodes.txt"
BROKEN_FILE = "broken.txt"
"""What every command says while it is there, and then fails: no controller answers."""
HELD_FOLDER = "held"
BLIND_FOLDER = "blind"
"""The names of nodes from whose jobs no file comes, as where they do not see the driver's file system."""
JOBS_FOLDER = "jobs"


def install(folder: Path, nodes: str) -> Path:
    """Make a folder for PATH, whose commands are this program with its state in `folder`. `nodes` is what sinfo says."""
    for name in (HELD_FOLDER, BLIND_FOLDER, JOBS_FOLDER, "bin"):
        (folder / name).mkdir(parents=True)
    (folder / NODES_FILE).write_text(nodes, encoding="utf-8")
    for name in COMMANDS:
        command = shlex.join([sys.executable, "-S", "-E", __file__, str(folder), name])
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        (folder / "bin" / name).chmod(0o755)
    return folder / "bin"


def sinfo(folder: Path, options: dict[str, str], rest: list[str]) -> int:
    assert options.get("format") == "%N|%P|%T|%G|%E", options
    sys.stdout.write((folder / NODES_FILE).read_text(encoding="utf-8"))
    return 0


def scontrol(folder: Path, options: dict[str, str], rest: list[str]) -> int:
    assert rest[:2] == ["show", "node"], rest
    sys.stdout.write(Path(__file__).with_name("recorded_slurm").joinpath("node.out").read_text(encoding="utf-8"))
    return 0


def sbatch(folder: Path, options: dict[str, str], rest: list[str]) -> int:
    number = len(list((folder / JOBS_FOLDER).iterdir())) + 1
    job = {"name": options["job-name"], "node": options["nodelist"], "options": options, "state": "PENDING"}
    _write(folder, number, job)
    if not (folder / HELD_FOLDER / job["node"]).exists():
        _begin(folder, number)
    print(number)
    return 0


def _begin(folder: Path, number: int) -> None:
    """A process of its own holds the job, as slurmd does: it outlives this command."""
    _write(folder, number, _read(folder, number) | {"state": "CONFIGURING"})
    subprocess.Popen(
        [sys.executable, "-S", "-E", __file__, str(folder), "hold", str(number)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def hold(folder: Path, options: dict[str, str], rest: list[str]) -> int:
    """Run one job to its end and write down how it ended."""
    number = int(rest[0])
    job = _read(folder, number)
    output, errors = (job["options"].get(name, "").replace("%%", "%") for name in ("output", "error"))
    if (folder / BLIND_FOLDER / job["node"]).exists():
        _write(folder, number, job | {"state": "FAILED", "reason": "NonZeroExitCode"})
        return 0
    with Path(output).open("ab") as out, Path(errors or output).open("ab") as err:
        process = subprocess.Popen(
            ["/bin/sh", "-c", job["options"]["wrap"]],
            stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
            env={**os.environ, "SLURM_JOB_ID": str(number), "SLURMD_NODENAME": job["node"], **given(job["options"].get("gres"))},
        )  # fmt: skip
    _write(folder, number, job | {"state": "RUNNING", "pid": process.pid})
    code = process.wait()
    cancelled = _read(folder, number)["state"] == "CANCELLED"
    _write(folder, number, job | {"state": "CANCELLED" if cancelled else "FAILED" if code else "COMPLETED"})
    return 0


def given(gres: str | None) -> dict[str, str]:
    """What a job is told of the boards that it has, by their numbers on a node of eight."""
    count = sum(int(entry.rpartition(":")[2]) for entry in (gres or "").split(",") if entry.startswith("gpu"))
    numbers = ",".join(str(number) for number in range(8 - count, 8))
    return dict.fromkeys(("SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES"), numbers) if count else {}


def squeue(folder: Path, options: dict[str, str], rest: list[str]) -> int:
    assert options.get("format") == "%i|%T|%j|%r", options
    numbers = options["jobs"].split(",")
    known = [number for number in numbers if (folder / JOBS_FOLDER / number).exists()]
    if len(numbers) == 1 and not known:
        print("slurm_load_jobs error: Invalid job id specified", file=sys.stderr)
        return 1
    for number in known:
        job = _read(folder, int(number))
        held = folder / HELD_FOLDER / job["node"]
        if job["state"] == "PENDING" and not held.exists():
            _begin(folder, int(number))
            job = _read(folder, int(number))
        reason = held.read_text(encoding="utf-8") if job["state"] == "PENDING" and held.exists() else job.get("reason", "None")
        print(f"{number}|{job['state']}|{job['name']}|{reason}")
    return 0


def scancel(folder: Path, options: dict[str, str], rest: list[str]) -> int:
    number = int(rest[0])
    job = _read(folder, number)
    if job["name"] == options.get("name", job["name"]) and job["state"] in ("PENDING", "CONFIGURING", "RUNNING"):
        _write(folder, number, job | {"state": "CANCELLED"})
        if "pid" in job:
            os.killpg(job["pid"], signal.SIGTERM)
    return 0


def _read(folder: Path, number: int) -> dict:  # type: ignore[type-arg]
    return json.loads((folder / JOBS_FOLDER / str(number)).read_text(encoding="utf-8"))


def _write(folder: Path, number: int, job: dict) -> None:  # type: ignore[type-arg]
    path = folder / JOBS_FOLDER / str(number)
    partial = folder / f"{number}.partial"
    partial.write_text(json.dumps(job), encoding="utf-8")
    partial.replace(path)


def main() -> int:
    folder, name, arguments = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if name in COMMANDS and (folder / BROKEN_FILE).exists():
        sys.stderr.write((folder / BROKEN_FILE).read_text(encoding="utf-8"))
        return 1
    pairs = [word.removeprefix("--").partition("=") for word in arguments if word.startswith("--")]
    options = {option: value for option, _, value in pairs}
    rest = [word for word in arguments if not word.startswith("--")]
    return globals()[name](folder, options, rest)


if __name__ == "__main__":
    raise SystemExit(main())
