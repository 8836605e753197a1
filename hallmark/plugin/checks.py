"""The `check` fixture's object: through it a test says what it measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hallmark.core.errors import CheckFailed, Disturbed, Inconclusive
from hallmark.core.excused import told_once
from hallmark.core.parts import Kind
from hallmark.core.records import Evidence, Relation, Target
from hallmark.core.verdict import Verdict, worst

_NO_EVIDENCE = (
    "the test recorded no evidence: note what was measured with `check.observe(...)`, or assert it outside of loops and branches"
)
_MOST_COUNTED = 2**63
"""A whole number beyond it is no count of anything, and other programs cannot read it."""


def _held(value: object) -> bool | int | float | str:
    """`value` if a record can hold it; of whatever else a server may have sent, its text."""
    match value:
        case bool() | str():
            return value
        case int() if abs(value) < _MOST_COUNTED:
            return value
        case float() if math.isfinite(value):
            return value
        case int():
            return f"a number of {value.bit_length()} bits"
        case _:
            return repr(value)


def _measures_nothing(value: object) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def writable(evidence: Evidence) -> Evidence:
    """The evidence as it can be written down. What is no value at all (null, NaN) is never accepted."""
    limit = evidence.target.limit if evidence.target else ""
    bounds = (evidence.interval.low, evidence.interval.high) if evidence.interval else ()
    changed: dict[str, Any] = {}
    if _held(evidence.value) is not evidence.value:
        changed["value"] = _held(evidence.value)
    if evidence.target and _held(limit) is not limit:
        changed["target"] = replace(evidence.target, limit=_held(limit))
    if any(map(_measures_nothing, bounds)):
        changed["interval"] = None
    if any(map(_measures_nothing, (evidence.value, limit, *bounds))) and evidence.verdict.accepted:
        changed |= {"verdict": Verdict.INCONCLUSIVE, "reason": f"{evidence.name} is {_held(evidence.value)}: no measurement"}
    return replace(evidence, **changed) if changed else evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRef:
    """Which check of which cell a test item stands for."""

    check: str
    cell: str
    kind: Kind


@dataclass(slots=True, repr=False)
class Check:
    """Collects the evidence of one check. A test that passes without any is INCONCLUSIVE."""

    ref: CheckRef
    evidence: list[Evidence] = field(default_factory=list)

    def __repr__(self) -> str:
        """Short: it stands in every traceback of a check."""
        return f"<check {self.ref.check}>"

    def observe(
        self, name: str, value: float | bool | str, *, unit: str = "", n: int = 1, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Note something that was seen and is as it should be."""
        self.add(Evidence(name=name, value=value, unit=unit, n=n, detail=detail or {}))

    def equal(
        self, name: str, value: float | bool | str, expected: float | str, *, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Note `value` and fail the check unless it equals `expected`."""
        # True is 1 to Python; to a client that counts tokens it is not.
        same = value == expected and isinstance(value, bool) == isinstance(expected, bool)
        self.add(
            Evidence(
                name=name,
                value=value,
                target=Target(relation="==", limit=expected),
                verdict=Verdict.PASS if same else Verdict.FAIL,
                reason="" if same else f"{name} is {value!r}, not {expected!r}",
                detail=detail or {},
            )
        )
        if not same:
            raise CheckFailed(f"{name} is {value!r}, not {expected!r}")

    def at_least(self, name: str, value: float, limit: float, *, unit: str = "", n: int = 1) -> None:
        """Note `value` and fail the check if it is less than `limit`."""
        self._held(name, value, ">=", limit, unit=unit, n=n, holds=value >= limit)

    def at_most(self, name: str, value: float, limit: float, *, unit: str = "", n: int = 1) -> None:
        """Note `value` and fail the check if it is more than `limit`."""
        self._held(name, value, "<=", limit, unit=unit, n=n, holds=value <= limit)

    def _held(self, name: str, value: float, relation: Relation, limit: float, *, unit: str, n: int, holds: bool) -> None:
        # NaN holds nothing: every comparison with it is false.
        reason = "" if holds else f"{name} is {value:g} {unit}".rstrip() + f", not {relation} {limit:g}"
        verdict = Verdict.PASS if holds else Verdict.FAIL
        target = Target(relation=relation, limit=limit)
        self.add(Evidence(name=name, value=value, unit=unit, n=n, target=target, verdict=verdict, reason=reason))
        if not holds:
            raise CheckFailed(reason)

    def add(self, *evidence: Evidence) -> None:
        """Note evidence that carries its own verdict; the worst decides when the test ends."""
        self.evidence.extend(map(writable, evidence))

    def extend(self, evidence: Iterable[Evidence]) -> None:
        self.add(*evidence)

    def settle(self) -> None:
        """Raise what the evidence amounts to; nothing when all of it is good."""
        if not self.evidence:
            raise Inconclusive(_NO_EVIDENCE)
        verdict = worst(e.verdict for e in self.evidence)
        reasons = told_once(e.reason or e.name for e in self.evidence if e.verdict is verdict)
        if verdict is Verdict.INCONCLUSIVE:
            raise Inconclusive(reasons)
        if verdict is Verdict.VOID:
            raise Disturbed(reasons)
        if not verdict.accepted:
            raise CheckFailed(reasons)
