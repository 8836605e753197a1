"""The log beside the records: it tells of each check once its record is on the disk, so of none that has no record."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from hallmark.core.records import RECORDS_FILE
from hallmark.core.run_log import NAME
from hallmark.core.wording import plural
from hallmark.workflows.verify.finding import Finding, altered
from hallmark.workflows.verify.run_folder import RunFolder

_ENDED = re.compile(r"^\S+ (?:INFO|WARNING|ERROR) check (\S+): [A-Z]+\b", re.MULTILINE)


def look_at_log(run: RunFolder) -> Iterator[Finding]:
    """A run that was killed has no digest of its records yet: of those that were cut off its end the log still tells."""
    path = run.path / NAME
    if not path.is_file() or run.manifest is None:
        return
    demanded = {entry.check for entry in run.manifest.entries}
    told = Counter(_ENDED.findall(path.read_text(encoding="utf-8", errors="replace")))
    there = Counter(str(line.content.get("check")) for line in run.lines)
    for check, count in told.items():
        # The name of a check of somebody's own may have been taken out of the log.
        if check in demanded and count > there[check]:
            what = f"tells of {plural(count, 'record')} of {check}, and here are {there[check]}: what is missing was taken away"
            yield altered(RECORDS_FILE, f"{NAME} {what}")
