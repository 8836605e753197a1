"""What all formats say of a matrix in the same words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hallmark.core.records import Evidence
from hallmark.core.wording import plural, value_text, when
from hallmark.fleet.result.decide import worst_first
from hallmark.fleet.result.document import AttemptResult, CellResult, MatrixReport, Speed
from hallmark.report.layout import TONES as OF_RUNS

TONES: Mapping[str, tuple[str, str]] = {
    **dict[str, tuple[str, str]](OF_RUNS.items()),
    "REFUSED": ("open", "!"),
    "NOT RUN": ("open", "-"),
}
"""CellVerdict -> how it is coloured, and its sign for who sees no colours."""


def title_of(report: MatrixReport) -> str:
    """What it is about, such as `3 models on 2 devices`."""
    models, devices = ({getattr(cell, name) for cell in report.cells} for name in ("model", "device"))
    told = [
        next(iter(names)) if len(names) == 1 else plural(len(names), noun)
        for names, noun in ((models, "model"), (devices, "device"))
    ]
    return " on ".join(told)


def tally(report: MatrixReport) -> str:
    """Cells per verdict, the gravest first."""
    return ", ".join(f"{count} {verdict}" for verdict, count in report.counts.items())


def red(report: MatrixReport) -> list[CellResult]:
    """The cells that are not accepted, the gravest first."""
    return [cell for cell in worst_first(report.cells) if not cell.accepted]


def age(cell: CellResult) -> str:
    """How old its run was when the matrix ended; empty where none is known."""
    if cell.age_s is None:
        return ""
    return f"{rough(cell.age_s)} old"


def rough(seconds: float) -> str:
    """A time of which the order says enough, such as `17 min`."""
    for unit, length in (("day", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return plural(count, unit) if unit == "day" else f"{count} {unit}"
    return f"{seconds:.0f} s"


def figures(cell: CellResult) -> list[tuple[str, list[tuple[str, bool]]]]:
    """(name of an eval or a perf point, what was measured and whether that is enough) of its run."""
    scores = [(name, [(value_text(score), score.verdict.accepted)]) for name, score in cell.figures.scores]
    return scores + [
        (speed.point, [(figure_text(item), item.verdict.accepted) for item in speed.figures]) for speed in cell.figures.speeds
    ]


def speed_text(speed: Speed) -> str:
    """Such as `812 tokens/s, ttft_mean 212 ms`."""
    return ", ".join(figure_text(item) for item in speed.figures)


def figure_text(item: Evidence) -> str:
    """A value with what it is; of a rate the unit says that."""
    named = "" if item.unit == "tokens/s" else f"{short_name(item.name)} "
    return f"{named}{value_text(item)}"


def short_name(metric: str) -> str:
    """Such as `TTFT mean`, of `ttft_mean_ms`."""
    kind, _, of = metric.removesuffix("_ms").partition("_")
    return f"TTFT {of}" if kind == "ttft" else metric


def attempts_text(cell: CellResult) -> str:
    """Which attempt counts of how many, where there was more than one."""
    if len(cell.attempts) < 2:
        return ""
    counted = f"attempt {cell.counted.number} counts" if cell.counted else "none counts"
    return f"{plural(len(cell.attempts), 'attempt')}, {counted}"


def stories(report: MatrixReport) -> Iterator[tuple[str, str]]:
    """(what, a sentence) of all that did not go as planned: retries, losses, quarantines, breaks, and runs that do not decide."""
    many = len(report.sites) > 1
    for site in report.sites:
        yield from ((f"matrix of {site.name}" if many else "matrix", line) for line in site.history)
    for node in report.nodes:
        where = f" of {report.sites[node.site].name}" if many else ""
        yield from ((f"node {node.name}{where}", note) for note in node.notes)
    for cell in report.cells:
        for attempt in cell.attempts:
            if not attempt.counts or attempt.remark or attempt.node_fault:
                yield cell.cell, attempt_text(attempt)
        yield from ((cell.cell, f"another run of it: {one}") for one in cell.rivals)


def attempt_text(attempt: AttemptResult) -> str:
    """One attempt in a sentence."""
    counts = "counts" if attempt.counts else "does not count"
    remark = f"; {attempt.remark}" if attempt.remark else ""
    reason = f" - {attempt.reason}" if attempt.reason else ""
    ended = f", ended {when(attempt.ended_at)}" if attempt.ended_at else ""
    return f"attempt {attempt.number} on {attempt.node}{ended}: {attempt.title}{reason}{remark} ({counts})"


def site_facts(report: MatrixReport) -> Iterator[tuple[str, str]]:
    """(name, value) of where it all comes from."""
    many = len(report.sites) > 1
    for place, site in enumerate(report.sites, start=1):
        of = f", matrix {place}" if many else ""
        yield f"driver{of}", f"on {site.name}, hallmark {site.hallmark}, nodes by {site.on}"
        yield f"began and ended{of}", f"{when(site.began_at)} to {when(site.ended_at)}, by its clock"
        yield f"plan{of}", f"sha256:{site.plan}"
        yield f"journal{of}", f"sha256:{site.chain}, which stands for {plural(site.events, 'event')}"
