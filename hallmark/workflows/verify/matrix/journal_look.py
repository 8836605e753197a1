"""The journal of a matrix: is each event as it was written, in its place, and does it begin with the plan that is there?"""

from __future__ import annotations

from collections.abc import Iterator

from hallmark.core.errors import HallmarkError
from hallmark.fleet.journal import Finished, Resumed
from hallmark.fleet.matrix_file import EVENTS_FILE, MATRIX_FILE
from hallmark.fleet.result.reading import SiteFolder
from hallmark.workflows.verify.chain_look import look_at_links
from hallmark.workflows.verify.finding import Finding, altered
from hallmark.workflows.verify.run_folder import Line, lines_of


def look_at_journal(site: SiteFolder) -> Iterator[Finding]:
    """What the lines tell of each other, and the first one of the plan."""
    path = site.path / EVENTS_FILE
    content = path.read_bytes() if path.is_file() else b""
    lines = lines_of(content, file=EVENTS_FILE)
    if not lines:
        yield altered(EVENTS_FILE, "has no event: what happened was taken away")
        return
    if lines[0].content.get("event") != "began":
        yield altered(EVENTS_FILE, "does not begin with the line that states the plan: it was taken away")
    if not content.endswith(b"\n") and lines[-1].content.get("event") == "finished":
        yield altered(EVENTS_FILE, "ends within a line, which stands behind the end of the matrix: it was cut or added to")
    broken = list(look_at_links(lines, noun="event"))
    yield from broken
    if not broken:
        yield from _plan(site, lines[0])
        yield from _behind_the_end(site, lines)


def _plan(site: SiteFolder, first: Line) -> Iterator[Finding]:
    try:
        digest = site.plan_digest
    except HallmarkError as exc:
        yield altered(MATRIX_FILE, exc.message)
        return
    if first.content.get("matrix") not in (digest, None):
        yield altered(MATRIX_FILE, f"was changed: {EVENTS_FILE} begins with another digest of it")


def _behind_the_end(site: SiteFolder, lines: list[Line]) -> Iterator[Finding]:
    try:
        events = site.events
    except HallmarkError as exc:
        yield altered(exc.where.removeprefix(f"{site.path}/") or EVENTS_FILE, exc.message)
        return
    ended = 0
    for line, event in zip(lines, events, strict=False):
        if isinstance(event, Resumed):
            ended = 0
        elif ended:
            yield altered(
                str(line), f"stands behind the end of the matrix (line {ended}), and no line says that it was gone on with"
            )
        elif isinstance(event, Finished):
            ended = line.place
