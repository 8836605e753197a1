"""Gates: who judges what was measured. Each gives evidence with a verdict, and the worst verdict decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from hallmark.core.errors import CheckFailed, HallmarkError, HarnessError, Inconclusive, Void
from hallmark.core.extensions import extensions, named
from hallmark.core.records import Evidence

_OWN = (HallmarkError, CheckFailed, Inconclusive, Void)
GateKind = Literal["evals", "perf", "check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One judge. It can add a demand, and never take one away."""

    kind: GateKind
    """What is judged: an eval's scores, a perf point's requests, or whatever a check noted."""
    name: str
    judge: str | Callable[[Any, Any, Any], Iterable[Evidence]]
    """Called with the Cell and, of an eval, the EvalTarget and EvalScores; of a perf point, the PerfPoint and PointResult; of a
    check, its id and the tuple of its Evidence. It answers with further evidence. A text is `"module:function"`."""


def judged(kind: GateKind, cell: Any, what: Any, measured: Any) -> Iterator[Evidence]:
    """What every gate of that kind says, hallmark's own first; HarnessError where one fails."""
    for gate in extensions().answers("gates"):
        if gate.kind != kind:
            continue
        judge = named(gate.judge)
        try:
            yield from judge(cell, what, measured)
        except _OWN:
            raise
        except Exception as exc:
            raise HarnessError(f"the gate '{gate.name}' failed: {type(exc).__name__}: {exc}") from exc
