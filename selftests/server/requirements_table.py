"""The requirements of `tests/server` with the checks that cover them, as the table in its README.md.

`python -m selftests.server.requirements_table --write` writes it there, from requirements.yaml and from what the checks declare.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hallmark.specs.suites import DeclaredCheck, Suite

TESTS = Path(__file__).resolve().parents[2] / "tests"
REQUIREMENTS = TESTS / "server" / "requirements.yaml"
PAGE = TESTS / "server" / "README.md"
COMMAND = "python -m selftests.server.requirements_table --write"
FIRST_MARK = f"<!-- made by `{COMMAND}`: change requirements.yaml and the checks, not this -->"
LAST_MARK = "<!-- end of what is made -->"
STAR = "★"


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A row of the table."""

    id: str
    area: str
    asks: str
    first: bool = False
    """Taught by a bug in a released server."""
    beyond: str = ""
    """What of it no check sees."""
    left_out: str = ""
    """Why no check covers it; empty where one does."""


def read_requirements(text: str) -> list[Requirement]:
    """In the order of the file; TypeError for a key that a requirement does not have."""
    areas: dict[str, Any] = yaml.safe_load(text)
    return [
        Requirement(id=id_, area=f"{area['area']} ({letter})", **words)
        for letter, area in areas.items()
        for id_, words in area["requirements"].items()
    ]


def listed_requirements() -> list[Requirement]:
    return read_requirements(REQUIREMENTS.read_text(encoding="utf-8"))


def declared() -> list[DeclaredCheck]:
    """The checks of tests/server, in the order of checks.txt."""
    return [check for check in Suite(TESTS).checks if check.file.startswith("server/")]


def complaints(requirements: Sequence[Requirement], checks: Iterable[DeclaredCheck]) -> Iterator[str]:
    """What is wrong between requirements and checks, each in a sentence."""
    for id_, times in Counter(row.id for row in requirements).items():
        if times > 1:
            yield f"{id_} is listed {times} times"
    known = {row.id for row in requirements}
    covered = set()
    for check in checks:
        covered |= {*check.covers}
        yield from (f"{check.id} covers {id_}, which requirements.yaml does not have" for id_ in check.covers if id_ not in known)
    for row in requirements:
        if row.id in covered and row.left_out:
            yield f"{row.id} is covered: take its left_out away (what no check sees of it goes under beyond)"
        if row.id not in covered and not row.left_out:
            yield f"{row.id} is covered by no check: left_out has to say why"


def page(requirements: Sequence[Requirement], checks: Sequence[DeclaredCheck]) -> str:
    """The table, area by area, and what it counts to."""
    by_id = {row.id: [check.id for check in checks if row.id in check.covers] for row in requirements}
    first = [row for row in requirements if row.first]
    told = (
        f"{len(requirements)} requirements: {_count(requirements, by_id)}. Of the {len(first)} that a bug in a released server"
        f" has taught and that few requests show ({STAR}): {_count(first, by_id)}. {len(checks)} checks are declared; of some"
        " there is one for each endpoint, field or schema."
    )
    lines = ["## What is required, and which checks see it", "", told]
    for area in dict.fromkeys(row.area for row in requirements):
        lines += ["", f"### {area}", "", "| | what is required | checks |", "|---|---|---|"]
        lines += [_row(row, by_id[row.id]) for row in requirements if row.area == area]
    others = [check.id for check in checks if not check.covers]
    lines += ["", "### Checks of something else", "", "Of the spec, of the sidecar, or of the form of an answer in general:"]
    lines += [", ".join(f"`{id_}`" for id_ in others) + "."]
    return "\n".join(lines)


def _count(rows: Sequence[Requirement], by_id: dict[str, list[str]]) -> str:
    covered = sum(bool(by_id[row.id]) for row in rows)
    return f"{covered} covered by a check, {len(rows) - covered} left out with the reason"


def _row(row: Requirement, checks: list[str]) -> str:
    name = f"{row.id} {STAR}" if row.first else row.id
    seen = ", ".join(f"`{check}`" for check in checks)
    if not checks:
        seen = f"**left out**: {row.left_out}"
    elif row.beyond:
        seen += f"; not seen: {row.beyond}"
    return f"| {name} | {row.asks} | {seen} |".replace("\n", " ")


def with_table(text: str, made: str) -> str:
    """The page with the table as it is now between its marks."""
    before, first, rest = text.partition(FIRST_MARK)
    _, last, after = rest.partition(LAST_MARK)
    if not (first and last):
        raise ValueError(f"{PAGE} has no place for the table: the lines {FIRST_MARK} and {LAST_MARK}")
    return f"{before}{first}\n\n{made}\n\n{last}{after}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--write", action="store_true", help="write it into README.md, instead of telling it")
    arguments = parser.parse_args(argv)
    rows, checks = listed_requirements(), declared()
    for complaint in complaints(rows, checks):
        print(complaint)
    made = page(rows, checks)
    if arguments.write:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8")
    else:
        print(made)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
