"""How values read in every format: numbers, intervals, targets, durations, times. Never rounds a miss into a hit."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from hallmark.core.records import Evidence, Interval, Target

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# Everything that XML 1.0 cannot hold, escaped or not; it is of no use on a page either.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SIGNS = {">=": "≥", "<=": "≤", "==": "=", "meets": "meets"}
_MISSED_SIGNS = {">=": "<", "<=": ">", "==": "≠", "meets": "does not meet"}
_DIGITS = 4
_MORE_DIGITS = (_DIGITS, 6, 9, 17)
_MANY_TIMES = 2.0
"""A latency that is so much longer than its target is told in times, not in percent."""


def clean(text: str) -> str:
    """`text` without terminal colours, and with the characters that no page can show replaced."""
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", _ANSI.sub("", text))


def one_line(text: str, *, limit: int = 300) -> str:
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table for a terminal, indented, a line for each row; all rows have as many cells as the first."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        yield "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def number(value: float, *, digits: int = _DIGITS) -> str:
    """`value` with `digits` significant digits, whole numbers in full."""
    if isinstance(value, int):
        return str(value) if abs(value) < 10_000 else f"{value:,}"
    if not math.isfinite(value):
        return str(value)
    if not value:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4:
        return f"{value:.{digits}g}"
    text = f"{value:,.{max(0, digits - 1 - magnitude)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def compared(value: float, *limits: float) -> tuple[str, ...]:
    """The value and what it is held against, with as many digits as it takes to tell it from each of them."""
    for digits in _MORE_DIGITS:
        shown, *others = (number(each, digits=digits) for each in (value, *limits))
        if all(other != shown or limit == value for other, limit in zip(others, limits, strict=True)):
            return shown, *others
    return tuple(map(repr, (value, *limits)))


def scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return number(value) if isinstance(value, int | float) else clean(str(value))


def span(interval: Interval) -> str:
    return f"[{number(interval.low)}, {number(interval.high)}]"


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit else text


def _pair(evidence: Evidence) -> tuple[str, str]:
    """Value and limit as text."""
    value, target = evidence.value, evidence.target
    if target is None:
        return scalar(value), ""
    if isinstance(value, bool) and target.limit in (0, 1):
        return scalar(value), scalar(bool(target.limit))
    if isinstance(value, int | float) and is_number(value) and isinstance(target.limit, int | float):
        shown, limit = compared(value, target.limit)
        return shown, limit
    return scalar(value), scalar(target.limit)


def value_text(evidence: Evidence) -> str:
    return _with_unit(_pair(evidence)[0], _unit_of(evidence))


def _unit_of(evidence: Evidence) -> str:
    """None of what is no number, such as a quantile that is absent."""
    return evidence.unit if is_number(evidence.value) else ""


def limit_text(evidence: Evidence) -> str:
    """The line that decides, such as `≥ 0.95`; empty for what is only observed."""
    if evidence.target is None:
        return ""
    return f"{_SIGNS[evidence.target.relation]} {_with_unit(_pair(evidence)[1], evidence.unit)}"


def origin_text(target: Target) -> str:
    """Where the line comes from, such as `tier complete: 0.5 x the target of 800, <source>`."""
    if target.tier and (times := _times_target(target)):
        of = f"tier {target.tier}: {times} x the target of {number(target.reference or 0)}"
    else:
        of = f"reference {number(target.reference)}" if target.reference is not None else ""
    return clean(", ".join(part for part in (of, target.source) if part))


def _times_target(target: Target) -> str:
    """The tier's factor: how many times the target the limit is; empty where that is no number."""
    limit, reference = target.limit, target.reference
    return number(limit / reference, digits=3) if reference and isinstance(limit, int | float) and is_number(limit) else ""


def interval_text(evidence: Evidence) -> str:
    if evidence.interval is None:
        return ""
    return f"{span(evidence.interval)} at {number(100 * evidence.interval.confidence)}\N{NO-BREAK SPACE}%"


def misses(evidence: Evidence) -> bool:
    """True where the value itself is on the wrong side of its own limit."""
    target, value = evidence.target, evidence.value
    if target and target.relation == "==":
        return value != target.limit
    if target is None or not isinstance(value, int | float) or not isinstance(target.limit, int | float):
        return False
    if not is_number(value) or not is_number(target.limit):
        return False
    return (target.relation == ">=" and value < target.limit) or (target.relation == "<=" and value > target.limit)


