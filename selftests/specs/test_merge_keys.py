"""`<<: *name` in a spec: what it brings in counts as written out, keeps its line, and hides no mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hallmark.core.errors import SpecError
from hallmark.specs.catalogue import load_catalogue
from hallmark.specs.yaml_source import MOST_NODES, parse
from selftests.specs.sheets import FAMILY, line_of, spec_folder, spoilt

FILE = Path("any.yaml")
CPU = FAMILY[FAMILY.index("      cpu:\n") : FAMILY.index("      t3k:")]
OWN = "      t3k:\n        missing: [perf_targets]\n        max_context: 512\n"
MERGED = FAMILY.replace("      cpu:\n", "      cpu: &cpu\n", 1)


def data(text: str) -> Any:
    return parse(text, FILE).data


def test_a_device_takes_over_another(tmp_path: Path) -> None:
    """As if it had been written twice, but for what it states itself."""
    written_out = FAMILY.replace(OWN, CPU.replace("cpu:", "t3k:").replace("512", "256"))
    merged = MERGED.replace(OWN, "      t3k: { <<: *cpu, max_context: 256 }\n")
    merging, plain = (load_catalogue([spec_folder(tmp_path, text)]).families[0].spec for text in (merged, written_out))
    assert merging == plain
    assert merging.impls[0].devices["t3k"].perf


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{ a: &a { x: 1, y: 2 }, b: { <<: *a, y: 3 } }", {"x": 1, "y": 3}),
        ("{ a: &a { x: 1, y: 2 }, b: { y: 3, <<: *a } }", {"x": 1, "y": 3}),
        ("{ a: &a { x: 1 }, c: &c { x: 2, y: 2 }, b: { <<: [*a, *c] } }", {"x": 1, "y": 2}),
        ("{ a: &a { x: 1 }, c: &c { <<: *a, y: 2 }, b: { <<: *c } }", {"x": 1, "y": 2}),
        ("{ a: 1, b: { <<: { x: 1 } } }", {"x": 1}),
        ("{ a: 1, b: { <<: [] } }", {}),
        ("{ a: 1, b: { '<<': 1 } }", {"<<": 1}),
    ],
)
def test_what_a_merge_comes_to(text: str, wanted: Any) -> None:
    assert data(text)["b"] == wanted


def test_a_value_that_was_merged_stands_where_it_was_written() -> None:
    source = parse("a: &a\n  x: 1\n  y: { z: 2 }\nb:\n  <<: *a\n  w: 3\n", FILE)
    assert {place[-1]: line for place, (_, line) in source.lines.items() if place[:1] == ("b",)} == {
        "b": 4,
        "x": 2,
        "y": 3,
        "z": 3,
        "w": 6,
    }


# What is wrong -> (the text, what the error says). `# HERE` marks the guilty line.
BAD = {
    "a key twice beside a merge": ("{ a: &a { x: 1 },\n b: { <<: *a, y: 1,\n y: 2 } } # HERE", "duplicate key 'y'"),
    "a key twice in what is merged": ("{ a: 1, b: { <<: { x: 1,\n x: 2 } } } # HERE", "duplicate key 'x'"),
    "two merges": ("{ a: &a { x: 1 },\n b: { <<: *a,\n <<: *a } } # HERE", "duplicate key '<<'"),
    "a merge of a text": ("a: 1\nb: { <<: x } # HERE", "'<<' must name a mapping"),
    "a merge of a list of texts": ("a: 1\nb: { <<: [x] } # HERE", "'<<' must name a mapping"),
    "a merge of nothing": ("a: 1\nb: { <<: } # HERE", "'<<' must name a mapping"),
    "a merge of itself": ("a: 1\nb: &b { <<: *b } # HERE", "merges a mapping into itself"),
    "a merge of what is around it": ("a: &a\n  b: { x: { <<: *a } } # HERE", "aliases expand to too much"),
    "a merge of no anchor": ("a: 1\nb: { <<: *c } # HERE", "undefined alias"),
    "a key that is a list": ("a: &a { [x]: 1 } # HERE\nb: { <<: *a }", "a key must be text"),
    "merges within merges": ("a: " + "{ <<: " * 200 + "{}" + " }" * 200 + " # HERE", "aliases expand to too much"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_merge_is_one_line(name: str) -> None:
    text, message = BAD[name]
    with pytest.raises(SpecError) as caught:
        parse(text, FILE)
    assert message in caught.value.message
    lines = {f"any.yaml:{line_of(text)}", "any.yaml:1"} if "around" in name else {f"any.yaml:{line_of(text)}"}
    assert caught.value.where in lines
    assert caught.value.hint


def test_merges_do_not_multiply() -> None:
    """A short text that would merge more keys than a file may have ends at once."""
    keys = ", ".join(f"k{number}: 1" for number in range(2_000))
    many = ", ".join(["*a"] * (MOST_NODES // 2_000 + 1))
    with pytest.raises(SpecError, match="aliases expand to too much"):
        parse(f"a: &a {{ {keys} }}\nb: {{ <<: [{many}] }}\n", FILE)


def test_an_error_in_what_was_merged_names_its_line(tmp_path: Path) -> None:
    text = MERGED.replace(OWN, "      t3k: { <<: *cpu, max_context: 256 }\n").replace("isl: 64", "isl: -64 # HERE")
    with pytest.raises(SpecError) as caught:
        load_catalogue([spec_folder(tmp_path, text)])
    assert caught.value.where == f"{tmp_path / 'small.yaml'}:{line_of(text)}"
    assert spoilt("isl: 64", "isl: 64") == FAMILY, "the clean twin is what the others here load"
