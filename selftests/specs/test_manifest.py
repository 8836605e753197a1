"""The manifest demands every check of a cell, each once, and a feature that the spec does not declare takes its checks away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from hallmark.specs.catalogue import Catalogue, Selection, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.checks import declared_checks, demanded, undeclared_checks
from hallmark.specs.model import USUAL_FEATURES, Feature, Impl
from hallmark.specs.suites import DeclaredCheck
from selftests.specs.sheets import spec_folder, spoilt

SHIPPED = load_catalogue([Path(__file__).resolve().parents[2] / "model_specs"])
KINDS = ("spec", "server", "evals", "perf")
SERVER_CHECKS = [check for check in declared_checks() if check.kind == "server" and "lora" not in check.id]


def needs_of(checks: Iterable[DeclaredCheck]) -> dict[str, set[str]]:
    """Check -> what it needs; of those with a parameter, one for each of its values."""
    return {
        check.id.format(**{name: v}): {need.format(**{name: v}) for need in check.needs}
        for check in checks
        for name, values in check.values.items() or [("", ("",))]
        for v in values
    }


def ids_of(checks: Iterable[DeclaredCheck]) -> set[str]:
    return set(needs_of(checks))


def one(catalogue: Catalogue, model: str, device: str) -> Cell:
    (cell,) = catalogue.select(Selection(models=(model,), device=device, impl=""))
    return cell


@pytest.mark.parametrize("cell", SHIPPED.cells, ids=lambda cell: cell.id)
def test_each_shipped_cell_demands_all_that_its_spec_states(cell: Cell) -> None:
    entries = demanded(cell)
    checks = [entry.check for entry in entries]
    assert [check for check, times in Counter(checks).items() if times > 1] == []
    named = {check for check in cell.impl.checks if check.startswith("evals.")}
    assert {f"evals.{target.name}" for target in cell.evals} | named == {e.check for e in entries if e.kind == "evals"}
    assert {f"perf.{point.name}" for point in cell.perf} == {e.check for e in entries if e.kind == "perf"}
    assert {"spec.device", "spec.environment", "spec.weights", "spec.targets"} <= set(checks)
    assert {f"spec.env.{name}" for name in cell.env_vars} <= set(checks)
    assert {f"spec.system.{name}" for name in cell.impl.system_deps} <= set(checks)
    assert {f"spec.python.{name.lower()}" for name in (*cell.impl.python_deps, *cell.impl.python_excluded)} <= set(checks)
    assert {f"spec.commit.{name}" for name in cell.impl.commits} == {c for c in checks if c.startswith("spec.commit.")}
    wanted = ids_of(SERVER_CHECKS) - set(undeclared_checks(cell))
    adapters = {f"server.{check}.{adapter.name}" for adapter in cell.lora for check in ("lora", "lora-mixed")}
    assert {e.check for e in entries if e.kind == "server"} - adapters == wanted


@pytest.mark.parametrize("cell", SHIPPED.cells, ids=lambda cell: cell.id)
def test_entries_are_in_the_order_in_which_they_run(cell: Cell) -> None:
    kinds = [entry.kind for entry in demanded(cell)]
    assert kinds == sorted(kinds, key=KINDS.index)
    assert all(entry.check.startswith(f"{entry.kind}.") and entry.title for entry in demanded(cell))


@pytest.mark.parametrize(
    ("old", "new", "checks"),
    [
        ("{ model_type: tiny, hidden_size: 8 }", "{}", {"server.architecture"}),
        ("path: ../weights }", "path: ../weights, tokenizer: { chat_template: true } }", {"server.tokenizer"}),
    ],
)
def test_what_weights_are_held_to_is_what_the_spec_states_of_them(tmp_path: Path, old: str, new: str, checks: set[str]) -> None:
    """`specs lint` tells of weights without an architecture."""
    changed, whole = (
        {entry.check for entry in demanded(one(load_catalogue([folder]), "Small-1B-Instruct", "cpu"))}
        for folder in (spec_folder(tmp_path / "changed", spoilt(old, new)), spec_folder(tmp_path / "whole"))
    )
    assert changed ^ whole == checks


@pytest.mark.parametrize("feature", [feature for feature in USUAL_FEATURES if feature is not Feature.LORA])
def test_a_feature_that_is_not_declared_takes_its_checks_away_and_no_others(tmp_path: Path, feature: Feature) -> None:
    others = [f.value for f in USUAL_FEATURES if f is not feature]
    text = spoilt("status: complete", f"status: complete\n    features: {others}".replace("'", ""))
    folder = spec_folder(tmp_path, text)
    less = {entry.check for entry in demanded(one(load_catalogue([folder]), "Small-1B", "cpu"))}
    whole = {entry.check for entry in demanded(one(load_catalogue([spec_folder(tmp_path)]), "Small-1B", "cpu"))}
    assert whole - less == {check for check, needs in needs_of(SERVER_CHECKS).items() if feature.value in needs} & whole
    assert whole - less
    assert less < whole


def test_no_feature_at_all_still_demands_a_healthy_server_of_the_right_identity(tmp_path: Path) -> None:
    text = spoilt("status: complete", "status: complete\n    features: []")
    left = {entry.check for entry in demanded(one(load_catalogue([spec_folder(tmp_path, text)]), "Small-1B", "cpu"))}
    assert {"server.health", "server.version", "server.model"} <= left
    assert not any(check.startswith("server.bad-request.") for check in left), "nothing is asked of an endpoint that is not there"


def test_a_target_that_is_added_to_the_spec_is_demanded(tmp_path: Path) -> None:
    """A target without a check would be a promise that nobody holds."""
    text = spoilt("concurrency: 2", "concurrency: 1")
    before = demanded(one(load_catalogue([spec_folder(tmp_path)]), "Small-1B", "cpu"))
    after = demanded(one(load_catalogue([spec_folder(tmp_path, text.replace("tokens_per_s: 10, ", ""))]), "Small-1B", "cpu"))
    assert {e.check for e in after} ^ {e.check for e in before} == {"perf.isl64-osl32-c2", "perf.isl64-osl32-c1"}


def test_a_new_feature_binds_only_the_cells_that_declare_it() -> None:
    """What a spec does not say is written out, feature by feature; not `all there are`."""
    assert {feature.value for feature in USUAL_FEATURES} == {"completions", "chat", "logprobs", "structured_output", "lora"}
    assert Impl.model_fields["features"].default == USUAL_FEATURES


def test_what_binds_a_declared_feature_alone_is_not_asked_of_a_server_that_offers_it_besides(tmp_path: Path) -> None:
    """`declared:responses`: the reference to the letter is owed by who promises it."""
    strict = {check for check, needs in needs_of(SERVER_CHECKS).items() if "declared:responses" in needs}
    offered = {check for check, needs in needs_of(SERVER_CHECKS).items() if "responses" in needs} - strict
    promising = spoilt("status: complete", "status: complete\n    features: [chat, responses]")
    plain, whole = (
        one(load_catalogue([folder]), "Small-1B", "cpu")
        for folder in (spec_folder(tmp_path / "plain"), spec_folder(tmp_path / "whole", promising))
    )
    assert strict
    extended = {check for check, needs in needs_of(SERVER_CHECKS).items() if any(need.startswith("extension:") for need in needs)}
    assert strict | (offered - extended) <= {entry.check for entry in demanded(whole)}
    assert {check for check, asked in undeclared_checks(plain).items() if "responses" in asked} == offered


def test_a_check_that_the_spec_names_is_demanded(tmp_path: Path) -> None:
    text = spoilt("status: complete", "status: complete\n    checks: [own.restart, server.own]")
    entries = demanded(one(load_catalogue([spec_folder(tmp_path, text)]), "Small-1B", "cpu"))
    assert {entry.check: entry.kind for entry in entries if entry.check.endswith((".own", ".restart"))} == {
        "own.restart": "extra",
        "server.own": "server",
    }
    assert entries[-1].check == "own.restart"
