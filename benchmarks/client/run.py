"""How well load generators measure: hallmark's beside its peers', against a paced server whose own log is the truth.

    python -m benchmarks.client.run [--rounds 3] [--ahead] > benchmarks/client/TABLE.md

A core for the client, a core for the server, a run at a time, the tools in turns. What they write is kept below --keep.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.client.measuring import Failed, measured
from benchmarks.client.tables import FLAT, GAP_MS, OURS, PACED, SCHEDULED, TTFT_MS, Runs, report
from benchmarks.client.tools import TOOLS, Load, Tool
from benchmarks.peers import ROOT, Missing

STREAMS = 64
PACED_LOAD = Load(streams=STREAMS, requests=512, warmup=STREAMS, isl=64, osl=100)
RATE = 2_000
SCHEDULED_LOAD = Load(streams=256, requests=10_000, warmup=64, isl=16, osl=2, rate=RATE)
PARTS = (PACED, FLAT, "schedule")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=TOOLS, default=list(TOOLS), metavar="TOOL")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--ahead", action="store_true", help="server and tools go before whatever else runs here (root)")
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait before each run for others to be quiet")
    parser.add_argument("--keep", type=Path, default=ROOT / ".hallmark" / "benchmarks" / "client")
    options = parser.parse_args()
    runs = Runs()
    tools = list(_to_be_had(options.only, runs))

    def once(part: str, tool: Tool, load: Load, *server: str) -> None:
        done = runs.rounds.setdefault((part, tool.name), [])
        print(f"{part} {tool.name} {len(done) + 1}", file=sys.stderr, flush=True)
        folder = options.keep / part / f"{tool.name.replace(' ', '-')}-{len(done) + 1}"
        try:
            done.append(measured(tool, load, folder, *server, ahead=options.ahead, patience_s=options.patience))
        except Failed as exc:
            runs.missing[f"{part}, {tool.name}"] = str(exc)

    for turn in range(options.rounds):
        for tool in tools if turn % 2 == 0 else reversed(tools):
            if PACED in options.parts:
                once(PACED, tool, PACED_LOAD, f"--ttft-ms={TTFT_MS}", f"--gap-ms={GAP_MS}")
            if FLAT in options.parts:
                once(FLAT, tool, Load(streams=STREAMS, requests=STREAMS, warmup=1, isl=64, osl=tool.flat_osl), "--flat")
            if "schedule" in options.parts and tool.name == OURS:
                for kind in SCHEDULED:
                    once(kind, tool, replace(SCHEDULED_LOAD, kind=kind), "--ttft-ms=5", "--gap-ms=5")
    return report(runs, ahead=options.ahead)


def _to_be_had(names: Sequence[str], runs: Runs) -> Iterator[Tool]:
    for name in names:
        try:
            tool = TOOLS[name]()
        except Missing as exc:
            runs.missing[name] = str(exc)
        else:
            runs.versions[name] = tool.version
            yield tool


if __name__ == "__main__":
    raise SystemExit(main())
