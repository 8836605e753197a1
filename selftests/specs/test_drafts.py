"""A cell that no run could accept is an error of `specs lint`, unless its spec says what is missing; and what it says is held.

Each gap is planted by taking away what a whole spec has, and shown to be gone where the spec is whole again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hallmark.specs.catalogue import load_catalogue
from hallmark.specs.dump import to_yaml
from hallmark.specs.foreign.convert import Completion, convert
from hallmark.specs.gaps import Gap
from hallmark.specs.model import Impl
from hallmark.specs.obstacles import Tasks, gaps_of, lacking, stating_gaps
from hallmark.workflows.spec_lint import lint
from hallmark.workflows.spec_remarks import Remark, Severity
from hallmark.workflows.spec_tasks import known_tasks
from selftests.specs.sheets import line_of, spec_folder, weights_folder

PRINTED = Path(__file__).parent / "printed"
SHIPPED = Path(__file__).resolve().parents[2] / "model_specs"
TASKS = frozenset({"sums"})
WHOLE = """\
schema_version: 2
family: whole
architecture: { model_type: tiny }
weights:
  - { name: Whole-1B, outside_folder: true, path: ../weights }
  - { name: Whole-1B-Instruct, outside_folder: true, path: ../weights }
evals:
  Whole-1B: &evals
    - { name: sums, task: sums, metrics: ["exact_match,none"], n: 1000, reference: 0.8, tolerance: 0.03, source: x }
  Whole-1B-Instruct: *evals
base_targets:
  cpu:
    - { isl: 64, osl: 32, concurrency: 2, requests: 8, targets: { tokens_per_s: 10 }, source: x }
impls:
  - name: plain
    status: complete
    engine: { version: "==1.0" }
    features: [completions, chat]
    devices:
      cpu:
        max_context: 512
"""
OWN_EVAL = """\
    - { name: own, task: own, task_dir: ../tasks, metrics: ["acc,none"], n: 999, reference: 0.8, tolerance: 0.03, source: x }
