"""Which of a node's generic resources (GRES) are units, and how a job of Slurm claims them. Pure.

A site declares boards in one of two ways: as a resource of its own that is only counted, such as `n300:4`, or as Slurm's own
`gpu`, mostly with a type, such as `gpu:h100:8`. Of that one Slurm gives each job boards of its choice, and says which.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hallmark.environment.devices import is_board
from hallmark.environment.vendors import CPU, vendor_named
from hallmark.specs.model import Detection

GPU = "gpu"
"""The resource whose boards Slurm tells a job by their numbers."""
_PARTS = frozenset({"mps", "shard"})
"""Resources that are parts of boards, under the boards' types."""
_SLICE = re.compile(r"\d+g\.\d+gb")
"""In a type: a slice of a board (MIG), which is none."""
_TOLD = frozenset({"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"})
"""Variables by which Slurm tells a job its `gpu`: vendors that know one of them have boards of that name."""


@dataclass(frozen=True, slots=True)
class Gres:
    """A resource as a node declares it."""

    name: str
    type: str
    """Empty where it has none."""
    count: int


def read_gres(text: str) -> tuple[Gres, ...]:
    """What `gpu:a100:4(S:0-1),n300:4` declares; no number means one."""
    found = []
    for entry in re.sub(r"\([^)]*\)", "", text).split(","):
        name, *rest = (word for word in entry.split(":") if word != "no_consume")
        if name:
            number = rest.pop() if rest and rest[-1][:1].isdigit() else "1"
            found.append(Gres(name, ":".join(rest), _number(number)))
    return tuple(found)


def _number(text: str) -> int:
    """The leading number: there may be a unit behind it, or nothing."""
    found = re.match(r"\d+", text)
    return int(found[0]) if found else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A unit as a node declares it."""

    count: int
    resource: str
    """What a job asks for, without a number: `n300`, `gpu:h100`."""

    @property
    def is_given(self) -> bool:
        """Whether Slurm says which of them a job has."""
        return self.resource.partition(":")[0] == GPU

    def claim(self, count: int) -> str:
        return f"{self.resource}:{count}"


def declared_units(resources: Iterable[Gres], kinds: Mapping[str, Detection]) -> dict[str, Declared]:
    """Of those units the ones that a node's resources are, or may be: a `gpu` without a type is the boards of any vendor that has
    such. What it is then, the node's look at itself says.

    Boards of one unit under several types are those of the largest: no job can ask for so many of one type or another.
    """
    whole = [one for one in resources if one.count and one.name not in _PARTS and not _SLICE.search(one.type)]
    found = {unit: _declared(whole, unit, detect, kinds) for unit, detect in kinds.items()}
    return {unit: declared for unit, declared in found.items() if declared}


def _declared(resources: Iterable[Gres], unit: str, detect: Detection, kinds: Mapping[str, Detection]) -> Declared | None:
    own = [one.count for one in resources if one.name == unit]
    if own or detect.how == CPU:
        return Declared(count=sum(own), resource=unit) if own else None
    alike = [one for one in resources if _is(one, unit, detect, kinds)]
    is_any = not detect.board and len({one.name for one in alike}) == 1
    counts: Counter[str] = Counter()
    for one in alike:
        counts[f"{one.name}:{one.type}" if one.type else one.name] += one.count
    if is_any and len(counts) > 1:
        return Declared(count=counts.total(), resource=alike[0].name)
    return next((Declared(count=count, resource=resource) for resource, count in counts.most_common(1)), None)


def _is(resource: Gres, unit: str, detect: Detection, kinds: Mapping[str, Detection]) -> bool:
    vendor = vendor_named(detect.how)
    if resource.type and is_board(unit, resource.type, vendor.revision):
        return True
    if resource.name != GPU or not _TOLD & vendor.visible.keys():
        return False
    return not resource.type or (not detect.board and not _is_anothers(resource.type, detect, kinds))


def _is_anothers(kind: str, detect: Detection, kinds: Mapping[str, Detection]) -> bool:
    others = (one for one in kinds.values() if one.how not in (CPU, detect.how))
    return any(is_board(one.unit, kind, vendor_named(one.how).revision) for one in others)
