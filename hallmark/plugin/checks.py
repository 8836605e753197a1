"""The `check` fixture's object: through it a test says what it measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hallmark.core.errors import CheckFailed, Inconclusive
from hallmark.core.records import Evidence, Kind, Target
from hallmark.core.verdict import Verdict, worst


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
        same = value == expected
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

    def add(self, *evidence: Evidence) -> None:
        """Note evidence that carries its own verdict; the worst decides when the test ends."""
        self.evidence.extend(evidence)

    def extend(self, evidence: Iterable[Evidence]) -> None:
        self.add(*evidence)

    def settle(self) -> None:
        """Raise what the evidence amounts to; nothing when all of it is good."""
        if not self.evidence:
            raise Inconclusive("the test recorded no evidence")
        verdict = worst(e.verdict for e in self.evidence)
        reasons = "; ".join(e.reason or e.name for e in self.evidence if e.verdict is verdict)
        if verdict is Verdict.INCONCLUSIVE:
            raise Inconclusive(reasons)
        if not verdict.accepted:
            raise CheckFailed(reasons)
