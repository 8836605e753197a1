"""Older schemas are brought up to date with their lines; newer ones are refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.core.errors import SpecError
from hallmark.specs.loader import load_devices
from hallmark.specs.migrations import STEPS
from hallmark.specs.model import SCHEMA_VERSION
from selftests.specs.sheets import DEVICES, FAMILY, family_file, line_of, load_family

OLD = FAMILY.replace("schema_version: 2", "schema_version: 1")


def test_there_is_a_step_from_every_version() -> None:
    assert sorted(STEPS) == list(range(1, SCHEMA_VERSION))


def test_an_older_spec_means_what_it_meant(tmp_path: Path) -> None:
    assert load_family(family_file(tmp_path, OLD)) == load_family(family_file(tmp_path, FAMILY))
    assert load_devices(family_file(tmp_path, DEVICES.replace("version: 2", "version: 1"), "devices.yaml")).devices.keys() == {
        "cpu",
        "t3k",
    }


def test_facts_that_are_no_pattern_become_metadata(tmp_path: Path) -> None:
    text = OLD.replace("model_type: tiny, hidden_size: 8", "hidden_size: 8, layers: 3")
    family = load_family(family_file(tmp_path, text))
    assert family.architecture == {}
    assert family.metadata == {"hidden_size": 8, "layers": 3}


def test_an_error_in_what_was_moved_names_its_old_line(tmp_path: Path) -> None:
    text = OLD.replace("{ model_type: tiny, hidden_size: 8 }", "\n  hidden_size: 8\n  layers: [] # HERE")
    path = family_file(tmp_path, text)
    with pytest.raises(SpecError) as caught:
        load_family(path)
    assert caught.value.where == f"{path}:{line_of(text)}"


@pytest.mark.parametrize("version", ["0", "-1", "true", "'2'", "2.0", "[]", "null"])
def test_a_version_that_is_none_is_one_line(tmp_path: Path, version: str) -> None:
    path = family_file(tmp_path, FAMILY.replace("schema_version: 2", f"schema_version: {version} # HERE"))
    with pytest.raises(SpecError, match=f"whole number from 1 to {SCHEMA_VERSION}") as caught:
        load_family(path)
    assert caught.value.where == f"{path}:2"
    assert caught.value.hint == f"write schema_version: {SCHEMA_VERSION}"


def test_a_missing_version_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="'schema_version' is missing"):
        load_family(family_file(tmp_path, FAMILY.replace("schema_version: 2\n", "")))
