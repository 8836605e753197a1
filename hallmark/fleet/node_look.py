"""What this node has: `python -m hallmark.fleet.node_look` prints it as JSON, for a driver that believes no declaration.

Exit codes: 0 looked; 2 a catalogue that cannot be read.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hallmark import __version__
from hallmark.core.errors import HallmarkError
from hallmark.core.extensions import extensions
from hallmark.core.own_code import code_digest
from hallmark.environment.devices import boards_here
from hallmark.environment.machine import Machine
from hallmark.fleet.units import kinds_of, visible_boards
from hallmark.specs.catalogue import load_catalogue


def look(folders: Iterable[Path], *, environ: Mapping[str, str], machine: Machine | None = None) -> dict[str, Any]:
    """Each unit of the devices in the catalogue of those folders: how many are here, and how that was looked."""
    kinds = kinds_of(load_catalogue(folders).devices.values())
    units, looked = {}, {}
    for (unit, wanted), boards in zip(kinds.items(), boards_here(kinds.values(), machine), strict=True):
        count, hidden = visible_boards(wanted, len(boards.ids), environ)
        if count:
            units[unit] = count
        looked[unit] = "; ".join([*boards.looked, *hidden])
    return {
        "node": socket.gethostname(),
        "hallmark": __version__,
        "code": code_digest(),
        "python": sys.executable,
        "units": units,
        "looked": looked,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hallmark.fleet.node_look", description="Print what this node has, as JSON.")
    parser.add_argument("--spec-dir", type=Path, action="append", default=[], metavar="DIR", help="more specs; repeatable")
    options = parser.parse_args(arguments)
    try:
        found = look((*extensions().answers("catalogues"), *options.spec_dir), environ=os.environ)
    except HallmarkError as exc:
        print(exc, file=sys.stderr)
        return exc.exit_code
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
