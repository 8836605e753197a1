"""Which lines of an exposition can be read. A line that cannot costs itself, not the scrape.

Whole runs of good lines are taken by one match, so that a good exposition costs a few calls; only a line at which a run
stops is looked at by itself. Text is Prometheus text 0.0.4 and 1.0.0, OpenMetrics is 1.0.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

END = "# EOF"


class Dialect(enum.Enum):
    """The two exposition formats."""

    TEXT = "Prometheus text"
    OPENMETRICS = "OpenMetrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """An exposition of which every line can be read."""

    text: str
    """Begins with an empty line, so that every line is found by its line break; no end marker; ends with a line break."""
    dialect: Dialect
    malformed: int
    """Lines left out."""


_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*+"
_QUOTED = r'"(?:[^"\\\n]++|\\[\\"n])*+"'
_LABEL = rf"(?:[a-zA-Z_][a-zA-Z0-9_]*+=)?{_QUOTED}"
_LABELS = rf"\{{(?:{_LABEL}(?:,{_LABEL})*+,?)?\}}"
_NUMBER = r"(?:[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?|[+-]?[iI]nf(?:inity)?|[nN]a[nN])"
_SERIES = rf"(?:{_NAME}(?:{_LABELS})?|\{{{_QUOTED}(?:,{_LABEL})*+,?\}})"
_TYPES = "counter|gauge|histogram|summary|untyped|unknown|info|stateset|gaugehistogram"
_TYPE_LINE = rf"# TYPE (?:{_NAME}|{_QUOTED}) (?:{_TYPES})\n"
_HELP_LINE = rf"# HELP (?:{_NAME}|{_QUOTED})[^\n]*+\n"

_RUN_LINES = 400
"""Lines in one match: a match holds the interpreter, and an exposition may have a hundred thousand lines."""
_RUNS = {
    Dialect.TEXT: re.compile(
        rf"(?:{_SERIES} {_NUMBER}(?: -?[0-9]++)?\n|{_TYPE_LINE}|{_HELP_LINE}"
        rf"|#(?! *(?:TYPE|HELP|EOF)\b)[^\n]*+\n|\n){{1,{_RUN_LINES}}}+"
    ),
    Dialect.OPENMETRICS: re.compile(
        rf"(?:{_SERIES} {_NUMBER}(?: {_NUMBER})?(?: # {_LABELS} {_NUMBER}(?: {_NUMBER})?)?\n"
        rf"|{_TYPE_LINE}|{_HELP_LINE}|# UNIT (?:{_NAME}|{_QUOTED})[^\n]*+\n){{1,{_RUN_LINES}}}+"
    ),
}
_LOOSE_SAMPLE = re.compile(
    rf"(?P<name>{_NAME})?[ \t]*(?P<labels>\{{.*?\}})?(?(labels)[ \t]*|[ \t]+)(?P<value>{_NUMBER})(?:[ \t]+(?P<time>{_NUMBER}))?"
    r"(?:[ \t]+(?P<exemplar># *\{.*))?"
)
_LOOSE_LABEL = re.compile(rf"[ \t]*(?:([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*=[ \t]*)?({_QUOTED})[ \t]*(?:,|$)")
_LOOSE_NOTE = re.compile(rf"#[ \t]*(?P<kind>TYPE|HELP|UNIT)[ \t]+(?P<name>{_NAME}|{_QUOTED})(?:[ \t]+(?P<rest>.*))?")


def dialect_of(body: str, content_type: str) -> Dialect:
    """By the header; where that says nothing of use, by the end marker that only OpenMetrics has."""
    if "openmetrics" in content_type.lower():
        return Dialect.OPENMETRICS
    tail = body[-16:] if len(body) > 16 else "\n" + body
    marked = tail.rstrip().endswith("\n" + END) or (not content_type and f"\n{END}\n" in body)
    return Dialect.OPENMETRICS if marked else Dialect.TEXT


def scan(body: bytes, content_type: str = "") -> Scanned:
    """The exposition without the lines that cannot be read. Lines that are only spaced oddly are set right."""
    text, malformed = _decoded(body)
    dialect = dialect_of(text, content_type)
    if dialect is Dialect.OPENMETRICS:
        text, ended = _until_end(text)
        malformed += not ended
    if text and not text.endswith("\n"):
        text += "\n"
    run, position, kept = _RUNS[dialect], 0, ["\n"]
    while position < len(text):
        if good := run.match(text, position):
            kept.append(good.group())
            position = good.end()
            continue
        stop = text.index("\n", position)
        if line := _set_right(text[position:stop], dialect):
            kept.append(line)
        else:
            malformed += bool(text[position:stop].strip())
        position = stop + 1
    return Scanned(text="".join(kept), dialect=dialect, malformed=malformed)


def _decoded(body: bytes) -> tuple[str, int]:
    try:
        return body.decode("utf-8"), 0
    except UnicodeDecodeError:
        lines = body.split(b"\n")
        good = [line for line in lines if _is_text(line)]
        return b"\n".join(good).decode("utf-8"), len(lines) - len(good)


def _is_text(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _until_end(text: str) -> tuple[str, bool]:
    """What stands before the end marker, and whether there is one."""
    padded = "\n" + text
    at = padded.find("\n" + END)
    return (padded[1 : at + 1], True) if at >= 0 else (text, False)


def _set_right(line: str, dialect: Dialect) -> str:
    """The line as the format wants it spaced, empty if it cannot be read (or says nothing)."""
    words = line.strip(" \t\r")
    if words.startswith("#"):
        note = _LOOSE_NOTE.fullmatch(words)
        fixed = f"# {note['kind']} {note['name']} {(note['rest'] or '').strip()}" if note else words
    else:
        fixed = _sample_set_right(words, dialect)
    run = _RUNS[dialect].fullmatch(fixed + "\n")
    return run.group() if run and fixed else ""


def _sample_set_right(words: str, dialect: Dialect) -> str:
    sample = _LOOSE_SAMPLE.fullmatch(words)
    if not sample or (sample["exemplar"] and dialect is Dialect.OPENMETRICS):
        return ""
    labels = _labels_set_right(sample["labels"]) if sample["labels"] else ""
    moment = f" {sample['time']}" if sample["time"] else ""
    return f"{sample['name'] or ''}{labels} {sample['value']}{moment}"


def _labels_set_right(labels: str) -> str:
    """`labels` without blanks between its parts; unreadable ones stay so."""
    inside, position, parts = labels[1:-1], 0, []
    while position < len(inside.rstrip()):
        label = _LOOSE_LABEL.match(inside, position)
        if not label:
            return labels
        parts.append(f"{label[1]}={label[2]}" if label[1] else label[2])
        position = label.end()
    return "{" + ",".join(parts) + "}"
