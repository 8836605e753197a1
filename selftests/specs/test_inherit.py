"""`extends`: what is taken over, what is changed, and that an error still names the file and line that it stands in."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.core.errors import SpecError
from hallmark.specs.catalogue import Catalogue, load_catalogue
from hallmark.specs.cell import Cell
from selftests.specs.sheets import FAMILY, family_file, line_of, spec_folder

CHILD = """\
schema_version: 2
family: child
extends: small
architecture: { quantization_config: { format: fp8 } }
weights:
  - { name: Child-1B, repo: someone/Child-1B }
impls:
  - name: plain
    env_vars: { B: "2" }
    devices:
      cpu: { max_context: 128, engine_args: { seed: 1 } }
      t3k: null
  - name: new
    status: functional
    devices:
      t3k: { max_context: 64 }
"""


def with_child(folder: Path, child: str = CHILD, base: str = FAMILY) -> Catalogue:
    family_file(spec_folder(folder, base), child, "child.yaml")
    return load_catalogue([folder])


def cell(catalogue: Catalogue, id_: str) -> Cell:
    return next(cell for cell in catalogue.cells if cell.id == id_)


def test_what_is_not_stated_is_taken_over(tmp_path: Path) -> None:
    found = cell(with_child(tmp_path), "id_plain_Child-1B_cpu")
    assert found.architecture == {"model_type": "tiny", "hidden_size": 8, "quantization_config": {"format": "fp8"}}
    assert found.impl.env_vars == {"A": "1", "B": "2"}
    assert found.impl.python_deps == {"vllm": "==1.0"}
    assert found.entry.engine_args == {"max_num_seqs": 8, "seed": 1}
    assert found.entry.max_context == 128
    assert found.entry.perf, "the points of the base"
    assert found.spec_file == (tmp_path / "child.yaml").resolve(), "its own paths are relative to its own file"


def test_weights_and_their_evals_are_never_inherited(tmp_path: Path) -> None:
    catalogue = with_child(tmp_path)
    children = [found for found in catalogue.cells if found.family == "child"]
    assert {found.model for found in children} == {"Child-1B"}
    assert all(found.evals == () for found in children)


def test_null_leaves_out_and_names_are_merged(tmp_path: Path) -> None:
    ids = {found.id for found in with_child(tmp_path).cells if found.family == "child"}
    assert ids == {"id_plain_Child-1B_cpu", "id_other_Child-1B_cpu", "id_new_Child-1B_t3k"}


def test_the_base_is_what_it_was(tmp_path: Path) -> None:
    alone = load_catalogue([spec_folder(tmp_path / "alone")])
    beside = with_child(tmp_path / "beside")
    for found in alone.cells:
        twin = cell(beside, found.id)
        assert (twin.impl, twin.entry, twin.architecture) == (found.impl, found.entry, found.architecture)


def test_a_grandchild_inherits_from_both(tmp_path: Path) -> None:
    with_child(tmp_path)
    grandchild = "schema_version: 2\nfamily: grandchild\nextends: child\nweights: [{ name: G, repo: s/G }]\n"
    family_file(tmp_path, grandchild, "a-grandchild.yaml")
    found = cell(load_catalogue([tmp_path]), "id_plain_G_cpu")
    assert found.impl.env_vars == {"A": "1", "B": "2"}
    assert found.entry.max_context == 128


def test_a_base_of_an_older_schema_is_migrated_first(tmp_path: Path) -> None:
    catalogue = with_child(tmp_path, base=FAMILY.replace("schema_version: 2", "schema_version: 1"))
    assert cell(catalogue, "id_plain_Child-1B_cpu").impl.env_vars == {"A": "1", "B": "2"}


# Name -> (the child, the base, what the error says, what its hint says); `# HERE` marks the guilty line of either.
BAD: dict[str, tuple[str, str, str, str]] = {
    "dangling": (CHILD.replace("extends: small", "extends: smal # HERE"), FAMILY, "unknown family 'smal'", "did you mean small?"),
    "of itself": (CHILD.replace("extends: small", "extends: child # HERE"), FAMILY, "circle: child -> child", "stand alone"),
    "in a circle": (
        CHILD.replace("extends: small", "extends: small # HERE"),
        FAMILY.replace("family: small", "family: small\nextends: child"),
        "circle: child -> small -> child",
        "stand alone",
    ),
    "of a number": (CHILD.replace("extends: small", "extends: 3 # HERE"), FAMILY, "'extends'", "correct"),
    "with a wrong value of its own": (
        CHILD.replace('B: "2"', "B: 2").replace("env_vars:", "env_vars: # HERE\n     "),
        FAMILY,
        "env_vars.B",
        "correct",
    ),
    "with an unknown key of its own": (
        CHILD.replace("max_context: 128", "max_contxt: 128 # HERE\n       "),
        FAMILY,
        "max_contxt",
        "max_context",
    ),
    "of a base that is wrong": (CHILD, FAMILY.replace("isl: 64", "isl: -64 # HERE"), "isl", "correct"),
    "of a base that becomes wrong": (
        CHILD.replace("      t3k: null\n", "").replace("devices:", "features: [chatt] # HERE\n    devices:", 1),
        FAMILY,
        "chatt",
        "did you mean chat?",
    ),
    "leaving out what is not there": (CHILD.replace("t3k: null", "t4k: null # HERE"), FAMILY, "t4k", "correct"),
    "leaving out what is needed": (
        CHILD.replace("  - name: new\n    status", "  - name: new # HERE\n    stat"),
        FAMILY,
        "stat",
        "status",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_heir_is_one_line(tmp_path: Path, name: str) -> None:
    child, base, message, hint = BAD[name]
    with pytest.raises(SpecError) as caught:
        with_child(tmp_path, child, base)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert len(str(caught.value).splitlines()) == 1
    file, text = ("child.yaml", child) if "# HERE" in child else ("small.yaml", base)
    line = line_of(text)
    assert caught.value.where in (f"{tmp_path / file}:{line}", f"{tmp_path / file}:{line + 1}")


def test_two_bases_of_one_name_are_an_error(tmp_path: Path) -> None:
    spec_folder(tmp_path)
    family_file(tmp_path, FAMILY.replace("Small", "Twin"), "twin.yaml")
    family_file(tmp_path, CHILD, "child.yaml")
    with pytest.raises(SpecError, match="2 families are named 'small'") as caught:
        load_catalogue([tmp_path])
    assert "small.yaml:3" in caught.value.hint
    assert "twin.yaml:3" in caught.value.hint
