"""Families and devices from code: as good as files, refused at once where they are not, and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hallmark import register_device, register_family, unregister_device, unregister_family
from hallmark.core.errors import SpecError, UsageError
from hallmark.specs.catalogue import load_catalogue
from hallmark.specs.model_registry import ModelConfigRegistry, get_model_registry
from hallmark.specs.registered import REGISTERED
from selftests.specs.sheets import FAMILY, family_file, spec_folder

MINE = {"title": "Mine", "vendor": "me", "detect": {"how": "cpu"}}
CONFIG = {"model_type": "tiny", "hidden_size": 9}


@pytest.fixture(autouse=True)
def nothing_registered() -> Iterator[None]:
    REGISTERED.clear()
    yield
    REGISTERED.clear()


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """A folder that holds the family `small`."""
    return spec_folder(tmp_path / "specs")


def data(**changes: Any) -> dict[str, Any]:
    text = FAMILY.replace("Small", "Coded").replace("hidden_size: 8", "hidden_size: 9")
    found: dict[str, Any] = yaml.safe_load(text) | {"family": "coded"} | changes
    return found


def heir(**changes: Any) -> dict[str, Any]:
    """What extends `small` and changes what it is told to."""
    own = {name: value for name, value in data().items() if name in ("schema_version", "family", "weights", "evals")}
    return own | {"extends": "small"} | changes


def test_a_family_in_code_is_as_good_as_a_file(tmp_path: Path, specs: Path) -> None:
    register_device("mine", MINE, spec_dirs=[specs])
    impls = [{"name": "plain", "devices": {"mine": {"max_context": 9}}}]
    register_family(heir(impls=impls), folder=tmp_path / "code", spec_dirs=[specs])
    catalogue = load_catalogue([specs])
    ids = {cell.id for cell in catalogue.cells if cell.family == "coded"}
    assert "id_plain_Coded-1B_mine" in ids
    assert "id_other_Coded-1B_cpu" in ids, "it inherits from a file"
    (cell,) = (c for c in catalogue.cells if c.id == "id_plain_Coded-1B-Instruct_mine")
    assert cell.weights_source == str((tmp_path / "weights").resolve())


def test_code_may_state_sizes_as_numbers(tmp_path: Path, specs: Path) -> None:
    entry = {"max_context": 9, "device_configs": {4: {"env_vars": {"A": "1"}}}}
    register_family(
        data(impls=[{"name": "i", "status": "complete", "devices": {"cpu": entry}}]), folder=tmp_path / "code", spec_dirs=[specs]
    )
    (cell, *_) = (c for c in load_catalogue([specs]).cells if c.family == "coded")
    assert cell.entry.device_configs[4].env_vars == {"A": "1"}


def circular() -> dict[str, Any]:
    made = data()
    made["metadata"] = made
    return made


BAD = {
    "an unknown key": (data(familly=3), "unknown key 'familly'"),
    "no weights": (data(weights=[]), "weights"),
    "an unknown device": (
        data(impls=[{"name": "i", "status": "complete", "devices": {"gone": {"max_context": 1}}}]),
        "unknown device 'gone'",
    ),
    "an unknown base": (heir(extends="nobody"), "unknown family 'nobody'"),
    "a newer version": (data(schema_version=99), "schema_version"),
    "a name of a file's family": (data(family="small"), "family 'small' exists already"),
    "cells of a file's": (data(weights=[{"name": "Small-1B", "repo": "a/b"}], evals={}), "id_plain_Small-1B_cpu' exists already"),
    "the architecture of another": (
        data(architecture={"model_type": "tiny", "hidden_size": 8}),
        "a config can match coded and small equally well",
    ),
    "no mapping": ([1, 2], "a list is no data of a spec"),
    "nothing": (None, "a NoneType is no data of a spec"),
    "a circle": (circular(), "cannot be read as data"),
    "a date": (data(metadata={"when": yaml.safe_load("2026-01-01")}), "metadata.when"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_family_is_refused_at_once_and_by_its_line(tmp_path: Path, specs: Path, case: str) -> None:
    bad, message = BAD[case]
    registry = get_model_registry([specs])
    with pytest.raises(SpecError, match=message) as caught:
        register_family(bad, folder=tmp_path / "code", spec_dirs=[specs])
    assert caught.value.where.startswith(f"{__file__}:")
    assert len(str(caught.value).splitlines()) == 1
    assert registry.list_models() == ["someone/Small-1B"], "nothing was registered"
    register_family(data(), folder=tmp_path / "code", spec_dirs=[specs])
    assert "someone/Coded-1B" in registry.list_models(), "and its name is free"


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("mine", {**MINE, "detect": {"how": "magic"}}, "magic"),
        ("perf", MINE, "something else after -m"),
        ("t3k", MINE, "device 't3k' exists already with other values"),
        ("mine", "a text", "mine"),
    ],
)
def test_a_bad_device_is_refused_at_once(specs: Path, name: str, bad: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        register_device(name, bad, spec_dirs=[specs])
    assert caught.value.where.startswith(f"{__file__}:")
    assert not REGISTERED.devices


def test_a_fault_of_a_file_is_not_the_codes(tmp_path: Path, specs: Path) -> None:
    """What was wrong before is told when it is loaded; it keeps nobody from registering."""
    family_file(specs, "schema_version: 2\n", "broken.yaml")
    register_family(data(), folder=tmp_path / "code", spec_dirs=[specs])
    with pytest.raises(SpecError, match=r"broken\.yaml"):
        load_catalogue([specs])


def test_a_name_is_registered_once_and_free_again(tmp_path: Path, specs: Path) -> None:
    for _ in range(2):
        register_family(data(), folder=tmp_path / "code", spec_dirs=[specs])
        register_device("mine", MINE, spec_dirs=[specs])
        with pytest.raises(SpecError, match="registered already"):
            register_family(data(), folder=tmp_path / "code", spec_dirs=[specs])
        with pytest.raises(SpecError, match="registered already"):
            register_device("mine", MINE, spec_dirs=[specs])
        unregister_family("coded", spec_dirs=[specs])
        unregister_device("mine", spec_dirs=[specs])


def test_what_was_not_registered_cannot_be_taken_back() -> None:
    with pytest.raises(UsageError, match="no family 'small' was registered by code - none is registered"):
        unregister_family("small")
    with pytest.raises(UsageError, match="no device 'cpu' was registered by code"):
        unregister_device("cpu")


def test_what_another_rests_on_stays(tmp_path: Path, specs: Path) -> None:
    register_device("mine", MINE, spec_dirs=[specs])
    impls = [{"name": "plain", "devices": {"mine": {"max_context": 9}}}]
    register_family(heir(impls=impls), folder=tmp_path / "code", spec_dirs=[specs])
    with pytest.raises(UsageError, match=r"the device 'mine' is still needed: .*unknown device 'mine'"):
        unregister_device("mine", spec_dirs=[specs])
    assert "mine" in load_catalogue([specs]).devices
    unregister_family("coded", spec_dirs=[specs])
    unregister_device("mine", spec_dirs=[specs])
    assert "mine" not in load_catalogue([specs]).devices


def test_a_registry_at_hand_sees_what_comes_and_goes(tmp_path: Path, specs: Path) -> None:
    registry = get_model_registry([specs])
    assert registry.find_matching_model(CONFIG) is None
    register_family(data(), folder=tmp_path / "code", spec_dirs=[specs])
    assert registry.find_matching_model(CONFIG) == "someone/Coded-1B"
    assert registry.get_configurator("someone/Coded-1B", device="cpu", impl="plain").cell.family == "coded"
    unregister_family("coded", spec_dirs=[specs])
    assert registry.find_matching_model(CONFIG) is None
    with pytest.raises(UsageError, match="unknown model 'coded'"):
        registry.get_model_config("coded")
    assert registry is get_model_registry([specs])


def test_what_the_caller_changes_later_is_not_what_was_registered(tmp_path: Path, specs: Path) -> None:
    mine = data()
    register_family(mine, folder=tmp_path / "code", spec_dirs=[specs])
    mine["weights"].clear()
    assert "someone/Coded-1B" in get_model_registry([specs]).list_models()


def test_a_second_family_of_one_repository_has_its_familys_name(tmp_path: Path, specs: Path) -> None:
    """A registry is not spoilt by it."""
    again = heir(weights=[{"name": "Again", "repo": "someone/Small-1B"}], evals={})
    register_family(again, folder=tmp_path / "code", spec_dirs=[specs])
    assert ModelConfigRegistry(load_catalogue([specs])).list_models() == ["coded", "someone/Small-1B"]
