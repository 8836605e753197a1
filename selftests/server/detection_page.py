"""The detection table: what was measured of each planted fault, and the page that tells it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from selftests.faulty.faults import FAULTS
from selftests.server.planted import ELSEWHERE, Planting, plantings

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).with_name("detection.json")
PAGE = ROOT / "tests" / "server" / "DETECTION.md"
COMMAND = "python -m selftests.server.detection"
_SHOWN = 5
"""So many checks of a fault stand in the table."""
_RANDOM = re.compile(r"[0-9a-f]{8,}(-[0-9a-f]{4,}){0,4}|127\.0\.0\.1:\d+")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Of one planted fault."""

    red: tuple[str, ...]
    """The checks that failed, in the order in which they were asked."""
    says: str = ""
    """What the first of them said."""
    rarest: str = ""
    """The rarest rate ("one in so many") at which a check was still red, where rarer ones were tried and seen."""


def read_measured(path: Path) -> dict[str, Measured]:
    """By fault, with its value; "" is the clean twin. Empty where nothing was measured yet."""
    if not path.is_file():
        return {}
    record = json.loads(path.read_text(encoding="utf-8"))
    return {name: Measured(**found | {"red": tuple(found["red"])}) for name, found in record.items()}


def write_measured(path: Path, record: Mapping[str, Measured]) -> None:
    lines = [f"{json.dumps(name)}: {json.dumps(asdict(record[name]), ensure_ascii=False)}" for name in sorted(record)]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def page(record: Mapping[str, Measured], checks: int) -> str:
    """The whole page, from what was measured against a suite of so many checks."""
    clean = record[""].red
    known = [one for one in plantings() if one.fault in record]
    seen = [one for one in known if record[one.fault].red]
    twin = "failed none of them" if not clean else f"failed {', '.join(clean)}"
    told = (
        f"{len(seen)} of {len(known)} faults, planted one at a time into the scripted server of the self-tests, turned checks"
        f" red. The same server without a fault {twin} ({checks}). A fault of one area is tried on the checks of that area, the"
        " others on all, which ask one server one after the other, as in a run."
    )
    how = (
        f"`{COMMAND} --missing` measures what is new, `--all` everything anew. In the third column a number in brackets is how"
        " many more checks were red."
    )
    lines = [
        "# Which faults the checks see",
        "",
        f"<!-- made by `{COMMAND}`, not by hand -->",
        "",
        told,
        "",
        how,
        "",
        "| fault | what is wrong with the server | red | the first says |",
        "|---|---|---|---|",
        *(_row(one, record[one.fault]) for one in sorted(known, key=lambda one: one.fault)),
        "",
        "## Faults that are not for these checks",
        "",
        "| fault | what is wrong with the server | who sees it |",
        "|---|---|---|",
        *(f"| `{name}` | {_cell(FAULTS[name].what)} | {told} |" for name, told in ELSEWHERE.items()),
        "",
        "## The faults of each check",
        "",
        "| check | faults that turned it red |",
        "|---|---|",
        *_by_check(record),
    ]
    return "\n".join(lines) + "\n"


def _row(planting: Planting, found: Measured) -> str:
    fault = FAULTS.get(planting.name)
    value = planting.fault.partition("=")[2] or (fault.default if fault else "")
    elsewhere = "planted in what is seen of its files and processes" if planting.seen else "planted in the spec"
    told = _cell(fault.what if fault else elsewhere)
    told += f" (planted: `{_cell(value)}`)" if value else ""
    told += f" (still seen at `{found.rarest}`)" if found.rarest else ""
    if planting.pace:
        told += f" (at {', '.join(f'{name} {value:g}' for name, value in planting.pace.items())})"
    checks = [f"`{check}`" for check in found.red]
    red = ", ".join(checks[:_SHOWN]) + (f" [{len(checks) - _SHOWN}]" if len(checks) > _SHOWN else "")
    name = f"`{_cell(planting.fault)}`" if fault else planting.fault
    return f"| {name} | {told} | {red or '**none**'} | {_cell(_RANDOM.sub('...', found.says)[:140])} |"


def _by_check(record: Mapping[str, Measured]) -> list[str]:
    faults: dict[str, list[str]] = {}
    for name in sorted(record):
        for check in record[name].red if name else ():
            faults.setdefault(check, []).append(name)
    return [f"| `{check}` | {_few(faults[check])} |" for check in sorted(faults)]


def _few(names: list[str]) -> str:
    shown = ", ".join(f"`{_cell(name)}`" for name in names[:_SHOWN])
    return shown + (f" [{len(names) - _SHOWN}]" if len(names) > _SHOWN else "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
