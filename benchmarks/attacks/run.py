"""Attacks and faults against real gateways, sidecars and the image's entrypoint: what held, with its figure.

    python benchmarks/attacks/run.py [--list] [--only GLOB ...] [--setting NAME=VALUE ...] [--write FILE]

Everything is started by this program, on loopback alone. `--setting` is given to the services and wins over what an attack
gives them: that is how a limit is switched off, to see that its attack then gets through. Ends 1 where one did not hold.
All of them take about four minutes.
"""

from __future__ import annotations

import argparse
import datetime as dt
import fnmatch
import os
import signal
import socketserver
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # in the place of this folder, so that the checkout's packages are found

from benchmarks.attacks import on_crowds, on_downloads, on_engine, on_requests, on_sidecar  # noqa: E402, F401 - each enlists its own
from benchmarks.attacks.staging import ATTACKS, Attack, Outcome, Stage  # noqa: E402

LONGEST_S = 120


class TooLong(Exception):
    """An attack that does not come to its end."""


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TooLong(f"no end within {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def staged(one: Attack, stage: Stage) -> Outcome:
    """Its outcome; a fault of any kind on the way counts as one that got through."""
    try:
        with at_most(LONGEST_S):
            return one.run(stage)
    except Exception as exc:
        return Outcome(False, f"{type(exc).__name__}: {exc}".splitlines()[0][:200])


def machine() -> str:
    """When and where, for the head of the table."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    asked = subprocess.run(
        ["git", "log", "-1", "--format=%h", "--", "hallmark_services", "engine"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return f"{today}, services of commit {asked.stdout.strip() or 'unknown'}, {os.cpu_count()} cores, {memory:.0f} GiB"


def row(name: str, outcome: Outcome) -> str:
    """A line of the table."""
    one = ATTACKS[name]
    cells = (one.target, name, one.must_hold, outcome.figure, "yes" if outcome.held else "**NOT HELD**")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def rows_of(table: Path) -> dict[str, str]:
    """The lines of an earlier table by the attacks' names; those that there are no longer are left out."""
    lines = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
    found = {line.split(" | ")[1]: line for line in lines if line.startswith("| ") and line.count(" | ") == 4}
    return {name: found[name] for name in ATTACKS if name in found}


def write(path: Path, found: Mapping[str, Outcome]) -> None:
    """The table with the rows of `found` in the place of what it said of them before."""
    rows = {**rows_of(path), **{name: row(name, outcome) for name, outcome in found.items()}}
    ordered = [rows[name] for name in ATTACKS if name in rows]
    held = sum(line.endswith("| yes |") for line in ordered)
    head = [
        "# Attacks and faults",
        "",
        "Made by `python benchmarks/attacks/run.py --write benchmarks/attacks/TABLE.md`; not to be edited.",
        f"{held} of {len(ordered)} held ({machine()}).",
        "",
        "| of | what is tried | what must hold | measured | held |",
        "| --- | --- | --- | --- | --- |",
    ]
    path.write_text("\n".join([*head, *ordered]) + "\n", encoding="utf-8")


def matches(name: str, glob: str) -> bool:
    """By its name alone or with what it is aimed at before it."""
    return any(fnmatch.fnmatch(text, glob) for text in (name, f"{ATTACKS[name].target}: {name}"))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument(
        "--only", action="append", default=[], metavar="GLOB", help="attacks whose name, or 'target: name', matches"
    )
    parser.add_argument("--setting", action="append", default=[], metavar="NAME=VALUE", help="of the services")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="write the table there; rows of attacks that were not chosen stay"
    )
    return parser.parse_args()


def main() -> int:
    options = parsed()
    chosen = [name for name in ATTACKS if not options.only or any(matches(name, glob) for glob in options.only)]
    if options.list:
        print("\n".join(chosen))
        return 0
    if not chosen:
        print("no attack has such a name; --list shows all", file=sys.stderr)
        return 2
    socketserver.BaseServer.handle_error = lambda *_: None  # type: ignore[method-assign] # of clients that break off on purpose
    warnings.simplefilter("ignore")  # PyJWT's, of the tokens that are wrong on purpose
    settings = dict(setting.partition("=")[::2] for setting in options.setting)
    found: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="attacks-") as scratch:
        stage = Stage(settings, Path(scratch).resolve())
        with stage.shared:
            for name in chosen:
                began = time.monotonic()
                found[name] = outcome = staged(ATTACKS[name], stage)
                if options.write:
                    write(options.write, {name: outcome})
                said = "held" if outcome.held else "NOT HELD"
                print(f"{said:<9}{time.monotonic() - began:5.1f} s  {ATTACKS[name].target}: {name}: {outcome.figure}", flush=True)
    missed = sum(not outcome.held for outcome in found.values())
    print(f"{len(found) - missed} of {len(found)} held")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
