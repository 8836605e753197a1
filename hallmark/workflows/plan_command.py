"""`hallmark plan`: what a run will be able to show of each eval and perf point, before any server runs.

Exit codes: 0 done; 2 a name, a spec or a reference is wrong.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hallmark.core.errors import UsageError
from hallmark.core.wording import columns, plural
from hallmark.workflows.acceptance import Ended

if TYPE_CHECKING:
    from hallmark.core.records import Record
    from hallmark.evals.planning import EvalPlan
    from hallmark.perf.planning import GatePlan
    from hallmark.specs.cell import Cell

LOSSES = (0.01, 0.02, 0.03, 0.05, 0.10)
_TITLES = (
    *("eval", "gate", "items", "expected", "may lose", "alpha", "differ by chance"),
    *("loss seen", "not accepted from", "healthy not accepted", "minutes"),
)
_OF_GATES = ("point", "metric", "requests", "measured", "limit", "may get worse by", "not accepted from", "healthy not accepted")


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Say what a run will be able to show of each eval and perf point: margin, error, least loss seen.",
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
    plans = [_planned(cell, options.reference, options.artifacts) for cell in cells if cell.evals]
    if not plans:
        raise UsageError("no eval to plan", where=", ".join(options.model) or "the catalogue", hint="its spec has no evals")
    if options.json:
        return Ended(exit_code=0, lines=(json.dumps([_plain(each) for each in plans], indent=2),))
    return Ended(exit_code=0, lines=tuple(line for each in plans for line in _shown(each)))


class Planned(NamedTuple):
    """What is known of a cell before it runs."""

    cell: Cell
    evals: dict[str, EvalPlan | None]
    seconds: dict[str, float]
    """Eval -> seconds of an item in an earlier run."""
    perf: dict[str, list[GatePlan]]
    """Point -> its targets as an earlier run measured them; empty where none did."""

    @property
    def known(self) -> list[EvalPlan]:
        return [plan for plan in self.evals.values() if plan]

    @property
    def gates(self) -> list[GatePlan]:
        return [gate for gates in self.perf.values() for gate in gates]

    def not_accepted(self, loss: float) -> float:
        """The chance that not all of it passes, taken as independent; `loss` in every eval, none in speed."""
        passing = prod(plan.accepted(loss) for plan in self.known) * prod(1 - gate.healthy_not_passed for gate in self.gates)
        return 1 - passing


def _planned(cell: Cell, reference: Path | None, artifacts: Path) -> Planned:
    earlier = list(_earlier(cell, artifacts))
    return Planned(cell, _plans(cell, reference), _seconds(earlier), _gates(cell, earlier))


def _plans(cell: Cell, folder: Path | None) -> dict[str, EvalPlan | None]:
    from hallmark.evals.planning import plan_of
    from hallmark.evals.reference import reference_of

    reference = reference_of(cell, folder)
    kept = reference.evals if reference else {}
    return {target.name: plan_of(target, kept.get(target.name)) for target in cell.evals}


def _earlier(cell: Cell, artifacts: Path) -> Iterator[Record]:
    """What earlier runs of the cell measured, the newest first."""
    from hallmark.core.records import read_records

    for folder in sorted(artifacts.glob(f"*-{cell.id}-*"), reverse=True):
        if (folder / "records.jsonl").is_file():
            yield from (record for record in read_records(folder / "records.jsonl") if record.cell == cell.id)


def _seconds(earlier: Sequence[Record]) -> dict[str, float]:
    """Eval -> seconds of an item in the newest run that measured it."""
    found: dict[str, float] = {}
    for record in earlier:
        evidence = next((evidence for evidence in record.evidence if "seconds" in evidence.detail), None)
        if record.kind == "evals" and evidence and evidence.n:
            found.setdefault(record.check.removeprefix("evals."), float(evidence.detail["seconds"]) / evidence.n)
    return found


def _gates(cell: Cell, earlier: Sequence[Record]) -> dict[str, list[GatePlan]]:
    """Point -> its targets, from the newest run that measured it."""
    from hallmark.perf.planning import gate_plan

    found: dict[str, list[GatePlan]] = {point.name: [] for point in cell.perf}
    for record in earlier:
        point = record.check.removeprefix("perf.")
        if record.kind == "perf" and point in found and not found[point]:
            found[point] = [plan for evidence in record.evidence if (plan := gate_plan(point, evidence))]
    return found


def _plain(planned: Planned) -> dict[str, Any]:
    names = ("gate", "n", "expected", "margin", "alpha", "discordance", "loss_seen", "loss_not_accepted", "healthy_not_accepted")
    evals = [
        {
            "name": name,
            "seconds_an_item": planned.seconds.get(name),
            **({each: getattr(plan, each) for each in names} if plan else {}),
        }
        for name, plan in planned.evals.items()
    ]
    of_gate = ("name", "metric", "limit", "requests", "measured", "may_worsen", "worse_seen", "healthy_not_passed")
    perf = [{each: getattr(gate, each) for each in of_gate} for gate in planned.gates]
    chances = {f"{loss:g}": planned.not_accepted(loss) for loss in (0.0, *LOSSES)}
    return {"cell": planned.cell.id, "evals": evals, "perf": perf, "not_accepted_at_loss": chances}


def _shown(planned: Planned) -> Iterator[str]:
    yield f"{planned.cell.id}, losses in points of score, seen or not accepted with 90 %:"
    yield from columns([_TITLES, *(_row(plan, planned.seconds.get(plan.name)) for plan in planned.known)])
    nowhere = "how many items the task has is stated nowhere"
    yield from (f"  {name}: {nowhere}" for name, plan in planned.evals.items() if plan is None)
    if planned.gates:
        yield "speed, as the newest run in the artifacts folder measured it:"
        yield from columns([_OF_GATES, *map(_gate_row, planned.gates)])
    unmeasured = [name for name, gates in planned.perf.items() if not gates]
    yield from (f"  {name}: what it resolves is known once a run has measured it" for name in unmeasured)
    chances = ", ".join(f"{plural(round(100 * loss), 'point')}: {_percent(planned.not_accepted(loss))}" for loss in LOSSES)
    yield f"  all of it: a healthy server is not accepted with {_percent(planned.not_accepted(0.0))}; one that lost {chances}"


def _gate_row(gate: GatePlan) -> tuple[str, ...]:
    measured, limit = f"{gate.measured:.4g}", f"{gate.limit:g}"
    worse = (f"{100 * gate.may_worsen:.0f} %", f"{100 * gate.worse_seen:.0f} %")
    return (gate.name, gate.metric, str(gate.requests), measured, limit, *worse, _percent(gate.healthy_not_passed))


def _row(plan: EvalPlan, seconds: float | None) -> tuple[str, ...]:
    by_chance = "-" if plan.discordance is None else _percent(plan.discordance)
    minutes = f"{seconds * plan.expected / 60:.2g}" if seconds else "unknown"
    asked = (plan.name, plan.gate, f"{plan.n:,}", f"{plan.expected:,}", _points(plan.margin), _percent(plan.alpha), by_chance)
    return (*asked, _points(plan.loss_seen), _points(plan.loss_not_accepted), _percent(plan.healthy_not_accepted), minutes)


def _points(share: float) -> str:
    return f"{100 * share:.2f}"


def _percent(chance: float) -> str:
    return f"{100 * chance:.3g} %" if chance >= 0.0005 else "under 0.05 %"
