"""Scores of two runs: on the same items where both were asked them, else side by side. Reads the runs' samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from hallmark.core.errors import HarnessError
from hallmark.core.records import Evidence, Target
from hallmark.core.wording import finding, plural
from hallmark.evals.between_runs import SAMPLES_ENDING, NotPaired, PairedScores, paired_scores
from hallmark.report.changes.document import Change, Effect, Section
from hallmark.report.changes.kept_run import KeptRun
from hallmark.report.changes.verdicts import worst_first
from hallmark.report.scored import score_of
from hallmark.stats.paired import ALPHA


def scores_section(before: KeptRun, after: KeptRun) -> Section:
    """Every eval that both runs scored. Each of them may be the one that fails: its loss is shown at that part of the level."""
    old, new = (dict(scores_of(run)) for run in (before, after))
    common = [name for name in old if name in new]
    found = (_compare(name, before, after, old[name], new[name], among=len(common)) for name in common)
    changes = [change for change in found if change]
    return Section(topic="scores", changes=tuple(worst_first(changes)), same=len(common) - len(changes))


def scores_of(run: KeptRun) -> Iterator[tuple[str, Evidence]]:
    """(name of the eval, its score), of every eval that was scored."""
    for row in run.report.of_kind("evals"):
        if score := score_of(row):
            yield row.check.removeprefix("evals."), score


def _compare(name: str, before: KeptRun, after: KeptRun, old: Evidence, new: Evidence, *, among: int) -> Change | None:
    found = _paired(name, before, after, old, new, alpha=ALPHA / among)
    if isinstance(found, NotPaired):
        return _side_by_side(name, old, new, found)
    if not (found.lost or found.gained):
        return None
    interval = found.interval
    effect = Effect.WORSE if interval.high < 0 else Effect.BETTER if interval.low > 0 else Effect.UNDECIDED
    # What the spec lets an eval lose against its reference is drawn beside it, and decides nothing here.
    allowed = Target(relation=">=", limit=-float(new.detail.get("tolerance", 0.0)), reference=0.0)
    check = f"evals.{name}"
    return Change(
        name=check,
        before=finding_alone(old),
        after=finding_alone(new),
        effect=effect,
        reason=_told(found),
        difference=Evidence(
            name=check, value=found.difference, n=found.n, interval=interval, target=allowed, verdict=effect.verdict
        ),
    )


def _told(found: PairedScores) -> str:
    interval = found.interval
    span = f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}, each with {50 * (1 + interval.confidence):.4g} %"
    told = f"{100 * found.difference:+.2f} points on the same {plural(found.n, 'item')} ({span})"
    counts = f"{found.lost} lost, {found.gained} gained"
    alone = f"; {plural(found.unpaired, 'item')} asked in one run alone: where it ended early, the interval is rough"
    return f"{told}: {counts}{alone if found.unpaired else ''}"


def _paired(
    name: str, before: KeptRun, after: KeptRun, old: Evidence, new: Evidence, *, alpha: float
) -> PairedScores | NotPaired:
    if old.name != new.name:
        return NotPaired(f"other metrics: {old.name} and {new.name}")
    paths = [run.folder / "evals" / f"{name}{SAMPLES_ENDING}" for run in (before, after)]
    if absent := [str(path) for path in paths if not path.is_file()]:
        return NotPaired(f"no samples are kept: {', '.join(absent)}")
    clusters = {_cluster(run, name) for run in (before, after)}
    if len(clusters) > 1:
        return NotPaired("items belong together in other ways")
    try:
        return paired_scores(paths[0], paths[1], new.name, cluster=clusters.pop(), alpha=alpha)
    except HarnessError as exc:
        return NotPaired(str(exc))


def _cluster(run: KeptRun, name: str) -> str:
    """The field of the items that tells which belong together, as the run's own spec names it."""
    evals: Mapping[str, Any] = run.family.get("evals", {})
    of_model = evals.get(run.report.model, ())
    return next((str(target.get("cluster", "")) for target in of_model if target.get("name") == name), "")


def _side_by_side(name: str, old: Evidence, new: Evidence, why: NotPaired) -> Change | None:
    """Where the items are not the same only intervals that do not meet show a difference."""
    if old.value == new.value:
        return None
    effect = Effect.UNDECIDED
    if old.interval and new.interval:
        if new.interval.high < old.interval.low:
            effect = Effect.WORSE
        elif new.interval.low > old.interval.high:
            effect = Effect.BETTER
    reason = f"not paired: {why.reason}"
    return Change(name=f"evals.{name}", before=finding_alone(old), after=finding_alone(new), effect=effect, reason=reason)


def finding_alone(evidence: Evidence) -> str:
    """Value and interval, without what it is held against."""
    return finding(replace(evidence, target=None))
