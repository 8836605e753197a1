"""A plan for a person to read: a command to paste, where each value comes from, and what is not known yet. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hallmark.serving.server import LaunchPlan
from hallmark.specs.cell import Cell


def plan_text(cell: Cell, plan: LaunchPlan, *, left_open: Sequence[str]) -> str:
    """Comments, and the command as the last line where there is one. Holds what secrets the plan holds."""
    lines = [f"# {cell.id}", *_origins(plan)]
    lines += [f"# {note}" for note in cell.notes]
    lines += [f"# warning: {warning}" for warning in plan.warnings]
    lines += [f"# {line}" for line in _started(plan)]
    lines += [f"# only a start finds out: {'; '.join(left_open)}"] if left_open else []
    return "\n".join(filter(None, [*lines, plan.command()]))


def _origins(plan: LaunchPlan) -> Iterator[str]:
    for value in (*plan.set_vars, *plan.values):
        overrode = f" (instead of {value.overrode})" if value.overrode else ""
        yield f"#   {value.name} = {value.value}: {value.origin}{overrode}"


def _started(plan: LaunchPlan) -> Iterator[str]:
    if not plan.argv and not plan.container:
        yield f"nothing would be started: the server at {plan.endpoint.base_url} runs already"
    elif plan.gateway:
        yield f"clients speak to hallmark's gateway, which demands the key at {plan.endpoint.base_url}"
    elif plan.endpoint.api_key:
        yield "an image without hallmark's gateway gets one before it, and listens on the loopback"
