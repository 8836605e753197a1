"""What specs cost: loading the catalogue beside merely parsing its YAML, and matching a thousand configs.

    python benchmarks/specs/run.py [--rounds 30] [--folder model_specs]

Loading (parse, validate, inherit, expand into cells) and parsing the same texts with the fastest safe loader alone
(yaml.CSafeLoader) are taken in turns in one process, so that only their ratio is a claim. The first load of a process,
which builds the models' validators, is stated apart. Matching is a thousand configs against a thousand patterns: of one
model_type that ask for one set of attributes, for fifty sets, and each for a set of its own; the best of three.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from hallmark.specs.catalogue import load_catalogue  # noqa: E402
from hallmark.specs.loader import spec_files  # noqa: E402
from hallmark.specs.matching import Matcher, Pattern, make_pattern  # noqa: E402

LOADING_GOAL, MATCHING_GOAL_S = 3.0, 1.0
THOUSAND = 1000
FIRST = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from hallmark.specs.catalogue import load_catalogue
began = time.perf_counter()
load_catalogue([Path({folder!r})])
print(time.perf_counter() - began)
"""


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def loading(folder: Path, rounds: int) -> tuple[list[tuple[float, float]], int, int]:
    """(load, parse) of each round, the cells, and the bytes."""
    paths = [path for kind in spec_files(folder) for path in kind]

    def parse() -> None:
        for path in paths:
            yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)

    cells = len(load_catalogue([folder]).cells)  # and the validators are built
    pairs = [(seconds(lambda: load_catalogue([folder])), seconds(parse)) for _ in range(rounds)]
    return pairs, cells, sum(path.stat().st_size for path in paths)


def patterns(sets: int) -> tuple[list[Pattern], list[dict[str, Any]]]:
    """A thousand patterns of one model_type with six attributes each, in `sets` sets of names; and a config for each."""
    made, configs = [], []
    for number in range(THOUSAND):
        names = [f"attribute_{(number % sets) + place}" for place in range(6)]
        architecture: dict[str, Any] = {"model_type": "llama"} | {name: number * 7 + place for place, name in enumerate(names)}
        pattern = make_pattern(f"model-{number}", architecture)
        assert pattern is not None
        made.append(pattern)
        configs.append(architecture | {f"other_{place}": place for place in range(30)})
    return made, configs


def matching(sets: int) -> float:
    """Seconds to index a thousand patterns and to match a thousand configs, each to its own."""
    made, configs = patterns(sets)
    found: list[Pattern | None] = []

    def work() -> None:
        matcher = Matcher(made)
        found.extend(map(matcher.match, configs))

    took = seconds(work)
    wrong = sum(there is not wanted for there, wanted in zip(found, made, strict=True))
    if wrong:
        sys.exit(f"{wrong} of {THOUSAND} configs were matched to another pattern")
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--folder", type=Path, default=ROOT / "model_specs")
    options = parser.parse_args()
    pairs, cells, size = loading(options.folder, options.rounds)
    code = FIRST.format(root=str(ROOT), folder=str(options.folder))
    first = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (statistics.median(column) * 1000 for column in zip(*pairs, strict=True))
    print(f"catalogue: {cells} cells, {size / 1000:.0f} kB of YAML; medians of {len(pairs)} rounds")
    print(f"load, validate, inherit, expand:         {ours:7.1f} ms")
    print(f"yaml.CSafeLoader alone:                  {theirs:7.1f} ms")
    print(f"ratio:                                   {ratio:7.2f}, goal at most {LOADING_GOAL:g}")
    print(f"per 1,000 cells:                         {ours / cells * 1000:7.0f} ms")
    print(f"the first load of a process:             {first * 1000:7.1f} ms")
    slowest = 0.0
    for sets in (1, 50, 1000):
        took = min(matching(sets) for _ in range(3))
        slowest = max(slowest, took)
        print(f"1,000 configs x 1,000 patterns, {sets:4} sets: {took * 1000:7.1f} ms, goal below {MATCHING_GOAL_S * 1000:.0f}")
    return 0 if ratio <= LOADING_GOAL and slowest < MATCHING_GOAL_S else 1


if __name__ == "__main__":
    raise SystemExit(main())
