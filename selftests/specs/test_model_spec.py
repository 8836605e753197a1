"""ModelSpec: what is written loads again, what it does not hold is named, and no document of any shape ends in a traceback."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hallmark
from hallmark.core.errors import SpecError
from hallmark.core.redact import masked
from hallmark.specs.catalogue import Catalogue, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.dump import to_yaml
from hallmark.specs.family import Family, expand
from hallmark.specs.foreign.convert import Completion, Converted, convert
from hallmark.specs.json_source import read
from hallmark.specs.model_spec import ModelSpec
from hallmark.specs.yaml_source import YamlSource
from selftests.specs.sheets import FAMILY, spec_folder
from selftests.specs.test_never_a_traceback import places

PRINTED = Path(__file__).parent / "printed"
SHIPPED = Path(__file__).resolve().parents[2] / "model_specs"


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    return load_catalogue([SHIPPED])


@pytest.fixture
def small(tmp_path: Path) -> Catalogue:
    """A catalogue of six cells."""
    return load_catalogue([spec_folder(tmp_path / "specs")])


def written(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_the_printed_document_is_read_and_written_as_it_is() -> None:
    path = PRINTED / "model_specification.json"
    spec = hallmark.ModelSpec.from_json(path)
    assert spec.model_id == "id_tt-transformers_Llama-3.1-70B-Instruct_t3k"
    assert spec.system_deps == {"cuda": ">=12.1", "driver": ">=535.0", "gcc": ">=9.0"}
    assert spec.python_deps == {"torch": ">=2.0.0", "transformers": ">=4.34.0", "vllm": ">=0.6.0"}
    assert spec.to_dict() == json.loads(path.read_text())
    assert ModelSpec.from_json(str(path)) == spec == ModelSpec.from_json(spec.to_dict())


def test_the_printed_runtime_environment_embeds_nothing() -> None:
    """As its documentation prints it: with a comment in the place of the spec."""
    with pytest.raises(SpecError, match="embeds an empty tt_model_spec") as caught:
        ModelSpec.from_json(PRINTED / "runtime_environment.json")
    assert caught.value.where.endswith("runtime_environment.json:2")


def test_only_what_is_exported_is_public() -> None:
    assert all(hasattr(hallmark, name) for name in hallmark.__all__)
    with pytest.raises(AttributeError, match="no attribute 'ModelSpecs'"):
        _ = hallmark.ModelSpecs


def same_but_for_places(cell: Cell) -> dict[str, Any]:
    """What makes a cell, without where its files are: a document that is kept elsewhere names them in full."""
    fields = {field.name: getattr(cell, field.name) for field in dataclasses.fields(cell) if field.name != "spec_file"}
    fields["impl"] = cell.impl.model_copy(update={"devices": {}})
    fields["weights"] = cell.weights.model_copy(
        update={"architecture": {}, "lora": (), "path": cell.weights.path and cell.weights_source}
    )
    fields["lora"] = [(adapter.name, adapter.path and cell.beside_spec(adapter.path), adapter.checks) for adapter in cell.lora]
    fields["evals"] = [
        target.model_copy(update={"task_dir": target.task_dir and str(cell.beside_spec(target.task_dir))})
        for target in cell.evals
    ]
    return fields


def test_every_shipped_cell_is_its_document_and_back(shipped: Catalogue) -> None:
    for cell in shipped.cells:
        document = ModelSpec.of(cell).to_dict()
        again = ModelSpec.from_json(json.loads(json.dumps(document)))
        assert again.to_dict() == document
        assert again.family_spec
        (back,) = expand(Family(again.family_spec, YamlSource(Path("/elsewhere/x.json"), {}, dict)), shipped.devices)
        assert same_but_for_places(back) == same_but_for_places(cell)


def converted_from(path: Path, catalogue: Catalogue, **completion: Any) -> Converted:
    (converted,) = convert(path, catalogue, Completion(**completion))
    return converted


def test_a_converted_document_of_a_cell_is_its_spec(small: Catalogue, tmp_path: Path) -> None:
    """Commits, engine arguments, targets and all: nothing is left behind."""
    for cell in small.cells:
        path = written(tmp_path / "runtime_environment.json", {"tt_model_spec": ModelSpec.of(cell).to_dict(), "gpu_models": "x"})
        converted = converted_from(path, small)
        assert converted.left == ()
        folder = spec_folder(tmp_path / "converted", to_yaml(converted.family, comment=converted.note))
        (back,) = load_catalogue([folder]).cells
        assert same_but_for_places(back) == same_but_for_places(cell)


def test_a_device_that_is_another_here_is_named(small: Catalogue, tmp_path: Path) -> None:
    path = written(tmp_path / "x.json", ModelSpec.of(small.cells[0]).to_dict())
    assert converted_from(path, load_catalogue([])).left == ("device_spec (the catalogue has none of cpu)",)


def test_a_masked_secret_is_named_and_not_carried_over(tmp_path: Path) -> None:
    text = FAMILY.replace('A: "1"', 'HF_TOKEN: "canary-881122"', 1)
    catalogue = load_catalogue([spec_folder(tmp_path / "specs", text)])
    path = written(tmp_path / "x.json", masked(ModelSpec.of(catalogue.cells[0]).to_dict()))
    converted = converted_from(path, catalogue)
    assert converted.left == ("impls.0.env_vars.HF_TOKEN (a secret: set it in the environment)",)
    assert converted.family.impls[0].env_vars == {}


SPECIFICATION: dict[str, Any] = {
    "model_id": "id_plain_Small-1B_cpu",
    "system_deps": {"gcc": ">=9"},
    "python_deps": {"vllm": "==1.0"},
    "env_vars": {"A": "1", "B": 2},
    "hf_model_repo": "someone/Small-1B",
    "docker_image": "some/image:1",
    "status": "ModelStatusTypes.COMPLETE",
    "tt_metal_commit": "1a2b3c4",
    "device_model_spec": {
        "max_context": 256,
        "vllm_args": {"max-num-seqs": 4, "override": {"a": [1, None]}},
        "env_vars": {"C": "3"},
        "max_concurrency": 4,
    },
    "impl": {"impl_id": "plain", "repo_url": "https://x.org"},
    "model_name": "Small-1B",
    "version": "1.2",
}


def test_what_is_stated_stands_over_the_cell_of_the_same_id(small: Catalogue, tmp_path: Path) -> None:
    """And what is not stated is that cell's, targets included: a document that states less demands no less."""
    converted = converted_from(written(tmp_path / "x.json", SPECIFICATION), small)
    impl = converted.family.impls[0]
    entry = impl.devices["cpu"]
    assert (impl.system_deps, impl.python_deps, impl.env_vars) == ({"gcc": ">=9"}, {"vllm": "==1.0"}, {"A": "1", "B": "2"})
    assert (impl.image, impl.commits, impl.status) == ("some/image:1", {"tt_metal": "1a2b3c4"}, "complete")
    assert (entry.max_context, entry.env_vars) == (256, {"C": "3"})
    assert entry.engine_args == {"max_num_seqs": 4, "override": '{"a": [1, null]}'}
    (base,) = [cell for cell in small.cells if cell.id == SPECIFICATION["model_id"]]
    assert entry.perf == base.entry.perf
    assert impl.tier_factors == base.impl.tier_factors
    assert converted.family.architecture == base.architecture
    assert converted.left == ("impl.repo_url", "version", "device_model_spec.max_concurrency")
    assert "is of the catalogue's id_plain_Small-1B_cpu" in converted.origin
    only_id = converted_from(written(tmp_path / "x.json", {"model_id": base.id}), small)
    assert (only_id.family.impls[0].env_vars, only_id.left) == (base.impl.env_vars, ())


