"""What was demanded: is every eval and every perf point of the spec that the manifest holds on it?"""

from __future__ import annotations

from collections.abc import Iterator

from hallmark.core.records import MANIFEST_FILE
from hallmark.workflows.verify.finding import Finding, altered, not_derived
from hallmark.workflows.verify.run_folder import RunFolder


def look_at_demands(run: RunFolder) -> Iterator[Finding]:
    """Which other checks a spec demands hangs on the suites that were installed then, and is not asked here."""
    if run.manifest is None:
        return
    if run.cell is None:
        yield not_derived(MANIFEST_FILE, "holds no spec that can be read, so that what it demands cannot be held against it")
        return
    demanded = {entry.check for entry in run.manifest.entries}
    measured = (*(f"evals.{target.name}" for target in run.cell.evals), *(f"perf.{point.name}" for point in run.cell.perf))
    for check in measured:
        if check not in demanded:
            yield altered(MANIFEST_FILE, f"does not demand {check}, which the spec in it does")
