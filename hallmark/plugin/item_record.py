"""From a test item to its Record: what its set-up, its call and its teardown came to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hallmark.core.exchanges import lines_of
from hallmark.core.load import Load
from hallmark.core.records import Record, record_from_plain, to_plain
from hallmark.core.verdict import Verdict
from hallmark.plugin.checks import Check, CheckRef
from hallmark.plugin.outcome import Outcome
from hallmark.report.judge import judge

CHECK = pytest.StashKey[Check]()
STARTED = pytest.StashKey[str]()
LOAD = pytest.StashKey[Load]()
WAITED = pytest.StashKey[float]()
"""Seconds that the checks of the cell had waited for its server before this one began."""
_Noted = tuple[Outcome, BaseException]
_NOTED = pytest.StashKey[_Noted]()
"""What the item came to, and the exception by which."""


def note(item: pytest.Item, outcome: Outcome, cause: BaseException) -> None:
    """Keep the worst of what set-up, call and teardown came to; the server's death is worse than a miss."""
    before = item.stash.get(_NOTED, None)
    item.stash[_NOTED] = _worse(before, (outcome, cause)) if before else (outcome, cause)


def _worse(before: _Noted, now: _Noted) -> _Noted:
    """An error of ours does not undo what was measured: a check that failed and could not be torn down has failed."""
    ranked = sorted((before, now), key=lambda noted: (noted[0].verdict.rank, noted[0].server_lost), reverse=True)
    (worst, _), (other, of_other) = ranked
    if worst.verdict is not Verdict.ERROR or other.verdict is not Verdict.FAIL:
        return ranked[0]
    both = replace(
        worst,
        reason=f"{worst.reason}; and it failed: {other.reason}",
        measured=True,
        also_failed=True,
        server_lost=other.server_lost,
        log="\n".join(filter(None, [other.log, worst.log])),
    )
    return both, of_other


def record_of(item: pytest.Item, ref: CheckRef, *, default_start: str, waited_s: float) -> Record:
    """The record of an item that has run. Whether a PASS stands is decided by its evidence, in the report.

    `waited_s`: how long the checks of the cell have waited for its server by now.
    """
    check = item.stash.get(CHECK, None)
    evidence = tuple(check.evidence) if check else ()
    passed = Outcome(verdict=Verdict.PASS, reason="; ".join(e.reason for e in evidence if e.reason))
    outcome, _ = item.stash.get(_NOTED, (passed, None))
    started = item.stash.get(STARTED, default_start)
    return Record(
        check=ref.check,
        cell=ref.cell,
        kind=ref.kind,
        verdict=outcome.verdict,
        reason=outcome.reason,
        evidence=evidence,
        duration_s=(datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds(),
        waited_s=waited_s - item.stash.get(WAITED, waited_s),
        started_at=started,
        nodeid=item.nodeid,
        measured=outcome.measured,
        offered=outcome.offered,
        also_failed=outcome.also_failed,
        server_lost=outcome.server_lost,
        load=item.stash.get(LOAD, None),
        log=outcome.log,
    )


def exchanges_of(item: pytest.Item, record: Record, *, redact: Callable[[str], str]) -> list[str]:
    """Where the check was measured and did not pass: what its client sent last and was answered, as lines to be kept."""
    arguments = getattr(item, "funcargs", None) or {}
    client = arguments.get("client") or arguments.get("runtime_client")
    if client is None or not record.measured or judge(record).verdict.accepted:
        return []
    _, cause = item.stash.get(_NOTED, (None, None))
    rows = client.exchanges(getattr(cause, "answer", None))
    rule = getattr(cause, "rule", None)
    # Their names are ours, but for those of somebody's own tests.
    check = redact(record.check) if record.kind == "extra" else record.check
    return lines_of(check, (row | ({"rule": rule} if rule and row["about"] else {}) for row in rows), redact)


def plain_record(record: Record) -> Any:
    """The record as plain data; one that cannot be written down becomes an ERROR that says so, and no other is lost with it."""
    try:
        plain = to_plain(record)
        json.dumps(to_plain(record_from_plain(plain)), allow_nan=False)
    except Exception as exc:  # whatever a test put into its evidence
        reason = f"its record cannot be written down: {type(exc).__name__}: {str(exc).splitlines()[0]}"
        return to_plain(replace(record, verdict=Verdict.ERROR, reason=reason, evidence=(), measured=False))
    return plain
