"""The cell's demands hold on this machine and in the server's environment."""

from __future__ import annotations

import pytest

from hallmark.core.errors import CheckFailed, Inconclusive
from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict

pytestmark = pytest.mark.spec


@pytest.mark.check(
    "spec.device",
    title="{cell.device_spec.title} is present",
    source="the spec: devices",
    fault="a machine without the device",
)
def test_device_is_present(testbed, check):
    """The device of the cell is in this machine; where it is not, whatever needs it is void."""
    if not testbed.seen_here:
        raise Inconclusive("an attached server's device cannot be seen from here")
    testbed.require_device()
    check.observe("device", testbed.presence.found, detail={"looked": list(testbed.presence.looked)})


@pytest.mark.check(
    "spec.environment",
    title="The server's own interpreter tells what it has",
    source="the report: runtime_environment.json",
    fault="an interpreter that tells nothing",
)
def test_environment_is_known(testbed, check):
    """The server's own interpreter tells what it has; without that, runtime_environment.json would be hearsay."""
    facts = testbed.facts
    testbed.write_environment()
    if why := facts.reasons.get("installed_packages"):
        raise Inconclusive(why)
    check.observe("python", facts.python_version, detail={"interpreter": facts.python_executable})
    check.observe("packages", len(facts.installed_packages))
    assert facts.installed_packages, "the interpreter reports no package at all"


@pytest.mark.check(
    "spec.weights",
    title="The weights are where the spec says",
    source="the spec: weights",
    fault="a folder without weights",
)
def test_weights_are_where_the_spec_says(cell, check):
    """A local folder holds a config and weights; a repository is named with its owner."""
    if not cell.weights.path:
        if "/" not in cell.weights.repo:
            raise CheckFailed(f"'{cell.weights.repo}' is not <owner>/<name>")
        check.observe("repository", cell.weights.repo, detail={"revision": cell.weights.revision or "not pinned"})
        return
    folder = cell.beside_spec(cell.weights.path)
    tensors = sorted(folder.glob("*.safetensors"))
    assert (folder / "config.json").is_file(), f"no config.json in {folder}"
    assert tensors, f"no *.safetensors in {folder}"
    check.observe("weights", sum(t.stat().st_size for t in tensors), unit="bytes", n=len(tensors))


@pytest.mark.check(
    "spec.targets",
    title="The spec states accuracy and performance targets",
    source="the spec: evals, perf",
    fault="a spec without targets",
)
def test_spec_states_targets(cell, check):
    """Without a target in accuracy and one in performance there is nothing to certify against."""
    absent = [what for what, there in (("eval", cell.evals), ("perf", cell.perf)) if not there]
    if absent:
        raise Inconclusive(f"the spec states no {' and no '.join(absent)} target for {cell.model} on {cell.device}")
    check.observe("eval targets", len(cell.evals))
    check.observe("perf targets", sum(len(point.targets) for point in cell.perf))


@pytest.mark.check(
    "spec.{requirement}",
    title="{requirement.title}",
    source="the spec: system_deps, python_deps, env_vars, commits",
    fault="another version than the spec's",
)
def test_requirement_holds(requirement, finding_of, check):
    """One requirement, checked by the server's own interpreter. Unknown is never satisfied."""
    finding = finding_of(requirement.id)
    if finding.state == "unknown":
        raise Inconclusive(f"{requirement}: {finding.reason}")
    check.add(
        Evidence(
            name="found",
            value=finding.found or "absent",
            target=Target(relation="meets", limit=finding.required or "any version"),
            verdict=Verdict.PASS if finding.satisfied else Verdict.FAIL,
            reason="" if finding.satisfied else f"{requirement}: {finding.reason}",
            detail={"seen": finding.reason},
        )
    )