"""
BOTH = ("id_plain_Whole-1B_cpu", "id_plain_Whole-1B-Instruct_cpu")
ONE = ("id_plain_Whole-1B-Instruct_cpu",)


def changed(*pairs: tuple[str, str]) -> str:
    text = WHOLE
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


# What is planted -> (the text, its line marked HERE, what is missing, the cells, what the error says).
PLANTED: dict[str, tuple[str, Gap, tuple[str, ...], str]] = {
    "no engine version": (
        changed((' version: "==1.0" }', " } # HERE")),
        Gap.ENGINE_VERSION,
        BOTH,
        "server.version cannot pass, the spec pins neither a version nor a commit of the engine",
    ),
    "a commit of something else": (
        changed(('engine: { version: "==1.0" }', 'commits: { tt_metal: "1a2b3c4" }'), ("name: plain", "name: plain # HERE")),
        Gap.ENGINE_VERSION,
        BOTH,
        "server.version cannot pass, the spec pins neither a version nor a commit of the engine",
    ),
    "no engine": (
        changed(('    engine: { version: "==1.0" }\n', ""), ("name: plain", "name: plain # HERE")),
        Gap.ENGINE_VERSION,
        BOTH,
        "server.version cannot pass, the spec pins neither a version nor a commit of the engine",
    ),
    "no evals of one model": (
        changed(
            ("  Whole-1B-Instruct: *evals\n", ""),
            ("Instruct, outside_folder: true, path: ../weights }", "Instruct, outside_folder: true, path: ../weights } # HERE"),
        ),
        Gap.EVAL_TARGETS,
        ONE,
        "spec.targets cannot pass, the spec states no eval target",
    ),
    "a task that nobody has": (
        changed(("*evals", "\n" + OWN_EVAL.replace(", task_dir: ../tasks", "").rstrip() + " # HERE")),
        Gap.EVAL_TASKS,
        ONE,
        "evals.own cannot pass, the installed lm-eval has no task 'own'",
    ),
    "a task folder that is not there": (
        changed(("*evals", "\n" + OWN_EVAL.replace("../tasks", "../gone").rstrip() + " # HERE")),
        Gap.EVAL_TASKS,
        ONE,
        "evals.own cannot pass, the folder ../gone has no task 'own'",
    ),
    "a task folder without the task": (
        changed(("*evals", "\n" + OWN_EVAL.replace("task: own", "task: owm").rstrip() + " # HERE")),
        Gap.EVAL_TASKS,
        ONE,
        "evals.own cannot pass, the folder ../tasks has no task 'owm'",
    ),
    "no performance targets": (
        changed(
            (WHOLE[WHOLE.index("base_targets") : WHOLE.index("impls")], ""),
            ("      cpu:\n        max", "      cpu: # HERE\n        max"),
        ),
        Gap.PERF_TARGETS,
        BOTH,
        "spec.targets cannot pass, the spec states no performance target",
    ),
    "nothing is completed": (
        changed(("features: [completions, chat]", "features: [] # HERE")),
        Gap.COMPLETIONS_API,
        BOTH,
        "spec.targets cannot pass, performance is measured over completions",
    ),
}


def linted(folder: Path, text: str) -> list[Remark]:
    weights_folder(folder)
    (folder.parent / "tasks").mkdir(exist_ok=True)
    (folder.parent / "tasks" / "own.yaml").write_text("task: own\n")
    spec_folder(folder, text)
    return lint([folder], tasks=TASKS)[1]


def test_a_whole_spec_and_a_task_of_its_own_have_no_remark(tmp_path: Path) -> None:
    assert linted(tmp_path / "specs", WHOLE) == []
    assert linted(tmp_path / "specs", changed(("*evals", "\n" + OWN_EVAL))) == []
    for commit in ('engine: { commit: "1a2b3c4" }', 'commits: { vllm: "1a2b3c4" }'):
        assert linted(tmp_path / "specs", changed(('engine: { version: "==1.0" }', commit))) == []


@pytest.mark.parametrize("name", PLANTED)
def test_every_cell_that_no_run_could_accept_is_named(tmp_path: Path, name: str) -> None:
    text, gap, cells, message = PLANTED[name]
    found = [remark for remark in linted(tmp_path / "specs", text) if remark.rule == "unacceptable"]
    assert [remark.severity for remark in found] == [Severity.ERROR]
    assert f"no run can be accepted: {message}" in found[0].message
    assert tuple(cell.id for cell in found[0].cells) == cells
    assert found[0].where == f"{tmp_path / 'specs' / 'small.yaml'}:{line_of(text)}"
    assert found[0].hint.endswith(f"state `missing: [{gap}]`")


def stated(text: str, gap: Gap, *, at: str) -> str:
    """The text with the gap stated for the implementation, for its device or for the second weights."""
    places = {
        "implementation": ("    status: complete\n", f"    status: complete\n    missing: [{gap}] # STATED\n"),
        "device": ("        max_context: 512\n", f"        max_context: 512\n        missing: [{gap}] # STATED\n"),
        "weights": (
            "Instruct, outside_folder: true, path: ../weights }",
            f"Instruct, outside_folder: true, path: ../weights, missing: [{gap}] }} # STATED",
        ),
    }
    old, new = places[at]
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize("name", PLANTED)
def test_a_draft_that_says_what_is_missing_is_only_noted(tmp_path: Path, name: str) -> None:
    text, gap, cells, _ = PLANTED[name]
    text = stated(text, gap, at="implementation" if cells == BOTH else "weights")
    found = [remark for remark in linted(tmp_path / "specs", text) if remark.rule in ("draft", "unacceptable")]
    assert [(remark.rule, remark.severity) for remark in found] == [("draft", Severity.NOTE)]
    assert found[0].message.startswith("draft: ")


@pytest.mark.parametrize("at", ["implementation", "device", "weights"])
@pytest.mark.parametrize("gap", Gap)
def test_a_gap_that_is_none_is_an_error(tmp_path: Path, gap: Gap, at: str) -> None:
    text = stated(WHOLE, gap, at=at)
    (found,) = linted(tmp_path / "specs", text)
    assert (found.rule, found.severity) == ("draft", Severity.ERROR)
    assert found.message == f"{gap} is stated as missing, and is there"
    assert tuple(cell.id for cell in found.cells) == (ONE if at == "weights" else BOTH)
    assert found.where == f"{tmp_path / 'specs' / 'small.yaml'}:{line_of(text, '# STATED')}"


def test_a_gap_of_one_cell_stated_for_all_is_an_error_of_the_others(tmp_path: Path) -> None:
    text, gap, _, _ = PLANTED["no evals of one model"]
    (false,) = [r for r in linted(tmp_path / "specs", stated(text, gap, at="device")) if r.severity is Severity.ERROR]
    assert tuple(cell.id for cell in false.cells) == ("id_plain_Whole-1B_cpu",)


def test_without_lm_eval_nothing_is_said_of_its_tasks(tmp_path: Path) -> None:
    """Neither that a task is missing nor that it is there: a note."""
    text, gap, _, _ = PLANTED["a task that nobody has"]
    linted(tmp_path / "specs", text)
    assert lint([tmp_path / "specs"], tasks=None)[1] == []
    linted(tmp_path / "specs", stated(text, gap, at="weights"))
    (found,) = lint([tmp_path / "specs"], tasks=None)[1]
    assert (found.rule, found.severity) == ("draft", Severity.NOTE)


def test_what_can_be_seen_of_the_spec_alone_needs_no_statement(tmp_path: Path) -> None:
    """The header, `specs list` and the report say it of a spec that does not say it itself."""
    linted(tmp_path / "specs", PLANTED["no engine version"][0])
    cells = load_catalogue([tmp_path / "specs"]).cells
    assert [(cell.gaps, gaps_of(cell)) for cell in cells] == [((), (Gap.ENGINE_VERSION,))] * 2


@pytest.mark.parametrize("name", ["model_specification.json", "embedding.yaml", "generation.yaml", "new_model.yaml"])
def test_what_is_converted_says_what_it_lacks(tmp_path: Path, name: str) -> None:
    (converted,) = convert(PRINTED / name, load_catalogue([SHIPPED]), Completion())
    (tmp_path / "converted.yaml").write_text(to_yaml(converted.family))
    (tmp_path / "devices.yaml").write_text((SHIPPED / "devices.yaml").read_text())
    catalogue, found = lint([tmp_path])
    assert [remark for remark in found if remark.rule in ("draft", "unacceptable") and remark.severity is Severity.ERROR] == []
    assert all(cell.gaps for cell in catalogue.cells)


@pytest.mark.parametrize("gap", Gap)
def test_what_is_stated_of_a_whole_family_is_taken_out(tmp_path: Path, gap: Gap) -> None:
    """But for tasks, which are not looked for."""
    linted(tmp_path / "specs", stated(stated(WHOLE, gap, at="device"), gap, at="weights"))
    catalogue = load_catalogue([tmp_path / "specs"])
    (family,) = catalogue.families
    true = stating_gaps(family.spec, catalogue.cells)
    missing = [
        *(each.missing for each in true.weights),
        *(each.missing for impl in true.impls for each in (impl, *impl.devices.values())),
    ]
    assert [gaps for gaps in missing if gaps] == ([(gap,)] if gap is Gap.EVAL_TASKS else [])


@pytest.mark.e2e
def test_every_shipped_cell_can_be_accepted_or_says_what_is_missing() -> None:
    """In both directions, over the whole catalogue, with lm-eval's own tasks; what hallmark certifies here is no draft."""
    tasks = known_tasks()
    assert tasks is not None
    catalogue, found = lint([SHIPPED], tasks=tasks)
    assert [remark for remark in found if remark.severity is not Severity.NOTE] == []
    assert len(catalogue.cells) > 100
    assert {cell.model for cell in catalogue.cells if not cell.gaps} == {"hallmark-tiny", "hallmark-tiny-lora"}


def without_versions(impl: Impl) -> Impl:
    return impl.model_copy(update={"engine": impl.engine.model_copy(update={"version": ""})})


@pytest.mark.parametrize("spoil", [without_versions, lambda impl: impl.model_copy(update={"features": ()})])
def test_a_shipped_cell_that_loses_what_it_has_is_found(spoil: Callable[[Impl], Impl]) -> None:
    whole = [cell for cell in load_catalogue([SHIPPED]).cells if not cell.gaps]
    assert whole
    for cell in whole:
        assert list(lacking(cell, Tasks())) == []
        assert list(lacking(replace(cell, impl=spoil(cell.impl)), Tasks())) != []