def in_full(evidence: Evidence) -> bool:
    """Whether the target itself is reached, with the whole interval, and not only what a tier requires of it."""
    target, value, interval = evidence.target, evidence.value, evidence.interval
    if target is None or target.reference is None or not isinstance(value, int | float) or not is_number(value):
        return False
    if target.relation == ">=":
        return (interval.low if interval else value) >= target.reference
    return target.relation == "<=" and (interval.high if interval else value) <= target.reference


def _of_tier(evidence: Evidence, target: Target) -> str:
    """What was reached of the target, and what the tier requires of it: of a throughput a part, of a latency a multiple."""
    reached, limit, reference = float(evidence.value), float(target.limit), target.reference or 0.0
    value, line, whole = compared(reached, limit, reference)
    measured = f"{value} {span(evidence.interval)}" if evidence.interval else value
    if target.relation == ">=":
        found, asks = f"{measured} of {_with_unit(whole, evidence.unit)}: {_percent(reached / reference)}", "needs"
    else:
        found, asks = f"{_with_unit(measured, evidence.unit)}, {_beside(reached / reference)} of {whole}", "allows"
    return f"{found}, tier {target.tier} {asks} {line} ({_times_target(target)} x target)"


def _percent(share: float) -> str:
    """Never rounded up or down to the whole of it."""
    return f"{compared(100 * share, 100.0)[0] if abs(share - 1) < 0.01 else number(100 * share, digits=2)} %"


def _beside(share: float) -> str:
    """A latency beside its target, of which less is better."""
    if share >= _MANY_TIMES:
        return f"{number(share, digits=2)} times the target"
    if share == 1:
        return "the very target"
    return f"{number(100 * abs(share - 1), digits=2)} % {'over' if share > 1 else 'under'} the target"


def share_text(evidence: Evidence) -> str:
    """What was reached of a target that tiers scale, such as `63 % of the target`; empty for any other."""
    target = evidence.target
    if not target or not _is_of_tier(evidence, target):
        return ""
    share = float(evidence.value) / (target.reference or 0.0)
    return f"{_percent(share)} of the target" if target.relation == ">=" else _beside(share)


def asked_text(evidence: Evidence) -> str:
    """What is asked of the value, such as `target 800, tier complete needs 400`; the limit alone where no tier scales it."""
    target = evidence.target
    if not target or not target.tier or not _times_target(target):
        return limit_text(evidence)
    asks = "needs" if target.relation == ">=" else "allows"
    return f"target {number(target.reference or 0.0)}, tier {target.tier} {asks} {_pair(evidence)[1]}"


def _is_of_tier(evidence: Evidence, target: Target) -> bool:
    return bool(target.tier and target.reference and _times_target(target) and is_number(evidence.value))


def finding(evidence: Evidence) -> str:
    """The evidence against its target in one line, such as `0.902 [0.88, 0.92] < 0.95`.

    Of a target that tiers scale it says all of it: `505 of 800 tokens/s: 63 %, tier complete needs 400 (0.5 x target)`.
    """
    target = evidence.target
    if target and _is_of_tier(evidence, target):
        return _of_tier(evidence, target)
    value, limit = _pair(evidence)
    if target and target.tier and not is_number(evidence.value):
        return f"{one_line(value, limit=120)} ({asked_text(evidence)})"
    parts = [_with_unit(one_line(value, limit=120), _unit_of(evidence))]
    if evidence.interval:
        parts.append(span(evidence.interval))
    if evidence.target:
        signs = _MISSED_SIGNS if misses(evidence) else _SIGNS
        wanted = signs[evidence.target.relation] if misses(evidence) else f"(wanted {signs[evidence.target.relation]}"
        parts.append(f"{wanted} {limit}" if misses(evidence) else f"{wanted} {limit})")
    return " ".join(parts)


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{number(seconds, digits=2 if seconds < 10 else 3)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def moment(iso: str) -> datetime | None:
    """A time as the records write it; None for one that cannot be read. A time without a zone is UTC."""
    try:
        read = datetime.fromisoformat(iso)
    except ValueError:
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def when(iso: str) -> str:
    read = moment(iso)
    return f"{read:%Y-%m-%d %H:%M:%S} UTC" if read else clean(iso) or "unknown"