@pytest.mark.parametrize(
    ("status", "taken", "left"),
    [
        ("ModelStatusTypes.TOP_PERF", "top_perf", ()),
        ("complete", "complete", ()),
        (
            "ModelStatusTypes.EXPERIMENTAL",
            "functional",
            ("status ModelStatusTypes.EXPERIMENTAL (there is none such: functional)",),
        ),
        ("DONE", "functional", ("status DONE (there is none such: functional)",)),
    ],
)
def test_a_status_that_there_is_not_is_named(tmp_path: Path, status: str, taken: str, left: tuple[str, ...]) -> None:
    path = written(tmp_path / "x.json", {"model_id": "id_mine_Some-7B_t3k", "status": status})
    converted = converted_from(path, load_catalogue([]), repo="some/Some-7B", max_context=64)
    assert (converted.family.impls[0].status, converted.left) == (taken, left)


# What is wrong -> (the text, what the error says). `HERE` marks the guilty line.
BAD: dict[str, tuple[str, str]] = {
    "no JSON": ("{ // HERE", "malformed JSON"),
    "a list": ("[] // HERE", "must be an object"),
    "no id": ('{"env_vars": {}} // HERE', "'model_id' is missing"),
    "an id that is a number": ('{"model_id": 3} // HERE', "'model_id': should be a valid string, not 3"),
    "an id of no cell": ('{"model_id": "llama"} // HERE', "'model_id'"),
    "an id twice": ('{"model_id": "id_a_b_c",\n "model_id": "id_a_b_c"} // HERE', "duplicate key 'model_id'"),
    "a list of variables": ('{"model_id": "id_a_b_c",\n "env_vars": ["A"]} // HERE', "'env_vars'"),
    "a null specifier": ('{"model_id": "id_a_b_c",\n "python_deps": {"a": null}} // HERE', "'python_deps.a'"),
    "a device that is a number": ('{"model_id": "id_a_b_c",\n "device_model_spec": 5} // HERE', "not 5"),
    "a misspelt demand": ('{"model_id": "id_a_b_c",\n "sytem_deps": {"gcc": ">=9"}} // HERE', "unknown key 'sytem_deps'"),
    "a misspelt demand of the device": (
        '{"model_id": "id_a_b_c",\n "device_model_spec": {\n "vllm_arg": {}}} // HERE',
        "unknown key 'vllm_arg'",
    ),
    "a name that is none": ('{"model_id": "id_a_b_c",\n "env_vars": {"A=B": ""}} // HERE', "is no name of a variable"),
    "an option": ('{"model_id": "id_a_b_c",\n "python_deps": {"-r x": ""}} // HERE', "is no name of a package"),
    "a number that is none": ('{"model_id": "id_a_b_c",\n "x": NaN} // HERE', "not a finite number"),
    "an endless number": ('{"model_id": "id_a_b_c",\n "x": -Infinity} // HERE', "not a finite number"),
    "a number without an end": ('{"model_id": "id_a_b_c",\n "x": 1e999} // HERE', "not a finite number"),
    "a number beyond sense": ('{"model_id": "id_a_b_c",\n "x": 1' + "0" * 42 + "} // HERE", "beyond sense"),
    "a NUL": ('{"model_id": "id_a_b_c",\n "x": "\\u0000"} // HERE', "holds a NUL"),
    "half a character": ('{"model_id": "id_a_b_c",\n "x": "\\ud800"}', "half a character"),
    "a key that is a NUL": ('{"model_id": "id_a_b_c", "x": {"\\u0000": 1}} // HERE', "holds a NUL"),
    "a comment without an end": ('{"model_id": "id_a_b_c",\n /* HERE', "a comment without an end"),
    "deep nesting": ('{"model_id": "id_a_b_c", "x": ' + "[" * 400 + "]" * 400 + "} // HERE", "nested too deeply"),
    "deeper nesting": ('{"model_id": ' + "[" * 200_000 + " // HERE", "nested too deeply"),
    "too many digits": ('{"model_id": "id_a_b_c", "x": ' + "9" * 5000 + "} // HERE", "no such value"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_document_is_one_line(tmp_path: Path, name: str) -> None:
    text, message = BAD[name]
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        ModelSpec.from_json(path)
    line = next((number for number, line in enumerate(text.splitlines(), start=1) if "HERE" in line), 1)
    assert message in caught.value.message
    assert caught.value.where == f"{path}:{line}"
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 1


def changed(document: dict[str, Any], at: tuple[Any, ...], value: Any) -> dict[str, Any]:
    whole = copy.deepcopy(document)
    inside: Any = whole
    for part in at[:-1]:
        inside = inside[part]
    inside[at[-1]] = value
    return whole


CONTRADICTED: dict[tuple[Any, ...], Any] = {
    ("model_id",): "id_plain_Small-1B_t3k",
    ("system_deps",): {"gcc": ">=1"},
    ("python_deps",): {},
    ("env_vars",): {"A": "2"},
    ("family_spec", "impls", 0, "name"): "plainer",
    ("family_spec", "impls", 0, "devices", "t3k"): {"max_context": 1},
}


@pytest.mark.parametrize("at", CONTRADICTED, ids=str)
def test_a_document_that_says_two_things_is_refused(small: Catalogue, at: tuple[Any, ...]) -> None:
    """Else one of the two would be dropped in silence."""
    document = ModelSpec.of(small.cells[0]).to_dict()
    assert ModelSpec.from_json(document)
    with pytest.raises(SpecError):
        ModelSpec.from_json(changed(document, at, CONTRADICTED[at]))


def test_a_spec_of_an_older_schema_is_brought_up_to_the_present_one(small: Catalogue) -> None:
    document = ModelSpec.of(small.cells[0]).to_dict()
    assert ModelSpec.from_json(changed(document, ("family_spec", "schema_version"), 1)) == ModelSpec.from_json(document)
    with pytest.raises(SpecError, match="newer than this hallmark reads"):
        ModelSpec.from_json(changed(document, ("family_spec", "schema_version"), 99))


KINDS: tuple[Any, ...] = (None, True, 5, "x", [5], {"a": 5})
"""One value of each kind."""
ODD = (*KINDS, -1, 0, 1.5, 10**42, "", ">=1", "a\0b", "[redacted]", "-r x", [], [[]], ["x"], {}, {"": None}, {"x": {"y": []}})


def shapes(document: dict[str, Any], values: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    """The document with each value replaced by each of `values`, and with each left out."""
    for at in places(document):
        if not at:
            continue
        for value in values:
            yield changed(document, at, value)
        without = changed(document, at, None)
        inside: Any = without
        for part in at[:-1]:
            inside = inside[part]
        del inside[at[-1]]
        yield without


@pytest.mark.long
@pytest.mark.parametrize("whole", [False, True], ids=["specification", "whole"])
def test_no_shape_of_a_document_ends_in_a_traceback(small: Catalogue, tmp_path: Path, whole: bool) -> None:
    document = ModelSpec.of(small.cells[0]).to_dict() if whole else SPECIFICATION
    path = tmp_path / "x.json"
    tried = refused = 0
    # What a whole document holds is a spec, whose faults are tried as those of a spec file.
    for shape in shapes(document, KINDS if whole else ODD):
        tried += 1
        try:
            convert(written(path, shape), small, Completion(repo="a/b", max_context=8))
        except SpecError as exc:
            refused += 1
            told = (len(str(exc).splitlines()), exc.where.startswith(str(path)), bool(exc.hint))
        else:
            told = (1, True, True)
        assert told == (1, True, True)
    assert tried > 400
    assert 0 < refused < tried


def test_comments_are_no_text_and_text_is_no_comment(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(
        '{ // one\n "model_id": "id_a_b_c", /* two\n lines */\n'
        ' "env_vars": {"URL": "http://x//y", "B": "/* kept */", "C": ",]",}, }'
    )
    assert ModelSpec.from_json(path).env_vars == {"URL": "http://x//y", "B": "/* kept */", "C": ",]"}


@pytest.mark.parametrize("text", ["/*" * 400_000, '{"a": ' + '"\\"' * 400_000])
def test_a_text_that_would_take_for_ever_ends(tmp_path: Path, text: str) -> None:
    """Each was chosen against a reader that goes back to look again: it would not end within an hour."""
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(SpecError):
        read(path)
