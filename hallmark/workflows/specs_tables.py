"""What `hallmark specs` prints: a row for programs and a table for people, of the same things."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from hallmark.core.records import to_plain
from hallmark.core.redact import Redactor, masked, redacted
from hallmark.specs.cell import Cell
from hallmark.specs.checks import demanded
from hallmark.specs.gaps import draft_line
from hallmark.specs.matching import Comparison
from hallmark.specs.obstacles import gaps_of
from hallmark.workflows.spec_remarks import Remark, Severity, named

_PIPE_WIDTH = 220
"""Columns where the output goes to a file or a program: nothing is cut there."""
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


_redact = Redactor()
"""By shape: whatever stands under a secret's name is masked before it comes here."""


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def show(as_json: bool, plain: Any, table: Callable[[], None]) -> None:
    if as_json:
        print(json.dumps(redacted(plain, _redact), indent=2, ensure_ascii=False))
    else:
        table()


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def cell_row(cell: Cell) -> dict[str, Any]:
    return {
        "id": cell.id,
        "model": cell.model,
        "device": cell.device,
        "impl": cell.impl.name,
        "configuration": cell.configuration,
        "default": cell.entry.default,
        "status": cell.impl.status.value,
        "missing": list(gaps_of(cell)),
        "max_context": cell.entry.max_context,
        "evals": len(cell.evals),
        "perf_targets": sum(len(point.targets) for point in cell.perf),
        "spec_file": str(cell.spec_file),
    }


def cells(found: Sequence[Cell]) -> None:
    table = _table("model", "device", "impl", "default", "status", "context", "evals", "perf targets", "can it be accepted?")
    for cell in found:
        row = cell_row(cell)
        row["device"] = f"{cell.device} {cell.configuration}" if cell.alternative else cell.device
        values = [row[name] for name in ("model", "device", "impl", "default", "status", "max_context", "evals", "perf_targets")]
        shown = (("yes" if value else "") if isinstance(value, bool) else str(value) for value in values)
        table.add_row(*shown, draft_line(gaps_of(cell)) or "yes")
    console().print(table)
    devices = len({cell.device for cell in found})
    console().print(f"{len(found)} cells{_drafts(found)} of {len({cell.model for cell in found})} models on {devices} devices")


def _drafts(found: Iterable[Cell]) -> str:
    """How many of them are drafts, where any is."""
    drafts = sum(bool(gaps_of(cell)) for cell in found)
    return f" ({drafts} of them drafts, which may be run and are never accepted)" if drafts else ""


def whole_cell(cell: Cell) -> dict[str, Any]:
    """All that holds for a cell, with the checks that it demands."""
    checks = [entry.check for entry in demanded(cell)]
    whole: dict[str, Any] = masked({"id": cell.id, "checks": checks, "env_vars": cell.env_vars, **to_plain(cell)})
    return whole


def expanded(found: Sequence[Cell]) -> None:
    table = _table("cell", "checks", "spec file")
    for cell in found:
        table.add_row(cell.id, str(len(demanded(cell))), str(cell.spec_file))
    console().print(table)


def yaml_text(text: str) -> None:
    """Coloured on a terminal; as it is in a pipe, so that it can be a file."""
    text = _redact(text)
    if sys.stdout.isatty():
        console().print(Syntax(text, "yaml", background_color="default"))
    else:
        print(text, end="")


def comparison_row(comparison: Comparison) -> dict[str, Any]:
    return {
        "model": comparison.name,
        "attributes": comparison.specificity,
        "holds": comparison.holds,
        "mismatches": [{"attribute": m.attribute, "wanted": m.wanted, "found": m.found} for m in comparison.mismatches],
    }


def comparisons(found: Sequence[Comparison], match: str | None) -> None:
    table = _table("model", "attributes", "verdict")
    for each in found:
        verdict = "matches" if each.holds else "; ".join(map(str, each.mismatches))
        table.add_row(Text(each.name, style="bold green" if each.name == match else ""), str(each.specificity), verdict)
    console().print(table)
    console().print(f"match: {match}" if match else "no match")


def remark_row(remark: Remark) -> dict[str, Any]:
    return {
        "rule": remark.rule,
        "severity": remark.severity.value,
        "where": remark.where,
        "message": remark.message,
        "hint": remark.hint,
        "cells": [cell.id for cell in remark.cells],
    }


def remarks(found: Sequence[Remark], *, cells: Sequence[Cell], hidden: int) -> None:
    for group in _alike(found):
        first = group[0]
        where = f"{first.where}: " if len(group) == 1 else ""
        label = Text(f"{first.severity.value:7}", _STYLES[first.severity])
        console().print(Text.assemble(label, _redact(f" {where}{first.message} - {first.hint}")), soft_wrap=True)
        for remark in group:
            place = f"{remark.where}: " if len(group) > 1 else ""
            if place or remark.cells:
                console().print(f"{'':8}{place}{'; '.join(named(remark.cells))}", soft_wrap=True, markup=False)
    counted = ", ".join(
        f"{sum(r.severity is level for r in found)} {level.value}s" for level in Severity if level is not Severity.NOTE
    )
    tail = f" ({hidden} notes with -v)" if hidden else ""
    console().print(f"{len(cells)} cells{_drafts(cells)}: {counted}{tail}")


def _alike(found: Iterable[Remark]) -> Iterable[Sequence[Remark]]:
    """Remarks that say the same of different places, together: a hundred cells with one cause are one thing to mend."""
    groups: dict[tuple[str, ...], list[Remark]] = {}
    for remark in found:
        groups.setdefault((remark.severity, remark.rule, remark.message, remark.hint), []).append(remark)
    return groups.values()


def written(out: Path | None, texts: Mapping[str, str]) -> None:
    """The texts themselves as one YAML stream, or where they were written."""
    if out:
        for name in texts:
            console().print(f"wrote {out / name}", soft_wrap=True)
    else:
        print("---\n".join(texts.values()), end="")


def left_behind(left: Mapping[str, Sequence[str]]) -> None:
    """What no converted family holds, on standard error: the output may be for a program."""
    for family, names in left.items():
        if names:
            print(f"{family}: not carried over: {', '.join(names)}", file=sys.stderr)
