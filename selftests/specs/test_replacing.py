"""A spec of one's own in the place of another: by an explicit word, told wherever it shows, and never by accident."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.errors import SpecError
from hallmark.specs.catalogue import Catalogue, load_catalogue
from hallmark.specs.model_registry import ModelConfigRegistry
from hallmark.specs.model_spec import ModelSpec
from hallmark.workflows.spec_lint import lint
from selftests.specs.sheets import DEVICES, FAMILY, family_file, line_of, spec_folder

CELL = "id_plain_Small-1B_cpu"
ALL = {
    f"id_{impl}_{model}_{device}"
    for model in ("Small-1B", "Small-1B-Instruct")
    for impl, device in (("plain", "cpu"), ("plain", "t3k"), ("other", "cpu"))
}
# One cell of the shipped family, in other words.
OWN = """\
schema_version: 2
family: mine
architecture: { model_type: tiny, hidden_size: 8 }
weights: [{ name: Small-1B, repo: someone/Small-1B }]
impls:
  - name: plain
    status: complete
    devices:
      cpu: { max_context: 99, default: true }
"""


class Folders:
    """The folder of the shipped family, and one beside it."""

    def __init__(self, root: Path) -> None:
        self.shipped, self.own = spec_folder(root / "shipped"), root / "own"
        self.own.mkdir()
        (root / "weights").mkdir()

    def put(self, text: str, name: str = "own.yaml") -> Path:
        return family_file(self.own, text, name)

    def document(self, data: dict[str, Any], name: str = "model_specification_own.json") -> Path:
        return family_file(self.own, json.dumps(data, indent=0), name)

    def load(self) -> Catalogue:
        return load_catalogue([self.shipped, self.own])

    def refused(self, *told: str, where: str) -> None:
        """Loading ends in one line, exit code 2, that says all of `told`."""
        with pytest.raises(SpecError) as caught:
            self.load()
        assert caught.value.where == where
        assert caught.value.exit_code == 2
        assert len(str(caught.value).splitlines()) == 1
        assert [text for text in told if text not in str(caught.value)] == [], str(caught.value)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def context(catalogue: Catalogue) -> dict[str, int]:
    return {cell.id: cell.entry.max_context for cell in catalogue.cells}


def test_the_clean_twin_stands_beside_the_others(folders: Folders) -> None:
    folders.put(OWN.replace("name: plain", "name: mine"))
    catalogue = folders.load()
    assert set(context(catalogue)) == {*ALL, "id_mine_Small-1B_cpu"}
    assert not any(cell.notes for cell in catalogue.cells)


# -- a family ----------------------------------------------------------------------------------------------------------


def test_two_families_of_one_name_are_refused_with_the_word_that_would_help(folders: Folders) -> None:
    path = folders.put(OWN.replace("family: mine", "family: small"))
    where = f"{folders.shipped / 'small.yaml'}:{line_of(FAMILY, 'family: small')}"
    folders.refused("family 'small' exists already", f"the other is {where}", "`replaces: small`", where=f"{path}:2")


def test_a_family_stands_in_the_place_of_another(folders: Folders) -> None:
    path = folders.put(OWN.replace("family: mine", "family: small\nreplaces: small"))
    catalogue = folders.load()
    assert context(catalogue) == {CELL: 99}
    assert [family.path for family in catalogue.families] == [path]
    (cell,) = catalogue.cells
    assert cell.notes == (f"{path} stands in the place of the family small of {folders.shipped / 'small.yaml'}",)


def test_it_may_extend_the_one_that_it_replaces_and_others_keep_that_one(folders: Folders) -> None:
    heir = "schema_version: 2\nfamily: heir\nextends: small\nweights: [{ name: Heir, repo: a/Heir }]\n"
    family_file(folders.shipped, heir, "heir.yaml")
    folders.put(
        "schema_version: 2\nfamily: small\nreplaces: small\nextends: small\n"
        "weights: [{ name: Small-1B, repo: someone/Small-1B }]\n"
        "impls: [{ name: plain, devices: { cpu: { max_context: 99 } } }]\n"
    )
    beside = "schema_version: 2\nfamily: beside\nextends: small\nweights: [{ name: Beside, repo: a/Beside }]\n"
    folders.put(beside, "a-beside.yaml")
    found = context(folders.load())
    assert found[CELL] == 99
    assert found["id_other_Small-1B_cpu"] == 256, "inherited"
    assert "id_plain_Small-1B-Instruct_cpu" not in found, "weights are not"
    assert found["id_plain_Heir_cpu"] == 512, "a shipped heir keeps what it was written for"
    assert found["id_plain_Beside_cpu"] == 99, "what stands beside it means it"


def test_the_last_of_three_folders_wins(folders: Folders, tmp_path: Path) -> None:
    own = OWN.replace("family: mine", "family: small\nreplaces: small")
    folders.put(own)
    third = tmp_path / "third"
    third.mkdir()
    path = family_file(third, own.replace("max_context: 99", "max_context: 33"))
    catalogue = load_catalogue([folders.shipped, folders.own, third])
    assert context(catalogue) == {CELL: 33}
    assert catalogue.cells[0].notes == (f"{path} stands in the place of the family small of {folders.own / 'own.yaml'}",)


# -- a cell ------------------------------------------------------------------------------------------------------------


def test_two_cells_of_one_id_are_refused_with_the_word_that_would_help(folders: Folders) -> None:
    path = folders.put(OWN)
    told = (f"cell id '{CELL}' exists already", f"the other is {folders.shipped / 'small.yaml'}", f"`replaces: {CELL}`")
    folders.refused(*told, where=f"{path}:2")


@pytest.mark.parametrize("word", [CELL, f"[{CELL}]"])
def test_a_cell_stands_in_the_place_of_another(folders: Folders, word: str) -> None:
    path = folders.put(OWN.replace("family: mine", f"family: mine\nreplaces: {word}"))
    catalogue = folders.load()
    assert set(context(catalogue)) == ALL, "the others of its family stay"
    assert context(catalogue)[CELL] == 99
    notes = {cell.id: cell.notes for cell in catalogue.cells if cell.notes}
    assert notes == {CELL: (f"{path} stands in the place of the cell {CELL} of {folders.shipped / 'small.yaml'}",)}


def test_the_model_of_a_replaced_cell_is_still_found_and_configured_by_the_new_one(folders: Folders) -> None:
    folders.put(OWN.replace("family: mine", f"family: mine\nreplaces: {CELL}"))
    registry = ModelConfigRegistry(folders.load())
    assert registry.find_matching_model({"model_type": "tiny", "hidden_size": 8}) == "someone/Small-1B", "and ties with none"
    assert registry.get_configurator("someone/Small-1B", device="cpu", impl="plain").cell.entry.max_context == 99
    assert not [remark for remark in lint([folders.shipped, folders.own])[1] if remark.rule == "patterns"]


def test_several_may_be_replaced(folders: Folders) -> None:
    more = OWN.replace("cpu: {", "t3k: { max_context: 98 }\n      cpu: {")
    folders.put(more.replace("family: mine", f"family: mine\nreplaces: [{CELL}, id_plain_Small-1B_t3k]"))
    found = context(folders.load())
    assert (found[CELL], found["id_plain_Small-1B_t3k"], len(found)) == (99, 98, 6)


# What `replaces` says -> what is said of it.
NOTHING: dict[str, str] = {
    "smal": "did you mean small?",
    "id_plain_Small-1B_cpuu": f"did you mean {CELL}",
    "id_plain_Small-1B-Instruct_cpu": "did you mean id_plain_Small-1B-Instruct_cpu",
    "small": "did you mean small?",
    "mine": "known",
}


@pytest.mark.parametrize("name", NOTHING)
def test_a_word_that_replaces_nothing_is_an_error(folders: Folders, name: str) -> None:
    """One that is misspelt, or that names what this file does not state itself: it would take something away."""
    text = OWN.replace("name: plain", "name: mine").replace("family: mine", f"family: mine\nreplaces: {name} # HERE")
    path = folders.put(text)
    folders.refused(f"replaces '{name}', and nothing of that name", where=f"{path}:{line_of(text)}")


def test_one_of_several_that_replaces_nothing_is_an_error(folders: Folders) -> None:
    text = OWN.replace("family: mine", f"family: mine\nreplaces:\n  - {CELL}\n  - id_plain_Small-1B_t3k # HERE")
    path = folders.put(text)
    folders.refused("replaces 'id_plain_Small-1B_t3k'", "did you mean", where=f"{path}:{line_of(text)}")


@pytest.mark.parametrize("value", ["3", "[3]", "{ a: b }", "''", "['']"])
def test_a_word_that_is_no_name_is_an_error(folders: Folders, value: str) -> None:
    text = OWN.replace("family: mine", f"family: mine\nreplaces: {value} # HERE")
    path = folders.put(text)
    folders.refused("replaces", where=f"{path}:{line_of(text)}")


@pytest.mark.parametrize("word", ["", "\nreplaces: small"])
def test_within_a_folder_nothing_stands_in_anothers_place(folders: Folders, word: str) -> None:
    family_file(folders.shipped, OWN.replace("family: mine", f"family: small{word}"), "twin.yaml")
    folders.refused("'small' exists already", "rename one, or keep one of the two", where=f"{folders.shipped / 'twin.yaml'}:2")


def test_the_word_is_not_inherited(folders: Folders) -> None:
    folders.put(OWN.replace("family: mine", f"family: mine\nreplaces: {CELL}"))
    folders.put("schema_version: 2\nfamily: heir\nextends: mine\nweights: [{ name: Heir, repo: a/Heir }]\n", "z-heir.yaml")
    assert context(folders.load())["id_plain_Heir_cpu"] == 99


def test_lint_names_each_and_goes_on(folders: Folders) -> None:
    folders.put(OWN)
    catalogue, remarks = lint([folders.shipped, folders.own])
    (remark,) = [remark for remark in remarks if remark.rule == "load"]
    assert (remark.message, "`replaces: " in remark.hint) == (f"cell id '{CELL}' exists already", True)
    assert set(context(catalogue)) == ALL


# -- documents ---------------------------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {"model_id": CELL, "system_deps": {"gcc": ">=9"}, "env_vars": {"B": "2"}}
NEW = {"model_id": "id_mine_Other-7B_t3k", "hf_model_repo": "some/Other-7B", "device_model_spec": {"max_context": 64}}


def test_documents_are_found_and_read_as_they_are_beside_specs(folders: Folders) -> None:
    folders.put(OWN.replace("name: plain", "name: mine"))
    folders.document(NEW, "model_specification_a.json")
    folders.document({**NEW, "model_id": "id_mine_Other-7B_cpu"}, "model_specification_b.json")
    found = context(folders.load())
    assert set(found) == {*ALL, "id_mine_Small-1B_cpu", "id_mine_Other-7B_t3k", "id_mine_Other-7B_cpu"}
    assert found["id_mine_Other-7B_t3k"] == 64


def test_a_document_without_the_word_collides_like_any_spec(folders: Folders) -> None:
    path = folders.document(SMALL)
    told = (f"cell id '{CELL}' exists already", f"the other is {folders.shipped / 'small.yaml'}", f"`replaces: {CELL}`")
    folders.refused(*told, where=f"{path}:2")


def test_a_document_that_replaces_a_cell_takes_from_it_what_it_does_not_state(folders: Folders) -> None:
    path = folders.document({**SMALL, "replaces": CELL, "code_link": "https://x.org"})
    catalogue = folders.load()
    (cell,) = [cell for cell in catalogue.cells if cell.id == CELL]
    (shipped,) = [cell for cell in load_catalogue([folders.shipped]).cells if cell.id == CELL]
    assert (cell.impl.system_deps, cell.env_vars) == ({"gcc": ">=9"}, {"B": "2"})
    assert (cell.perf, cell.architecture) == (shipped.perf, shipped.architecture)
    assert cell.entry.engine_args == shipped.entry.engine_args
    assert cell.notes == (
        f"{path} stands in the place of the cell {CELL} of {folders.shipped / 'small.yaml'}",
        f"{path} also says what nothing is held to: code_link",
    )
    assert set(context(catalogue)) == ALL
    registry = ModelConfigRegistry(catalogue)
    assert registry.find_matching_model({"model_type": "tiny", "hidden_size": 8}) == "someone/Small-1B"
    remarks = lint([folders.shipped, folders.own])[1]
    assert [remark.where for remark in remarks if remark.rule == "left-behind"] == [str(path)]


def test_a_document_that_hallmark_wrote_is_the_cell_that_it_was(folders: Folders) -> None:
    (cell,) = [cell for cell in load_catalogue([folders.shipped]).cells if cell.id == CELL]
    folders.document({**ModelSpec.of(cell).to_dict(), "replaces": CELL})
    (again,) = [cell for cell in folders.load().cells if cell.id == CELL]
    assert (again.weights, again.entry, again.evals, again.perf) == (cell.weights, cell.entry, cell.evals, cell.perf)
    assert again.in_place_of
    assert again.left == ()


def test_what_a_document_must_state_is_named(folders: Folders) -> None:
    path = folders.document({"model_id": "id_mine_Other-7B_t3k"})
    told = ("states no hf_model_repo and device_model_spec.max_context", "add hf_model_repo and device_model_spec.max_context")
    folders.refused(*told, where=f"{path}:2")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("system_deps", {"gcc": ">3,<2"}, "no version meets it"),
        ("system_deps", {"cudda": ""}, "did you mean cuda?"),
        ("sytem_deps", {}, "did you mean system_deps"),
        ("device_model_spec", 5, "not 5"),
        ("replaces", "id_plain_Small-1B_cpux", "replaces 'id_plain_Small-1B_cpux', and nothing of that name"),
        ("hf_model_repo", "-x", "weights.0.repo"),
        ("docker_image", "-v", "impls.0.image"),
        ("device_model_spec", {"max_context": 10, "vllm_args": {"--x": 1}}, "is no engine argument"),
    ],
)
def test_a_bad_document_names_its_line(folders: Folders, key: str, value: Any, told: str) -> None:
    path = folders.document({**NEW, key: value})
    text = path.read_text()
    with pytest.raises(SpecError) as caught:
        folders.load()
    assert told in str(caught.value)
    line = line_of(text, f'"{key}"') if key != "replaces" else 2
    deepest = {"system_deps": 1, "device_model_spec": 2 if isinstance(value, dict) else 0}.get(key, 0)
    assert caught.value.where in {f"{path}:{line + below}" for below in range(deepest + 2)}


def test_a_document_on_a_device_that_is_not_there(folders: Folders) -> None:
    path = folders.document({**NEW, "model_id": "id_mine_Other-7B_t3kk"})
    folders.refused("unknown device 't3kk'", "did you mean t3k?", where=f"{path}:2")


def test_other_documents_are_no_specs_and_lint_says_so(folders: Folders) -> None:
    folders.document(NEW, "runtime_environment.json")
    folders.document(NEW, ".model_specification_hidden.json")
    assert set(context(folders.load())) == ALL
    remarks = lint([folders.shipped, folders.own])[1]
    assert [Path(remark.where).name for remark in remarks if remark.rule == "stranger"] == [
        ".model_specification_hidden.json",
        "runtime_environment.json",
    ]


def test_the_devices_of_a_whole_document_are_the_catalogues(folders: Folders) -> None:
    (cell,) = [cell for cell in load_catalogue([folders.shipped]).cells if cell.id == CELL]
    folders.document({**ModelSpec.of(cell).to_dict(), "replaces": CELL})
    (folders.shipped / "devices.yaml").write_text(DEVICES.replace("title: CPU", "title: Another"))
    (again,) = [cell for cell in folders.load().cells if cell.id == CELL]
    assert again.device_spec.title == "Another"
    assert again.left == ("device_spec (the catalogue says otherwise of cpu)",)
