"""`hallmark plan`: what a run will be able to show of each eval, before any server runs.

Exit codes: 0 done; 2 a name, a spec or a reference is wrong.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hallmark.core.errors import UsageError
from hallmark.core.wording import plural
from hallmark.workflows.acceptance import Ended

if TYPE_CHECKING:
    from hallmark.evals.planning import EvalPlan
    from hallmark.specs.cell import Cell

LOSSES = (0.01, 0.02, 0.03, 0.05, 0.10)
_TITLES = (
    *("eval", "gate", "items", "expected", "may lose", "alpha", "differ by chance"),
    *("loss seen", "not accepted from", "healthy not accepted", "minutes"),
)


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Say what a run will be able to show of each eval: margin, error, items, the least loss that is seen.",
        epilog="example: %(prog)s --model hallmark-tiny --device cpu",
        allow_abbrev=False,
    )
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="name or glob; repeatable")
    parser.add_argument("--device", default="", metavar="NAME")
    parser.add_argument("--impl", default="", metavar="NAME", help="where the device has several")
    parser.add_argument("--spec-dir", action="append", type=Path, default=[], metavar="DIR", help="more model specs; repeatable")
    parser.add_argument("--reference", type=Path, metavar="DIR", help="references in place of those beside the specs")
    parser.add_argument(
        "--artifacts", type=Path, default=Path("artifacts"), metavar="DIR", help="where earlier runs tell the minutes"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def run(options: argparse.Namespace) -> Ended:
    from hallmark.specs.catalogue import Selection, load_catalogue
    from hallmark.specs.folders import default_folders

    catalogue = load_catalogue((*default_folders(), *options.spec_dir))
    cells = catalogue.select(Selection(models=tuple(options.model), device=options.device, impl=options.impl, configuration=""))
    plans = [(cell, _plans(cell, options.reference), _seconds(cell, options.artifacts)) for cell in cells if cell.evals]
    if not plans:
        raise UsageError("no eval to plan", where=", ".join(options.model) or "the catalogue", hint="its spec has no evals")
    if options.json:
        return Ended(exit_code=0, lines=(json.dumps([_plain(*each) for each in plans], indent=2),))
    return Ended(exit_code=0, lines=tuple(line for each in plans for line in _shown(*each)))


def _plans(cell: Cell, folder: Path | None) -> dict[str, EvalPlan | None]:
    from hallmark.evals.planning import plan_of
    from hallmark.evals.reference import reference_of

    reference = reference_of(cell, folder)
    kept = reference.evals if reference else {}
    return {target.name: plan_of(target, kept.get(target.name)) for target in cell.evals}


def _seconds(cell: Cell, artifacts: Path) -> dict[str, float]:
    """Eval -> seconds of an item in the newest run of the cell that measured it."""
    from hallmark.core.records import read_records

    found: dict[str, float] = {}
    for folder in sorted(artifacts.glob(f"*-{cell.id}-*"), reverse=True):
        if not (folder / "records.jsonl").is_file():
            continue
        for record in read_records(folder / "records.jsonl"):
            detail = next((evidence.detail for evidence in record.evidence if "seconds" in evidence.detail), {})
            asked = record.evidence[0].n if record.evidence else 0
            if record.kind == "evals" and record.cell == cell.id and detail and asked:
                found.setdefault(record.check.removeprefix("evals."), float(detail["seconds"]) / asked)
    return found


def _not_accepted(plans: Sequence[EvalPlan], loss: float) -> float:
    """The chance that not all of them pass, taken as independent."""
    return 1 - prod(plan.accepted(loss) for plan in plans)


def _plain(cell: Cell, plans: dict[str, EvalPlan | None], seconds: dict[str, float]) -> dict[str, Any]:
    names = ("gate", "n", "expected", "margin", "alpha", "discordance", "loss_seen", "loss_not_accepted", "healthy_not_accepted")
    known = [plan for plan in plans.values() if plan]
    evals = [
        {"name": name, "seconds_an_item": seconds.get(name), **({each: getattr(plan, each) for each in names} if plan else {})}
        for name, plan in plans.items()
    ]
    chances = {f"{loss:g}": _not_accepted(known, loss) for loss in (0.0, *LOSSES)}
    return {"cell": cell.id, "evals": evals, "not_accepted_at_loss": chances}


def _shown(cell: Cell, plans: dict[str, EvalPlan | None], seconds: dict[str, float]) -> Iterator[str]:
    known = [plan for plan in plans.values() if plan]
    rows = [_TITLES, *(_row(plan, seconds.get(plan.name)) for plan in known)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_TITLES))]
    yield f"{cell.id}, losses in points of score, seen or not accepted with 90 %:"
    for row in rows:
        yield "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
    yield from (f"  {name}: how many items the task has is stated nowhere" for name, plan in plans.items() if plan is None)
    chances = ", ".join(f"{plural(round(100 * loss), 'point')}: {_percent(_not_accepted(known, loss))}" for loss in LOSSES)
    yield f"  all of them: a healthy server is not accepted with {_percent(_not_accepted(known, 0.0))}; one that lost {chances}"


def _row(plan: EvalPlan, seconds: float | None) -> tuple[str, ...]:
    by_chance = "-" if plan.discordance is None else _percent(plan.discordance)
    minutes = f"{seconds * plan.expected / 60:.2g}" if seconds else "unknown"
    asked = (plan.name, plan.gate, f"{plan.n:,}", f"{plan.expected:,}", _points(plan.margin), _percent(plan.alpha), by_chance)
    return (*asked, _points(plan.loss_seen), _points(plan.loss_not_accepted), _percent(plan.healthy_not_accepted), minutes)


def _points(share: float) -> str:
    return f"{100 * share:.2f}"


def _percent(chance: float) -> str:
    return f"{100 * chance:.3g} %" if chance >= 0.0005 else "under 0.05 %"
