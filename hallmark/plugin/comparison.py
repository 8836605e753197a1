"""Before a run is gone on with: is its folder as it was left, and is all that was measured there still the very same?

Each thing that is not is one line, and nothing in the folder has been changed by then.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from hallmark import __version__
from hallmark.core.errors import Inconclusive, InfrastructureError, UsageError, Void
from hallmark.core.files import object_at
from hallmark.core.own_code import code_digest
from hallmark.core.records import MANIFEST_FILE
from hallmark.core.scratch import scratch_folder
from hallmark.core.subjects import detail_digest
from hallmark.environment.document import ENVIRONMENT_FILE
from hallmark.environment.same_subjects import Identity, differences, digest_of, first_difference, identity
from hallmark.evals.reference import KEPT, write_reference
from hallmark.plugin.broken_off import CANNOT, BrokenOff
from hallmark.plugin.cell_run import plain_manifest, subjects_of
from hallmark.plugin.session import AcceptanceSession
from hallmark.report.build import LAUNCH_PLAN_FILE
from hallmark.specs.cell import Cell

_ALTERED, _BEFORE_CHAINS = 5, 6
"""Exit codes of `hallmark verify`."""
_DEMANDS = ("cell", "model", "device", "impl", "workflow", "spec", "waiver_limits", "valid_days", "entries", "gaps")
"""What of a manifest has to be the same. When it was begun, and how that was written, need not."""


def require_same(session: AcceptanceSession, cell: Cell, broken: BrokenOff) -> str:
    """The digest of what was compared; UsageError, or InfrastructureError where it cannot be, with the first difference."""
    for find in (_in_demands, _in_code, _in_reference, _in_waivers):
        for difference in find(session, cell, broken):
            raise _refusal(broken, difference)
    _require_unaltered(broken)
    return _same_server(session, cell, broken)


def _refusal(broken: BrokenOff, difference: str) -> UsageError:
    hint = "what was measured before is of something else: make it as it was, or begin a new run"
    return UsageError(f"{CANNOT}: {difference}", where=str(broken.folder), hint=hint)


def _in_demands(session: AcceptanceSession, cell: Cell, broken: BrokenOff) -> Iterator[str]:
    kept = json.loads((broken.folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    now = json.loads(json.dumps(plain_manifest(cell, session.options, session.stamp, redact=session.redactor)))
    if kept["partial"] != now["partial"]:
        before, here = ("; ".join(map(str, manifest["partial"])) or "nothing" for manifest in (kept, now))
        yield f"this call is narrowed by {here}, and it was by {before}"
    yield from _in_checks(*({entry["check"] for entry in manifest["entries"]} for manifest in (kept, now)))
    yield from filter(None, (first_difference(kept.get(key), now.get(key), key) for key in _DEMANDS))


def _in_checks(kept: Set[str], now: Set[str]) -> Iterator[str]:
    """A folder keeps no key, so whoever forgets it asks for less."""
    if gone := sorted(kept - now):
        yield f"this call does not demand {', '.join(gone[:3])}, and it did (is a key to be given again?)"
    if more := sorted(now - kept):
        yield f"this call demands {', '.join(more[:3])}, and it did not"


def _in_code(session: AcceptanceSession, cell: Cell, broken: BrokenOff) -> Iterator[str]:
    subjects = subjects_of(cell)
    for what, key, now in (
        ("hallmark", "hallmark", __version__),
        ("hallmark's own code", "code", code_digest()),
        ("the code of the tests", "tests", subjects["tests"]),
        ("the mark of the weights", "weights", subjects["weights"]),
    ):
        if (before := broken.begins.get(key)) != now:
            yield f"{what} is {now[:24]}, it was {str(before)[:24]}"


def _in_reference(session: AcceptanceSession, cell: Cell, broken: BrokenOff) -> Iterator[str]:
    """The reference to compare with lies in the folder, as it was."""
    kept, now = broken.folder / KEPT, session.references.get(cell.id)
    if now is None and kept.is_file():
        yield "there is no reference to compare with, and there was one"
    if now is None:
        return
    with scratch_folder() as scratch:
        write_reference(scratch / KEPT, now)
        if not kept.is_file() or (scratch / KEPT).read_bytes() != kept.read_bytes():
            yield "the reference to compare with is another one"


def _in_waivers(session: AcceptanceSession, cell: Cell, broken: BrokenOff) -> Iterator[str]:
    """A break does not lengthen a waiver, nor the days for which a run counts."""
    now = session.stamp.started_at
    if (last := broken.manifest.valid_until) and now[:10] > last:
        yield f"it is {now[:10]}, and what it measured counts until {last}"
    for entry in broken.manifest.entries:
        if entry.waiver and entry.waiver.holds(broken.manifest.started_at) and not entry.waiver.holds(now):
            yield f"the waiver of {entry.check} held when the run began: {entry.waiver.not_held(now)}"


def _require_unaltered(broken: BrokenOff) -> None:
    """UsageError with the first thing that `hallmark verify` finds: a process of its own, as for anybody."""
    command = [sys.executable, "-m", "hallmark", "verify", str(broken.folder)]
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    lines = [line.strip() for line in (ended.stdout or ended.stderr).splitlines()] or ["it cannot be verified"]
    if ended.returncode == _ALTERED:
        raise UsageError(f"{CANNOT}: it was altered: {lines[min(1, len(lines) - 1)]}", hint=f"hallmark verify {broken.folder}")
    if ended.returncode in (2, _BEFORE_CHAINS) or ended.returncode < 0:
        raise UsageError(f"{CANNOT}: {lines[0]}", where=str(broken.folder))


def _same_server(session: AcceptanceSession, cell: Cell, broken: BrokenOff) -> str:
    """Collect environment and plan anew, in a folder apart, and hold them against those that are kept; and digest the weights."""
    weights = f"weights:{cell.model}"
    kept = broken.subjects.get(weights, "")
    with scratch_folder() as scratch:
        there = _collect(session, cell, scratch, weights=bool(kept))
        now = _known(scratch)
    if there and kept != there:
        raise _refusal(broken, f"{weights} is {there[:12]}, it was {kept[:12]}")
    before = _known(broken.folder)
    if before:
        for difference in differences(before, now):
            raise _refusal(broken, difference)
    return digest_of(dict(now))


def _collect(session: AcceptanceSession, cell: Cell, folder: Path, *, weights: bool) -> str:
    """The digest of the weights, where it is asked for and no server needs to run for it: else it is compared when the run ends,
    as that of each subject is. The documents lie in the folder then.
    """
    from hallmark.plugin.cell_tools import make_testbed  # brings the HTTP and tokenizer libraries

    testbed = make_testbed(
        cell,
        session.options,
        folder=folder,
        root=session.config.rootpath,
        redactor=session.redactor,
        progress=session.progress,
        say=lambda _: None,
    )
    try:
        testbed.require_device()
        _ = testbed.plan
        testbed.write_environment()
        asked = weights and testbed.site.weights_need_no_server
        return detail_digest("weights", testbed.weights_manifest.detail()) if asked else ""
    except (Void, Inconclusive) as exc:
        raise InfrastructureError(f"{CANNOT}: {exc}", where=cell.id) from exc
    finally:
        testbed.close()


def _known(folder: Path) -> Identity:
    return identity(_document(folder / ENVIRONMENT_FILE), _document(folder / LAUNCH_PLAN_FILE))


def _document(path: Path) -> Mapping[str, Any]:
    """What is damaged is no document that is not there: nothing would be compared with it."""
    document = object_at(path)
    if not document and path.exists():
        raise UsageError(f"{CANNOT}: it is no JSON object", where=str(path), hint="begin a new run")
    return document
