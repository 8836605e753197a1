"""Which check met a cause first: it tells the cause in full, and the others only point there."""

from __future__ import annotations

from hallmark.core.errors import HallmarkError, Inconclusive, Void
from hallmark.plugin.checks import CheckRef


class Causes:
    """What has gone wrong so far in one session, cell by cell."""

    def __init__(self) -> None:
        self._met: dict[tuple[str, str], tuple[BaseException, str]] = {}
        self._deaths: dict[str, str] = {}

    def first_to_meet(self, exc: BaseException, ref: CheckRef) -> str:
        """The check that met the cause `exc` first: `ref` itself, unless another one told it already."""
        if not isinstance(exc, Void | HallmarkError | Inconclusive):
            return ref.check
        first_exc, first = self._met.setdefault((ref.cell, str(exc)), (exc, ref.check))
        # Two checks may be inconclusive in the same words; they share a cause only if one exception was kept and raised again.
        return ref.check if isinstance(exc, Inconclusive) and exc is not first_exc else first

    def blame_death(self, ref: CheckRef) -> str:
        """The check that carries the blame for the death of its cell's server; `ref` if none did."""
        return self._deaths.setdefault(ref.cell, ref.check)

    def of_death(self, cell: str) -> str:
        """The check that carries the blame, or nothing while the server has not been lost."""
        return self._deaths.get(cell, "")
