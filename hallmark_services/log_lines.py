"""How both services write their logs: a line of text for people, or one JSON object a line for a machine (LOG_FORMAT=json).

Either way a line is one line, and passes the Redactor. What is measured stands in fields of its own, not in the text alone:

    log.info("download ended", extra=fields(bytes=1024, seconds=0.5))
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from hallmark.core.redact import Redactor, redacted

LogFormat = Literal["text", "json"]
FORMAT_VARIABLE = "LOG_FORMAT"
"""One name for both services; `--log-format` is the option."""
_FIELDS = "hallmark_fields"
_OWN = ("time", "level", "logger", "message", "exception")


def log_format(text: str) -> LogFormat:
    """The format of that name; ValueError for none."""
    match text.lower():
        case "text" | "json" as known:
            return "json" if known == "json" else "text"
        case _:
            raise ValueError("write text or json")


def fields(**values: Any) -> dict[str, Any]:
    """What a JSON line holds beside its message, as the `extra` of a log call."""
    return {_FIELDS: values}


class TextLines(logging.Formatter):
    """Lines for people; what a message breaks over lines is put into one, but for a traceback's."""

    def __init__(self, redact: Redactor, *, name: str = "%(name)s") -> None:
        super().__init__(f"%(asctime)s %(levelname)s {name}: %(message)s")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if not message.isprintable():
            record = logging.makeLogRecord({**record.__dict__, "msg": _one_line(message), "args": None})
        return self._redact(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, the call's fields, and a traceback as `exception`."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        extra: Mapping[str, Any] = getattr(record, _FIELDS, {})
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in extra.items() if name not in _OWN},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # ASCII alone: what a client sent may be no Unicode, and a line must be readable all the same.
        return json.dumps(redacted(line, self._redact), ensure_ascii=True, default=str)


def formatter(form: LogFormat, redact: Redactor, *, name: str = "%(name)s") -> logging.Formatter:
    """What writes lines in that format; `name` stands for the logger's in lines of text."""
    return JsonLines(redact) if form == "json" else TextLines(redact, name=name)


def handler(form: LogFormat, redact: Redactor, *, name: str = "%(name)s") -> logging.Handler:
    """The same, to standard error."""
    made = logging.StreamHandler(sys.stderr)
    made.setFormatter(formatter(form, redact, name=name))
    return made


def _one_line(text: str) -> str:
    """No line break or control character in it: each would let what a client sent look like a line of ours."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def tell_failure(program: str, exc: Exception) -> None:
    """Say on standard error, in the log's format, what ended `program`; in text where it ended before that was known."""
    if any(isinstance(one.formatter, JsonLines) for one in logging.getLogger().handlers):
        logging.getLogger(program).critical("%s", exc)
    else:
        print(f"{program}: {exc}", file=sys.stderr)
