"""Older schemas are brought up to date with their lines; newer ones are refused in words; code registers what files do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hallmark.core.errors import SpecError
from hallmark.specs.catalogue import load_catalogue
from hallmark.specs.loader import load_devices, load_family
from hallmark.specs.migrations import STEPS
from hallmark.specs.model import SCHEMA_VERSION
from hallmark.specs.registered import REGISTERED, register_device, register_family
from selftests.specs.sheets import DEVICES, FAMILY, family_file, line_of, spec_folder

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


@pytest.fixture
def nothing_registered() -> Iterator[None]:
    REGISTERED.clear()
    yield
    REGISTERED.clear()


def data(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FAMILY.replace("Small", "Coded")) | {"family": "coded"} | changes
    return found


@pytest.mark.usefixtures("nothing_registered")
def test_a_family_in_code_is_as_good_as_a_file(tmp_path: Path) -> None:
    register_device("mine", {"title": "Mine", "vendor": "me", "detect": {"how": "cpu"}})
    register_family(data(extends="small", impls=[{"name": "plain", "devices": {"mine": {"max_context": 9}}}]), folder=tmp_path)
    catalogue = load_catalogue([spec_folder(tmp_path)])
    ids = {cell.id for cell in catalogue.cells if cell.family == "coded"}
    assert "id_plain_Coded-1B_mine" in ids
    assert "id_other_Coded-1B_cpu" in ids, "it inherits from a file"
    (cell,) = (c for c in catalogue.cells if c.id == "id_plain_Coded-1B-Instruct_mine")
    assert cell.weights_source == str((tmp_path / "../weights").resolve())


@pytest.mark.usefixtures("nothing_registered")
def test_code_may_state_sizes_as_numbers(tmp_path: Path) -> None:
    entry = {"max_context": 9, "device_configs": {4: {"env_vars": {"A": "1"}}}}
    register_family(data(impls=[{"name": "i", "status": "complete", "devices": {"cpu": entry}}]), folder=tmp_path)
    (cell, *_) = (c for c in load_catalogue([spec_folder(tmp_path)]).cells if c.family == "coded")
    assert cell.entry.device_configs[4].env_vars == {"A": "1"}


@pytest.mark.usefixtures("nothing_registered")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"familly": 3}, "unknown key 'familly'"),
        ({"weights": []}, "weights"),
        ({"impls": [{"name": "i", "status": "complete", "devices": {"gone": {"max_context": 1}}}]}, "unknown device 'gone'"),
        ({"extends": "nobody"}, "unknown family 'nobody'"),
    ],
)
def test_an_error_names_the_call(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    register_family(data(**changes), folder=tmp_path)
    with pytest.raises(SpecError, match=message) as caught:
        load_catalogue([spec_folder(tmp_path)])
    assert caught.value.where.startswith(f"{__file__}:")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.usefixtures("nothing_registered")
def test_a_bad_device_in_code_is_told_at_once() -> None:
    with pytest.raises(SpecError, match="magic"):
        register_device("mine", {"title": "Mine", "vendor": "me", "detect": {"how": "magic"}})
    with pytest.raises(SpecError, match="something else after -m"):
        register_device("perf", {"title": "Mine", "vendor": "me", "detect": {"how": "cpu"}})


@pytest.mark.usefixtures("nothing_registered")
def test_a_name_is_registered_once(tmp_path: Path) -> None:
    register_family(data(), folder=tmp_path)
    with pytest.raises(SpecError, match="registered already"):
        register_family(data(), folder=tmp_path)
    register_device("mine", {"title": "Mine", "vendor": "me", "detect": {"how": "cpu"}})
    with pytest.raises(SpecError, match="registered already"):
        register_device("mine", {"title": "Mine", "vendor": "me", "detect": {"how": "cpu"}})
