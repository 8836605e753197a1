"""How values read in every format: numbers, intervals, targets, durations, times. Never rounds a miss into a hit."""

from __future__ import annotations

import math
import re
import sys
from datetime import UTC, datetime

from hallmark.core.records import Evidence, Interval, Target

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# Everything that XML 1.0 cannot hold, escaped or not; it is of no use on a page either.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SIGNS = {">=": "≥", "<=": "≤", "==": "=", "meets": "meets"}
_MISSED_SIGNS = {">=": "<", "<=": ">", "==": "≠", "meets": "does not meet"}
_DIGITS = 4
_MORE_DIGITS = (_DIGITS, 6, 9, 17)


def clean(text: str) -> str:
    """`text` without terminal colours, and with the characters that no page can show replaced."""
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", _ANSI.sub("", text))


def one_line(text: str, *, limit: int = 300) -> str:
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


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


def compared(value: float, limit: float) -> tuple[str, str]:
    """Both numbers with as many digits as it takes to tell them apart."""
    for digits in _MORE_DIGITS:
        pair = number(value, digits=digits), number(limit, digits=digits)
        if pair[0] != pair[1] or value == limit:
            return pair
    return repr(value), repr(limit)


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
    if isinstance(value, int | float) and is_number(value) and isinstance(target.limit, int | float):
        return compared(value, target.limit)
    return scalar(value), scalar(target.limit)


def value_text(evidence: Evidence) -> str:
    return _with_unit(_pair(evidence)[0], evidence.unit)


def limit_text(evidence: Evidence) -> str:
    """The line that decides, such as `≥ 0.95`; empty for what is only observed."""
    if evidence.target is None:
        return ""
    return f"{_SIGNS[evidence.target.relation]} {_with_unit(_pair(evidence)[1], evidence.unit)}"


def origin_text(target: Target) -> str:
    """Where the line comes from: tier, reference, source."""
    parts = [
        f"tier {target.tier}" if target.tier else "",
        f"reference {number(target.reference)}" if target.reference is not None else "",
        target.source,
    ]
    return clean(", ".join(part for part in parts if part))


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


def finding(evidence: Evidence) -> str:
    """The evidence against its target in one line, such as `0.902 [0.88, 0.92] < 0.95`."""
    value, limit = _pair(evidence)
    parts = [_with_unit(one_line(value, limit=120), evidence.unit)]
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
