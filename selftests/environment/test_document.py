"""runtime_environment.json: the keys that others read, exactly, and nothing unmet left out."""

from __future__ import annotations

import json
from typing import Any

from hallmark.environment.devices import Presence
from hallmark.environment.document import runtime_environment
from hallmark.environment.requirements import check
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
    "engines",
    "gcc_version",
    "kernel",
    "glibc",
    "environment",
    "looked",
    "unknown",
    "findings",
    "device_presence",
    "served",
}


def document(*, env: dict[str, str] | None = None, **impl: Any) -> dict[str, Any]:
    cell, facts = fakes.cell(**impl), fakes.facts()
    findings = check(cell, facts, {"OMP_NUM_THREADS": "8"} if env is None else env)
    written = runtime_environment(cell, facts, findings=findings, presence=PRESENCE, served={"version": "0.32.0"})
    read: dict[str, Any] = json.loads(json.dumps(written))
    assert read == written, "the document must be plain JSON data"
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
    assert spec["architecture"] == {"layers": 3}
    assert spec["impl"]["status"] == "complete"


def test_a_secret_in_a_spec_is_not_embedded() -> None:
    written = document(env_vars={"HF_TOKEN": "hf_in_the_spec"})
    assert written["tt_model_spec"]["env_vars"]["HF_TOKEN"] == "[redacted]"
    assert "hf_in_the_spec" not in json.dumps(written)


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
