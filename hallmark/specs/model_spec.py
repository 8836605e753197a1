"""ModelSpec: one model on one device by one implementation, as a JSON document that stands for itself.

    spec = ModelSpec.from_json("model_specification_Llama-3.1-70B-Instruct_t3k.json")
    spec.model_id, spec.system_deps, spec.python_deps, spec.env_vars
    ModelSpec.from_json(spec.to_dict()) == spec

It is what tt-inference-server exports as `model_specification_*.json`, and what `runtime_environment.json` embeds as
`tt_model_spec`. Such a document may state no more than its id and what the server's environment must have. One that hallmark
writes (`ModelSpec.of(cell)`) holds the cell's whole spec besides, under `family_spec`, in the language of spec files.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from hallmark.core.errors import SpecError, nearest
from hallmark.specs.cell import Cell
from hallmark.specs.json_source import read
from hallmark.specs.loader import validate
from hallmark.specs.migrations import migrated
from hallmark.specs.model import SCHEMA_VERSION, DeviceSpec, FamilySpec
from hallmark.specs.strict import (
    Contradiction,
    Distribution,
    DistributionSpecifier,
    Positive,
    Replaces,
    Specifier,
    Strict,
    SystemName,
    Variable,
)
from hallmark.specs.yaml_source import YamlSource

EMBEDDED = "tt_model_spec"
"""Where a runtime_environment.json holds its ModelSpec."""
FAMILY = "family_spec"
_WRAPPED = "runtime_model_spec"
"""Where tt-inference-server holds it in the file that it exports for a run."""

_ALIKE = 0.85
"""From here on (of 1) a key is taken for one that is misspelt: what it demands must not be lost."""

Exported = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value)]
"""A text; numbers and flags are written as Python exports them to an environment."""


class _Open(Strict):
    """A part of the document: keys that nothing here stands for are kept, unless they are one of ours misspelt."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="after")
    def _nothing_is_misspelt(self) -> Self:
        known = type(self).model_fields
        for key in self.model_extra or {}:
            if difflib.get_close_matches(key, known, n=1, cutoff=_ALIKE):
                raise Contradiction(f"unknown key '{key}'", key, hint=nearest(key, known))
        return self


class DeviceModelSpec(_Open):
    """What tt-inference-server states of a model on a device."""

    max_context: Positive | None = None
    vllm_args: dict[str, Any] | None = None
    env_vars: dict[Variable, Exported] | None = None


class ModelSpec(_Open):
    """The document, read and checked."""

    model_id: Annotated[str, Field(pattern=r"^id_[^_\s]\S*_\S+_\S+$", max_length=320, description="id_<impl>_<model>_<device>")]
    system_deps: dict[SystemName, Specifier] | None = None
    python_deps: dict[Distribution, DistributionSpecifier] | None = None
    env_vars: dict[Variable, Exported] | None = None
    hf_model_repo: str | None = None
    docker_image: str | None = None
    status: str | None = None
    tt_metal_commit: str | None = None
    vllm_commit: str | None = None
    device_model_spec: DeviceModelSpec | None = None
    family_spec: FamilySpec | None = None
    """The whole spec of the cell and of no other: a spec file with one weights, one implementation and one device."""
    device_spec: DeviceSpec | None = None
    replaces: Replaces = ()
    """Its own id, where it stands in a spec folder in the place of a cell of a folder before."""
    spec_file: str | None = None
    """Where `family_spec` was written down."""

    @classmethod
    def from_json(cls, source: str | Path | Mapping[str, Any]) -> ModelSpec:
        """The document in a file (by itself, or embedded in a runtime_environment.json), or one that was read already.

        SpecError, with file and line, for what is wrong with it.
        """
        if isinstance(source, Mapping):
            return cls.from_source(document(YamlSource(Path(cls.__name__), dict(source), dict)))
        return cls.from_source(document(read(Path(source))))

    @classmethod
    def from_source(cls, source: YamlSource) -> ModelSpec:
        """As `from_json`, of what `document` found in a file."""
        return validate(cls, source)

    def to_dict(self) -> dict[str, Any]:
        """The document as plain JSON data: what was stated, and nothing that is only a default."""
        plain: dict[str, Any] = self.model_dump(mode="json", exclude_unset=True)
        return plain

    @classmethod
    def of(cls, cell: Cell) -> ModelSpec:
        """The whole document of a cell. Its folders are absolute, so that it may be kept elsewhere."""
        return cls.from_json(
            {
                "model_id": cell.id,
                "system_deps": dict(cell.impl.system_deps),
                "python_deps": dict(cell.impl.python_deps),
                "env_vars": cell.env_vars,
                "family_spec": family_data(cell),
                "device_spec": cell.device_spec.model_dump(mode="json"),
                "spec_file": str(cell.spec_file),
            }
        )

    @model_validator(mode="after")
    def _says_one_thing(self) -> ModelSpec:
        """What stands both in the document and in its `family_spec` is the same."""
        family = self.family_spec
        if family is None:
            return self
        found = [(impl, weights, *item) for impl in family.impls for weights in family.weights for item in impl.devices.items()]
        if len(found) != 1:
            raise Contradiction(f"describes {len(found)} cells, and must describe one", FAMILY)
        impl, weights, device, entry = found[0]
        whole = f"id_{impl.name}_{weights.name}_{device}"
        configuration = f"_{entry.own_config.name}" if entry.own_config else ""
        if self.model_id not in (whole, whole + configuration):
            raise Contradiction(f"model_id is not the {whole} of family_spec", "model_id")
        on_device = impl.on(entry)
        of_size = entry.device_config.env_vars if entry.device_config else {}
        for name, stated in (
            ("system_deps", on_device.system_deps),
            ("python_deps", on_device.python_deps),
            ("env_vars", impl.env_vars | of_size | entry.env_vars),
        ):
            if getattr(self, name) not in (None, stated):
                raise Contradiction(f"{name} is not what family_spec says", name)
        return self


def document(source: YamlSource) -> YamlSource:
    """The ModelSpec of a file: the file itself, or what it embeds; with its `family_spec` in the present schema."""
    for key in (EMBEDDED, _WRAPPED):
        if key in source.data:
            if not source.data[key]:
                raise SpecError(f"embeds an empty {key}", where=source.where((key,)), hint="name the model_specification itself")
            source = source.part((key,))
            break
    if not (isinstance(source.data, dict) and FAMILY in source.data):
        return source
    return YamlSource(source.path, source.data | {FAMILY: migrated(source.part((FAMILY,))).data}, lambda: source.lines)


def family_data(cell: Cell) -> dict[str, Any]:
    """A cell as the data of a spec file of its own, with all that is default written out."""
    weights = cell.weights.model_dump(mode="json", exclude={"architecture"})
    evals = [target.model_dump(mode="json") for target in cell.evals]
    for place in (weights, *weights["lora"]):
        if place["path"]:
            place["path"] = str(cell.beside_spec(place["path"]))
            weights["outside_folder"] = True
    for target in evals:
        if target["task_dir"]:
            target["task_dir"] = str(cell.beside_spec(target["task_dir"]))
    impl = cell.impl.model_dump(mode="json", exclude={"devices"})
    targets = [point.model_dump(mode="json") for point in cell.base_targets]
    return {
        "schema_version": SCHEMA_VERSION,
        "family": cell.family,
        "architecture": dict(cell.architecture),
        "weights": [weights],
        "evals": {cell.model: evals} if evals else {},
        "base_targets": {cell.device: targets} if targets else {},
        "impls": [impl | {"devices": {cell.device: cell.entry.model_dump(mode="json")}}],
    }
