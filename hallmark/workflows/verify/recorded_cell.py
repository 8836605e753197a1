"""The cell of a run, made again from the spec that its manifest holds."""

from __future__ import annotations

from pathlib import Path

from hallmark.core.errors import HallmarkError
from hallmark.core.records import Manifest
from hallmark.specs.cell import Cell
from hallmark.specs.family import Family, expand
from hallmark.specs.model_spec import ModelSpec
from hallmark.specs.yaml_source import YamlSource


def recorded_cell(manifest: Manifest) -> Cell | None:
    """None where the manifest holds no whole spec, such as one that a secret was taken out of."""
    try:
        spec = ModelSpec.from_json(dict(manifest.spec))
        if spec.family_spec is None or spec.device_spec is None:
            return None
        (device,) = spec.family_spec.impls[0].devices
        family = Family(spec.family_spec, YamlSource(Path(spec.spec_file or "spec.yaml"), {}, dict))
        cells = tuple(expand(family, {device: spec.device_spec}))
    except (HallmarkError, ValueError):
        return None
    return next((cell for cell in cells if cell.id == manifest.cell), cells[0] if cells else None)
