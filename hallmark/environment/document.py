"""The document `runtime_environment.json`: what was demanded, what is there, and what the server itself answered. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hallmark.core.records import to_plain
from hallmark.core.redact import masked
from hallmark.environment.collect import Facts
from hallmark.environment.devices import Presence
from hallmark.environment.findings import Finding, State
from hallmark.environment.installing import Attempt

ENVIRONMENT_FILE = "runtime_environment.json"
SCHEMA_VERSION = 1
SCHEMA_FILE = Path(__file__).with_name("runtime_environment.schema.json")


def runtime_environment(
    spec: Mapping[str, Any],
    facts: Facts,
    *,
    findings: Sequence[Finding],
    presence: Presence,
    served: Mapping[str, object],
    attempts: Sequence[Attempt] = (),
) -> dict[str, Any]:
    """The document as plain JSON data. `spec` is the cell's ModelSpec; `served` whatever was read back from the running server.

    `runtime_environment.schema.json`, beside this file, is its published form.
    """
    return {
        "tt_model_spec": masked(spec),
        "python_version": facts.python_version,
        "installed_packages": list(facts.installed_packages),
        "gpu_models": facts.gpu_models,
        "cuda_version": facts.cuda_version,
        "driver_version": facts.driver_version,
        "system_info": {"os": facts.os, "architecture": facts.architecture, "memory_total": facts.memory_total},
        "dependency_check_results": dependency_check_results(findings),
        "schema_version": SCHEMA_VERSION,
        "collected_by": facts.python_executable,
        **_machine(facts),
        "findings": [asdict(finding) for finding in findings],
        "device_presence": asdict(presence) | {"looked": list(presence.looked)},
        "served": dict(served),
        "installation": [asdict(attempt) for attempt in attempts],
    }


def dependency_check_results(findings: Sequence[Finding]) -> dict[str, Any]:
    """Three answers and three lists; every finding that is not satisfied stands in exactly one of the lists."""
    bad = [finding for finding in findings if not finding.satisfied]
    conflicts = [finding for finding in bad if finding.state is State.CONFLICTING and finding.kind != "env"]
    missing = [finding for finding in bad if finding.state is State.MISSING]
    return {
        "system_deps_satisfied": all(finding.kind != "system" for finding in bad),
        "python_deps_satisfied": all(finding.kind != "python" for finding in bad),
        "env_vars_set": all(finding.kind != "env" for finding in bad),
        "missing_deps": [_line(finding) for finding in missing],
        "version_conflicts": [_line(finding) for finding in conflicts],
        "warnings": [_line(finding) for finding in bad if finding not in conflicts and finding not in missing],
    }


def _line(finding: Finding) -> str:
    return f"{finding.id} {finding.required}".strip() + f": {finding.reason}"


def _machine(facts: Facts) -> dict[str, Any]:
    return {
        "accelerators": [asdict(accelerator) for accelerator in facts.accelerators],
        "cpu": {"model": facts.cpu_model, "cores": facts.cpu_cores, "flags": list(facts.cpu_flags)},
        "memory_limit": facts.memory_limit,
        "versions": dict(facts.versions),
        "builds": [to_plain(build) for build in facts.builds],
        "gcc_version": facts.gcc_version,
        "kernel": facts.kernel,
        "glibc": facts.glibc,
        "environment": dict(facts.environment),
        "looked": {vendor: list(lines) for vendor, lines in facts.looked.items()},
        "unknown": dict(facts.reasons)
        | ({} if facts.accelerators else {"gpu_models": "no accelerator was found where `looked` says"}),
    }
