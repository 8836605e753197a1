"""The fingerprint of a run: kept in its folder, recorded into a reference, and held against one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hallmark.core.errors import UsageError
from hallmark.core.files import write_json
from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.evals.reference import Reference
from hallmark.stats.fingerprint import OTHER_DTYPE_NATS, Fingerprint, distance, judge_fingerprint, tolerance

FILE = "fingerprint.json"
_UNTOLD = ("", "auto")
"""What a spec says that leaves the dtype to the engine."""


def keep_fingerprint(folder: Path, found: Fingerprint) -> None:
    """Write it into `folder`, from where `hallmark reference record` takes it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE, asdict(found))


def kept_fingerprint(folder: Path) -> Fingerprint | None:
    """What a run kept in `folder`; None where it kept nothing. UsageError for what is no fingerprint."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return TypeAdapter(Fingerprint).validate_python(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as exc:
        raise UsageError(f"is no fingerprint ({type(exc).__name__})", where=str(path), hint="run the evals again") from exc


def recorded_fingerprint(run: Path, again: Path | None) -> Fingerprint | None:
    """That of the run in the folder `run`, with the noise that another run of the same server shows."""
    found = kept_fingerprint(run / "evals")
    other = kept_fingerprint(again / "evals") if again else None
    return replace(found, noise=round(distance(found, other), 6)) if found and other else found


def determinism(answers: Sequence[tuple[str, str]], reference: Reference | None, *, exact: bool) -> Evidence:
    """How many greedy answers others at the same time changed, and whether that is as much as the reference's own runs differed.

    `answers`: (alone, among others). `exact`: the spec declares batch invariance, so that any is a fault.
    """
    differ = sum(alone != other for alone, other in answers)
    share = differ / len(answers)
    known = [one.discordance for one in reference.evals.values() if one.discordance is not None] if reference else []
    reason = f"{differ} of {len(answers)} greedy answers are others in a batch"
    if known and not max(known):
        reason += "; two runs of the reference differed on no item"
    elif known:
        explains = "explains" if share >= max(known) else "does not explain"
        reason += f"; {explains} the {100 * max(known):.2g} % of items on which two runs of the reference differed"
    return Evidence(
        name="greedy answers that others at the same time changed",
        value=round(share, 4),
        unit="of all",
        n=len(answers),
        verdict=Verdict.FAIL if exact and differ else Verdict.PASS,
        reason=reason,
        target=Target(relation="==", limit=0, source="the spec declares batch invariance") if exact else None,
    )


def judged_fingerprint(here: Fingerprint, reference: Reference | None, *, cell: str, dtype: str) -> Evidence:
    """Whether these are the reference's numerics. INCONCLUSIVE where there is nothing to hold them against.

    `cell` and `dtype` are those of the server: what the reference was recorded on may be another.
    """
    if reference is None or reference.fingerprint is None:
        why = "no reference with a fingerprint: `hallmark reference record` makes one of a run of this check"
        return Evidence(name="fingerprint", value="kept", verdict=Verdict.INCONCLUSIVE, reason=why)
    told = reference.dtype if dtype in _UNTOLD else dtype
    elsewhere = reference.cell != cell
    limit = tolerance(reference.fingerprint, reference_dtype=reference.dtype, dtype=told, elsewhere=elsewhere)
    source = f"the reference: {reference.title}"
    judge = partial(judge_fingerprint, reference.fingerprint, here, source=source, adapters=reference.adapters)
    evidence = judge(limit=limit)
    failed = evidence.verdict is Verdict.FAIL
    if failed and dtype in _UNTOLD and judge(limit=max(limit, OTHER_DTYPE_NATS)).verdict is Verdict.PASS:
        why = f"{evidence.reason}; the spec tells no dtype, and another than {reference.dtype or 'that'} would explain it"
        return replace(evidence, verdict=Verdict.INCONCLUSIVE, reason=why)
    return evidence
