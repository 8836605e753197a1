"""What stands when more than one file states a family or a cell.

Two of one name are an error, unless the one of the later folder says `replaces:`. Then it stands in the other's place, and its
cells know in whose. A family that is replaced may still be extended by those beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hallmark.core.errors import SpecError, nearest
from hallmark.specs.cell import Cell, InPlaceOf
from hallmark.specs.family import Family, expand
from hallmark.specs.model import DeviceSpec


class Standing:
    """Families by name and cells by id, as one file after the other is added."""

    def __init__(self, devices: Mapping[str, DeviceSpec]) -> None:
        self._devices = devices
        self.families: dict[str, Family] = {}
        self.cells: dict[str, Cell] = {}

    def add(self, family: Family) -> None:
        """Add a family and its cells; SpecError where one of them is there already and not replaced, or nothing is replaced."""
        cells = {cell.id: cell for cell in expand(family, self._devices)}
        other = self._replaced_family(family)
        of_other = {cell_id for cell_id, cell in self.cells.items() if other and other.made(cell)}
        there = {cell_id: self.cells[cell_id] for cell_id in cells if cell_id in self.cells and cell_id not in of_other}
        for cell_id, cell in there.items():
            _require_replaced(family, "cell id", cell_id, where=str(cell.spec_file), folder=cell.spec_file.parent)
        self._require_all_used(family, {*there, *([family.spec.family] if other else [])})
        self.families[family.spec.family] = family
        self.cells = {cell_id: cell for cell_id, cell in self.cells.items() if cell_id not in of_other}
        for cell_id, cell in cells.items():
            before = there.get(cell_id)
            place = None
            if before:
                place = InPlaceOf(what=f"cell {cell_id}", spec_file=before.spec_file, family=before.family)
            elif other:
                place = InPlaceOf(what=f"family {other.spec.family}", spec_file=other.path.resolve(), family=other.spec.family)
            self.cells[cell_id] = replace(cell, in_place_of=place, left=family.left)

    def _replaced_family(self, family: Family) -> Family | None:
        other = self.families.get(family.spec.family)
        if other:
            _require_replaced(
                family, "family", family.spec.family, where=other.where("family"), folder=other.path.resolve().parent
            )
        return other

    def _require_all_used(self, family: Family, used: set[str]) -> None:
        """SpecError for a name in `replaces` that is neither the family's own nor a cell's of its own, or that nothing has."""
        for place, name in enumerate(family.spec.replaced):
            if name not in used:
                raise SpecError(
                    f"replaces '{name}', and nothing of that name that this file states stands in a folder before",
                    where=family.where("replaces", place),
                    hint=nearest(name, {*self.families, *self.cells}),
                )


def _require_replaced(family: Family, what: str, name: str, *, where: str, folder: object) -> None:
    """SpecError that names both places, and the word with which the later one stands in the place of the other."""
    if folder == family.path.resolve().parent:
        hint = f"rename one, or keep one of the two; the other is {where}"
    elif name not in family.spec.replaced:
        hint = f"the other is {where}; write `replaces: {name}` here, and this one stands in its place"
    else:
        return
    raise SpecError(f"{what} '{name}' exists already", where=family.where("family"), hint=hint)
