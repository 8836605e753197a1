"""What the services write to their logs: one line each, redacted, and one JSON object where that is asked for."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from hallmark.core.errors import UsageError
from hallmark.core.redact import Redactor
from hallmark_services.gateway.settings import read_settings
from hallmark_services.log_lines import LogFormat, fields, formatter
from hallmark_services.sidecar.settings import parse

SECRET = "a-secret-of-ours"
SIDECAR = ("-E", "vllm", "-I", "pod", "-N", "model")


def written(form: LogFormat, message: str, *arguments: object, exc_info: Any = None, **given: Any) -> str:
    record = logging.LogRecord("a.logger", logging.WARNING, "file", 1, message, arguments, exc_info)
    record.__dict__.update(fields(**given))
    return formatter(form, Redactor([SECRET])).format(record)


def test_a_json_line_is_one_object_with_the_call_s_own_fields() -> None:
    line = written("json", "%d bytes came", 7, bytes=7, seconds=0.5, why=f"it said {SECRET}", level="mine")
    told = json.loads(line)
    assert told.pop("time").endswith("Z")
    assert told == {
        "level": "WARNING",
        "logger": "a.logger",
        "message": "7 bytes came",
        "bytes": 7,
        "seconds": 0.5,
        "why": "it said [redacted]",
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_client_sent_begins_no_line_of_its_own_and_shows_no_secret(form: LogFormat) -> None:
    line = written(form, "asked for %s", f"x\n2026 INFO gateway: all is well\u2028{SECRET}\x1b[2J\udcff")
    assert len(line.splitlines()) == 1
    assert SECRET not in line
    assert "\x1b" not in line
    assert "all is well" in line
    line.encode()


def test_a_traceback_stays_in_its_json_line() -> None:
    line = written("json", "it failed", exc_info=(ValueError, ValueError(SECRET), None))
    assert len(line.splitlines()) == 1
    assert "ValueError: [redacted]" in json.loads(line)["exception"]


@pytest.mark.parametrize(("given", "format_"), [([], "text"), (["--log-format", "json"], "json")])
def test_both_services_know_the_setting_by_one_name(given: list[str], format_: str) -> None:
    assert read_settings(given, {}).log_format == parse([*SIDECAR, *given], {}).log_format == format_
    environ = {"LOG_FORMAT": "json"}
    assert read_settings(given, environ).log_format == parse([*SIDECAR, *given], environ).log_format == "json"
    for read in (lambda: read_settings([], {"LOG_FORMAT": "xml"}), lambda: parse(SIDECAR, {"LOG_FORMAT": "xml"})):
        with pytest.raises(UsageError, match="xml"):
            read()
