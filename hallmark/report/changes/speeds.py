"""Speeds of two runs: by what share each changed, with what both intervals leave open. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hallmark.core.load import Place
from hallmark.core.records import Evidence, Interval, Target
from hallmark.core.verdict import Verdict
from hallmark.core.wording import is_number
from hallmark.perf.core_speed import NAME as CORE_SPEED
from hallmark.perf.series import PointSeries
from hallmark.perf.slices import with_interval
from hallmark.report.changes.document import Change, Effect, Section
from hallmark.report.changes.scores import finding_alone
from hallmark.report.changes.verdicts import worst_first
from hallmark.report.document import Report, Row
from hallmark.specs.model import Metric
from hallmark.stats.ratio import change_between

MARGIN = 0.05
"""A change by less than this share is none: two runs of the same server differ by some percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doubt:
    """What else than the server may have made a point's times."""

    spoilt: str
    """Why nothing of it can be compared; empty where it can."""
    cores: float
    """By what share the cores of the machine changed their speed meanwhile: less than that may be their doing."""


def speeds_section(before: Report, after: Report, *, margin: float = MARGIN) -> Section:
    """Every metric of every point that both runs measured."""
    old, new = ({row.check: row for row in report.of_kind("perf")} for report in (before, after))
    lines = [{f"perf.{one.point}": one for one in report.series} for report in (before, after)]
    changes, same = [], 0
    for check in (check for check in old if check in new):
        series = [lines[0].get(check), lines[1].get(check)]
        found = list(_of_point(old[check], new[check], series, margin))
        changes += [change for change in found if change]
        same += found.count(None)
    note = f"a change of no more than {100 * margin:g} % counts as none"
    return Section(topic="speeds", changes=tuple(worst_first(changes)), same=same, note=note)


def _of_point(old: Row, new: Row, series: Sequence[PointSeries | None], margin: float) -> Iterator[Change | None]:
    """For each metric its change, or None where there is none; those that have a target stand in front."""
    doubt = _Doubt(spoilt=_spoilt(old) or _spoilt(new), cores=max(_core_change(old), _core_change(new)))
    befores, afters = ({item.name: item for item in row.evidence} for row in (old, new))
    for metric in sorted(Metric, key=lambda one: not _is_held(afters.get(one.value))):
        before, after = befores.get(metric.value), afters.get(metric.value)
        if before and after and (is_number(before.value) or is_number(after.value)):
            sides = with_interval(before, series[0]), with_interval(after, series[1])
            yield _compare(f"{new.check} {metric.value}", metric, *sides, margin=margin, doubt=doubt)


def _is_held(evidence: Evidence | None) -> bool:
    return evidence is not None and evidence.target is not None


def _spoilt(row: Row) -> str:
    if row.verdict is Verdict.VOID or any(item.verdict is Verdict.VOID for item in row.evidence):
        return "the machine spoilt a run of this point"
    requests = next((item for item in row.evidence if item.name == "requests"), None)
    return "not all requests were answered" if requests is None or requests.verdict is not Verdict.PASS else ""


def _core_change(row: Row) -> float:
    """Of a server that is elsewhere these cores tell nothing."""
    if row.load is not None and row.load.server is not Place.HERE:
        return 0.0
    changes = (item.value for item in row.evidence if item.name == CORE_SPEED)
    return max((abs(float(change)) for change in changes if is_number(change)), default=0.0)


def _compare(name: str, metric: Metric, old: Evidence, new: Evidence, *, margin: float, doubt: _Doubt) -> Change | None:
    before, after = finding_alone(old), finding_alone(new)
    if not (is_number(old.value) and is_number(new.value)):
        reason = (new if is_number(old.value) else old).reason
        return Change(name=name, before=before, after=after, effect=Effect.UNDECIDED, reason=reason)
    share = float(new.value) / float(old.value) - 1 if old.value else 0.0
    if abs(share) <= margin:
        return None
    interval = _interval(old, new)
    told = f"{100 * share:+.1f} % " + (f"({_span(interval)})" if interval else "without an interval")
    sign = 1 if metric.higher_is_better else -1
    gained = _turned(interval, sign)
    effect = _effect(gained, max(margin, doubt.cores)) if gained and not doubt.spoilt else Effect.UNDECIDED
    excuse = f"the machine's cores changed their speed by {100 * doubt.cores:.1f} %"
    is_excused = effect is Effect.UNDECIDED and doubt.cores > margin
    target = Target(relation=">=", limit=-margin, reference=0.0)
    return Change(
        name=name,
        before=before,
        after=after,
        effect=effect,
        reason="; ".join(filter(None, (told, doubt.spoilt, excuse if is_excused else ""))),
        difference=Evidence(name=name, value=sign * share, n=new.n, interval=gained, target=target, verdict=effect.verdict),
    )


def _effect(gained: Interval, margin: float) -> Effect:
    if gained.high < -margin:
        return Effect.WORSE
    return Effect.BETTER if gained.low > margin else Effect.UNDECIDED


def _interval(old: Evidence, new: Evidence) -> Interval | None:
    """Of the share by which the value changed; None where one of the two has no interval above 0."""
    if old.interval is None or new.interval is None or old.interval.low <= 0 or new.interval.low <= 0:
        return None
    return change_between(old.interval, new.interval)


def _turned(interval: Interval | None, sign: int) -> Interval | None:
    """What was gained, where more is a loss."""
    if interval is None or sign > 0:
        return interval
    return Interval(low=-interval.high, high=-interval.low, confidence=interval.confidence)


def _span(interval: Interval) -> str:
    return f"{100 * interval.low:+.1f} to {100 * interval.high:+.1f} %"
