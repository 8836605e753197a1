"""The page of the keys: made from the models, whole, and no older than they are."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import pytest
from pydantic import BaseModel

from hallmark.cli import main
from hallmark.specs.documented import described, descriptions, member_docs
from hallmark.specs.key_reference import FIRST_MARK, LAST_MARK, key_reference, kind_of, with_keys
from hallmark.specs.schema import definitions
from hallmark.specs.strict import Strict

PAGE = Path(__file__).resolve().parents[2] / "model_specs" / "README.md"


def undescribed(models: Iterable[type[BaseModel]], enums: Iterable[type[StrEnum]]) -> list[str]:
    """Every key and every value without a word about it."""
    keys = [f"{model.__name__}.{name}" for model in models for name in model.model_fields if name not in descriptions(model)]
    return keys + [f"{enum.__name__}.{member.name}" for enum in enums for member in enum if member.name not in member_docs(enum)]


class Colour(StrEnum):
    RED = "red"
    """As blood."""
    BLUE = "blue"


class Paint(Strict):
    colour: Colour
    """Which one."""
    litres: int


@pytest.fixture(scope="module")
def tables() -> str:
    return key_reference()


def test_every_key_and_value_says_what_it_is() -> None:
    assert undescribed(*described()) == []
    assert undescribed([Paint], [Colour]) == ["Paint.litres", "Colour.BLUE"], "what says nothing is found"


def test_the_page_in_the_checkout_is_that_of_the_models(tables: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_keys(text) == text, "run: hallmark specs schema --write model_specs"
    assert tables in text


def test_every_key_of_the_schema_has_a_line_in_its_own_table(tables: str) -> None:
    by_name = {table.partition("\n")[0]: table for table in tables.split("### ")[1:]}
    definitions_ = definitions()
    assert set(by_name) == set(definitions_)
    for name, schema in definitions_.items():
        keys = schema["properties"] if "properties" in schema else schema["enum"]
        for key in keys:
            assert by_name[name].count(f"\n| `{key}` |") == 1, (name, key)


def test_a_link_leads_to_a_table(tables: str) -> None:
    linked = {link.partition(")")[0] for link in tables.split("](#")[1:]}
    assert linked <= {heading.partition("\n")[0].lower() for heading in tables.split("### ")[1:]}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "integer"}, "whole number"),
        ({"enum": ["a", ""], "type": "string"}, "`a` or nothing"),
        ({"const": 2}, "`2`"),
        ({"anyOf": [{"$ref": "#/$defs/Paint"}, {"type": "null"}]}, "[Paint](#paint)"),
        ({"type": "array", "items": {"type": "string"}}, "list of text"),
        ({"anyOf": [{"type": kind} for kind in ("string", "integer", "number", "boolean")]}, "value"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "text by name"),
        ({"type": "object", "patternProperties": {"^a": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}}, "values by name"),
    ],
)
def test_kinds_in_words(schema: dict[str, object], said: str) -> None:
    assert kind_of(schema) == said


def test_writing_changes_what_stands_between_the_marks_and_nothing_else(tmp_path: Path, tables: str) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"# Mine\n\n{FIRST_MARK}\nold\n{LAST_MARK}\n\nThe end.\n")
    assert main(["specs", "schema", "--write", str(tmp_path)]) == 0
    assert page.read_text() == f"# Mine\n\n{FIRST_MARK}\n\n{tables}\n{LAST_MARK}\n\nThe end.\n"
    page.write_text("# Without marks\n")
    assert main(["specs", "schema", "--write", str(tmp_path)]) == 0
    assert page.read_text() == "# Without marks\n"
    assert (tmp_path / "schema.json").is_file()
