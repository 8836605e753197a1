"""How near to the ideal a matrix is run, and what its driver costs: the real driver over a simulated cluster, beside its peers.

    python -m benchmarks.fleet.run [--parts ...] > benchmarks/fleet/TABLE.md

No cell runs: times are drawn, and the driver's clock jumps to the next end. Ray is real and sleeps, two thousand times shorter.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.fleet import xdist_load
from benchmarks.fleet.cells import BOARDS, SINGLE, drawn, fleet, real_times
from benchmarks.fleet.cluster import Cluster
from benchmarks.fleet.driven import driven
from benchmarks.fleet.ideal import ideal_s
from benchmarks.peers import ROOT, Missing, installed
from hallmark.fleet.backends import Node
from hallmark.fleet.schedule import Waiting, lower_bound, makespan, simulated

CELLS = 1000
GOAL = 0.95
MIXED = (1, 1, 1, 2, 4)
WIDE = (1, 2, 4, 8)
VOID = 0.05
RAY = "2.60.0"
PARTS = ("ideal", "cost", "peers")
SEED = 20261128


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is drawn, and what goes wrong."""

    name: str
    counts: Sequence[int] = (1,)
    error: float = 0.0
    lost: bool = False
    void: float = 0.0
    single: bool = False
    """One board in each node."""

    def run(self, number: int, seed: int) -> dict[str, Any]:
        """Its cells run once; `ideal` and `undisturbed`, in seconds, besides what the driver did."""
        chance = random.Random(seed)  # noqa: S311
        nodes = fleet(SINGLE if self.single else BOARDS)
        cells = drawn(number, nodes, chance, self.counts)
        takes = real_times(cells, self.error, chance)
        half_s = makespan(cells, nodes) / 2
        cluster = Cluster(
            nodes=nodes,
            takes=takes,
            is_void=lambda: chance.random() < self.void,
            lost_at_s={node.name: half_s for node in nodes[9::10]} if self.lost else {},
        )
        with tempfile.TemporaryDirectory(prefix="hallmark-fleet-") as folder:
            went = driven(Path(folder), cells, cluster)
        really = [Waiting(key=one.key, unit=one.unit, count=one.count, predicted_s=takes[one.key]) for one in cells]
        ideal = ideal_s(cluster.held, nodes, takes, went.there_until_s)
        return {**asdict(went), "attempts": len(cluster.held), "ideal_s": ideal, "undisturbed_s": lower_bound(really, nodes)}


CASES = (
    Case(name="one board each, 50 nodes with one board", single=True),
    Case(name="the same, wrong by up to 30 %", single=True, error=0.3),
    Case(name="one, two or four boards", counts=MIXED),
    Case(name="one, two or four boards, wrong by up to 30 %", counts=MIXED, error=0.3),
    Case(name="one, two, four or eight boards, wrong by up to 30 %", counts=WIDE, error=0.3),
    Case(name="a tenth of the nodes lost half-way, wrong by up to 30 %", counts=MIXED, error=0.3, lost=True),
    Case(name="5 % of the attempts VOID, wrong by up to 30 %", counts=MIXED, error=0.3, void=VOID),
    Case(name="both", counts=MIXED, error=0.3, lost=True, void=VOID),
)
COST = Case(name="cost", counts=MIXED, error=0.3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=3, help="how often each case is drawn anew")
    parser.add_argument("--sizes", nargs="+", type=int, default=[CELLS, 10 * CELLS], help="cells whose cost is measured")
    parser.add_argument("--second-as", type=float, default=0.0005, help="seconds that Ray sleeps for each second of a cell")
    parser.add_argument("--only-run", type=int, metavar="CELLS", help="run so many once, and print what it cost as JSON")
    options = parser.parse_args()
    if options.only_run:
        print(json.dumps(COST.run(options.only_run, SEED)))
        return 0
    good = True
    if "ideal" in options.parts:
        good = ideal_table(options.rounds)
    if "cost" in options.parts:
        cost_table(options.sizes)
    if "peers" in options.parts:
        peers_table(options.second_as)
    return 0 if good else 1


