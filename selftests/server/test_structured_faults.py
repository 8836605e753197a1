"""Each way of not obeying a schema turns its own checks red; a server that obeys passes them all."""

from __future__ import annotations

from typing import Any

import pytest

from hallmark.client.wire import Answer, WireClient
from hallmark.core.verdict import Verdict
from hallmark.specs.cell import Cell
from selftests.server.checking import Suite, checks_in, served
from selftests.server.running_checks import not_passed, red, run_checks

FILE = "test_structured_output.py"
CASES = {"enum", "const", "boolean", "null", "integer-range", "nested", "array", "array-of-objects", "any-of", "definitions"}
SCHEMAS = {f"schema.{case}" for case in CASES | {"pattern", "unicode"}}
GRAMMARS = {f"grammars.{case}" for case in ("choice", "regex", "grammar", "json")}
REFUSED = {f"keyword.{keyword}" for keyword in ("uniqueItems", "contains", "not", "if", "patternProperties", "allOf")}
"""What the stand-in does not generate by."""
TAKEN = {f"keyword.{keyword}" for keyword in ("multipleOf", "exclusiveMinimum", "minLength", "format", "prefixItems", "oneOf")}
FREE = {"schema.boolean", "schema.integer-range", "schema.pattern"}
"""Those whose schemas have no enumeration."""
FAULTS = {
    "schema-ignores": (
        SCHEMAS - FREE | {"keyword.prefixItems", "each-choice", "at-once", "grammars.json"},
        "enum: colour breaks the schema ('text' is not one of ['red', 'blue', 'green'])",
    ),
    "schema-ignores=pattern": (
        {"schema.pattern", "at-once", "keyword.minLength"},
        "pattern: code breaks the schema ('text' does not match",
    ),
    "schema-ignores=minItems": ({"schema.array", "at-once"}, "colours breaks the schema (['red'] is too short)"),
    "streams-unconstrained": (SCHEMAS | GRAMMARS, "enum, streamed: the whole breaks the schema"),
    "unknown-keywords-ignored": (REFUSED - {"keyword.patternProperties"}, "uniqueItems: value breaks the schema"),
    "garbles-constants": ({"schema.unicode", "only-instance", "at-once"}, "the only answer is"),
    "no-object": ({"json-object"}, "json_object: the whole breaks the schema ([1] is not of type 'object')"),
    "constrains-first-choice": ({"each-choice"}, "one of 4 choices: no JSON"),
    "cut-json-says-stop": ({"cut"}, "at max_tokens=1 it said '{' and ended by 'stop', not 'length'"),
    "cut-json-closes": ({"cut"}, "at max_tokens=1 it said '{]}', with which no valid answer begins"),
    "endless-json": (GRAMMARS | {"bounded"}, "anything: 68 tokens of 48 at most"),
    "breaks-on-schemas": (REFUSED | {"broken-schemas"}, "an unknown type: answered 500, not refused with a 4xx"),
    "lenient-schemas": (REFUSED | {"broken-schemas"}, "an unknown type: answered 200, not refused with a 4xx"),
    "lenient-formats": ({"broken-formats"}, "an unknown kind of format: answered 200, not refused with a 4xx"),
    "grammars-ignored": (GRAMMARS | {"grammars.broken"}, "does not obey"),
    "breaks-on-grammars": ({"grammars.broken"}, "a regular expression that is none: answered 500"),
    "structured-ignored": (
        SCHEMAS | GRAMMARS | TAKEN | {"only-instance", "json-object", "each-choice", "at-once", "cut"},
        "enum: the whole breaks the schema ('colour' is a required property)",
    ),
}


def test_a_server_that_obeys_passes_them_all(cell: Cell) -> None:
    assert not_passed(run_checks(FILE, cell)) == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(cell: Cell, fault: str) -> None:
    checks, reason = FAULTS[fault]
    found = red(run_checks(FILE, cell, fault))
    assert set(found) == {f"server.structured.{name}" for name in checks}
    assert reason in " ".join(found.values())


@pytest.mark.parametrize(
    ("fault", "check", "reason"),
    [
        ("constrains-few", "server.structured.at-once", "one of 32 at once"),
        ("grammar-leaks", "server.structured.neighbours", "beside answers with a schema"),
    ],
)
def test_what_shows_only_where_answers_overlap(cell: Cell, fault: str, check: str, reason: str) -> None:
    """Slow enough to be under way together, on a busy machine as well."""
    assert not_passed(run_checks(FILE, cell, only=(check,), ttft_ms=100)) == {}
    found = red(run_checks(FILE, cell, fault, only=(check,), ttft_ms=700))
    assert reason in found[check]


class SchemasAreRefused(WireClient):
    """Asks for a format that is none wherever a check asks for a schema: as a server answers that knows no schemas."""

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        if isinstance(body, dict) and "response_format" in body:
            body = body | {"response_format": {"type": "no-such-format"}}
        return super().post(path, body, **more)


def test_free_answers_beside_refused_schemas_show_nothing() -> None:
    with served() as url:
        suite = Suite(url)
        suite.add_fixtures({"client": SchemasAreRefused(url, "stand-in")})
        found, _ = suite.run(checks_in(FILE)["server.structured.neighbours"])
    assert (found.verdict, found.measured) == (Verdict.INCONCLUSIVE, True)
    assert "no answer with a schema was beside the free ones: POST /v1/chat/completions answers 400" in found.reason
