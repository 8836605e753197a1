"""`hallmark verify` of many folders that nobody touched: however a run came out, whenever a kill ended it, none is accused."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hallmark import cli
from hallmark.core.chain import last_mark
from hallmark.core.records import Record
from hallmark.core.verdict import Verdict
from hallmark.workflows.reports import render_again
from selftests.certificate.ended_runs import KINDS, Run, write_ended
from selftests.plugin.commands import wait_for
from selftests.plugin.conftest import Place
from selftests.report.samples import RELEASE_RECORDS, record, release_manifest, score, speed

pytestmark = pytest.mark.long

SEEDS = range(5)
OF_A_SEED = 40
"""So that there are two hundred."""
KILLED = range(3)
KILLS = 10
"""Of a seed: thirty in all."""


@pytest.mark.parametrize("seed", SEEDS)
def test_of_two_hundred_runs_that_nobody_touched_none_is_accused(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(seed)
    outcomes = set()
    for place in range(OF_A_SEED):
        known = {kind: f"{kind} {chance.randrange(9)}" for kind in KINDS} if chance.random() < 0.5 else None
        folder = write_ended(tmp_path / f"{place}", _run(chance), known=known)
        decided = render_again(folder).decision if chance.random() < 0.3 else None
        code, lines = _verified(folder, capsys)
        assert lines[0].startswith("VERIFIED: "), "\n".join(lines)
        assert decided is None or decided.exit_code == code
        outcomes.add(lines[0].partition(" - ")[0])
    assert len(outcomes) > 2, "they are all alike"


def _run(chance: random.Random) -> Run:
    """One that came out by chance: checks that passed, failed, were spoilt or never came to be, in any order."""
    records = [_by_chance(one, chance) for one in RELEASE_RECORDS if chance.random() < chance.choice((1.0, 1.0, 0.9))]
    chance.shuffle(records)
    return replace(release_manifest(), device=chance.choice(("t3k", "n300", "cpu"))), tuple(records)


def _by_chance(one: Record, chance: random.Random) -> Record:
    if chance.random() < 0.85:
        return one
    name = one.check.partition(".")[2]
    if one.kind == "evals":
        return score(name, chance.uniform(0.5, 1), floor=0.8, reference=0.9, n=chance.randrange(50, 5000), half=0.02)
    if one.kind == "perf":
        return speed(name, share=chance.uniform(0.4, 2))
    bad = chance.choice((Verdict.FAIL, Verdict.ERROR, Verdict.VOID, Verdict.INCONCLUSIVE))
    return replace(record(one.check, bad, kind=one.kind, reason="as chance would have it"), evidence=())


@pytest.mark.e2e
@pytest.mark.parametrize("seed", KILLED)
def test_at_thirty_moments_of_a_run_a_kill_leaves_an_incomplete_one(
    seed: int, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.whole_spec()
    began = time.monotonic()
    place.release().end().must_end(0, "ACCEPTED")
    whole_s = time.monotonic() - began
    chance = random.Random(seed)
    found = [_killed(place, chance.uniform(0, 1.1) * whole_s, capsys) for _ in range(KILLS)]
    assert found.count("INCOMPLETE") >= KILLS // 5, found  # else the moments are not where the run is


def _killed(place: Place, after_s: float, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of a run whose processes were all killed so long after its start."""
    before = {*_folders(place)}
    command = place.release()
    moment = time.monotonic() + after_s
    wait_for(lambda: time.monotonic() >= moment, "moment")
    while pids := place.processes():
        for pid in pids:
            _kill(pid)
    command.end()
    (new,) = {*_folders(place)} - before or {None}
    if new is None or not (new / "manifest.json").is_file():
        return "nothing"  # it had not begun
    code, lines = _verified(new, capsys)
    said = lines[0].partition(":")[0]
    assert (said, code) in {("INCOMPLETE", 4), ("VERIFIED", 0)}, "\n".join([f"after {after_s:.2f} s", *lines])
    assert said == "INCOMPLETE" or last_mark(new / "records.jsonl", "ends")[0], "accepted, and without an end"
    return said


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _folders(place: Place) -> Iterator[Path]:
    return place.artifacts.iterdir() if place.artifacts.is_dir() else iter(())


def _verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    capsys.readouterr()
    code = cli.main(["verify", str(folder)])
    return code, capsys.readouterr().out.splitlines()