def ideal_table(rounds: int) -> bool:
    drawn_anew = "one round" if rounds == 1 else f"the least of {rounds} rounds, and the mean"
    print(f"{CELLS} cells over 50 nodes of three kinds; {drawn_anew}. Goal: {GOAL:.0%} of the ideal.")
    print()
    print("| cells | of the ideal | mean | of an undisturbed ideal | attempts | in quarantine | without a result |")
    print("|---|---|---|---|---|---|---|")
    good = True
    for case in CASES:
        runs = [case.run(CELLS, SEED + number) for number in range(rounds)]
        shares = [run["ideal_s"] / run["makespan_s"] for run in runs]
        undisturbed = min(run["undisturbed_s"] / run["makespan_s"] for run in runs)
        attempts, quarantined = ("/".join(str(run[what]) for run in runs) for what in ("attempts", "quarantined"))
        lacking = "/".join(str(CELLS - run["ended"]) for run in runs)
        shown = f"{min(shares):.1%} | {statistics.mean(shares):.1%} | {undisturbed:.1%}"
        print(f"| {case.name} | {shown} | {attempts} | {quarantined} | {lacking} |", flush=True)
        good &= min(shares) >= GOAL
    return good


def cost_table(sizes: Sequence[int]) -> None:
    print("\n| cells | driver, ms a cell | computing | deciding | ms a turn | memory before | after | KiB a cell |")
    print("|---|---|---|---|---|---|---|---|")
    for number in sizes:
        command = [sys.executable, "-m", "benchmarks.fleet.run", "--only-run", str(number)]
        run = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout)
        own, cpu, deciding = (1000 * run[what] / number for what in ("own_s", "cpu_s", "deciding_s"))
        before, after = run["rss_mib"]
        shown = f"{own:.2f} | {cpu:.2f} | {deciding:.2f} | {1000 * run['own_s'] / run['turns']:.2f}"
        print(f"| {number} | {shown} | {before:.1f} MiB | {after:.1f} MiB | {1024 * (after - before) / number:.2f} |", flush=True)


def peers_table(second_as: float) -> None:
    """Equal nodes of one board, and cells that take one: what the peers can tell apart."""
    nodes = fleet(SINGLE)
    cells = drawn(CELLS, nodes, random.Random(SEED))  # noqa: S311
    bound_s = lower_bound(cells, nodes)
    longest_first = sorted(cells, key=lambda one: -one.predicted_s)
    print(f"\nThe same {CELLS} cells of one board each over 50 nodes with one board; ideal {bound_s / 3600:.2f} h.\n")
    print("| scheduler | cells in the order | of the ideal |\n|---|---|---|")
    ours = max(start.ended_s for start in simulated(cells, nodes))
    print(f"| hallmark | any | {bound_s / ours:.1%} |", flush=True)
    xdist = f"pytest-xdist {importlib.metadata.version('pytest-xdist')}, LoadScheduling (simulated)"
    orders = (("as they were drawn", cells), ("longest first", longest_first))
    for order, own in orders:
        print(f"| {xdist} | {order} | {bound_s / _by_xdist(own, nodes):.1%} |", flush=True)
    for order, own in orders:
        try:
            took_s = _by_ray(own, nodes, second_as)
        except Missing as exc:
            print(f"| Ray {RAY} | {order} | not measured: {exc} |")
        else:
            how = f"Ray {RAY}, plain tasks (real, 1 s as {1000 * second_as:g} ms)"
            print(f"| {how} | {order} | {bound_s / took_s:.1%} |", flush=True)


def _by_xdist(cells: Sequence[Waiting], nodes: Sequence[Node]) -> float:
    """It knows no kinds: each has a run of its own, all begun at once."""
    takes = {unit: {one.key: one.predicted_s for one in cells if one.unit == unit} for unit in SINGLE}
    return max(xdist_load.makespan(own, sum(unit in one.units for one in nodes)) for unit, own in takes.items())


def _by_ray(cells: Sequence[Waiting], nodes: Sequence[Node], second_as: float) -> float:
    """In seconds of the cells."""
    boards = {unit: sum(one.units.get(unit, 0) for one in nodes) for unit in SINGLE}
    asked = {"boards": boards, "tasks": [(one.unit, one.count, one.predicted_s * second_as) for one in cells]}
    command = [str(installed("ray", RAY) / "python"), str(Path(__file__).with_name("ray_tasks.py"))]
    environ = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False, env=environ)
    if done.returncode:
        raise Missing(f"it ended with {done.returncode}: {done.stderr[-300:]}")
    took_s: float = json.loads(done.stdout.splitlines()[-1])["took_s"]
    return took_s / second_as


if __name__ == "__main__":
    raise SystemExit(main())
