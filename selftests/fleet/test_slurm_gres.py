"""Which generic resources of a Slurm node are units, and how they are claimed: as sites declare them."""

from __future__ import annotations

import pytest

from hallmark.core.product import CATALOGUE
from hallmark.fleet.slurm_gres import Declared, Gres, declared_units, read_gres
from hallmark.fleet.units import kinds_of
from hallmark.specs.loader import load_devices
from hallmark.specs.model import Detection

ALL = kinds_of(load_devices(CATALOGUE / "devices.yaml").devices.values())


def kinds(*units: str) -> dict[str, Detection]:
    """Of the catalogue's units those."""
    return {unit: ALL[unit] for unit in units}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(null)", ()),
        ("n300:4", (Gres("n300", "", 4),)),
        ("n300", (Gres("n300", "", 1),)),
        ("gpu:a100:4(S:0-1),n300:4(S:0)", (Gres("gpu", "a100", 4), Gres("n300", "", 4))),
        ("gpu:a100:2(S:0),gpu:h100:6(S:0,1)", (Gres("gpu", "a100", 2), Gres("gpu", "h100", 6))),
        ("gpu:8(S:0-1)", (Gres("gpu", "", 8),)),
        ("gpu:h100", (Gres("gpu", "h100", 1),)),
        ("gpu:1g.10gb:7", (Gres("gpu", "1g.10gb", 7),)),
        ("hl-225:8,tt-galaxy-wh:32", (Gres("hl-225", "", 8), Gres("tt-galaxy-wh", "", 32))),
        ("cpu:no_consume:1", (Gres("cpu", "", 1),)),
        ("lustre:fast:no_consume:4G", (Gres("lustre", "fast", 4),)),
    ],
)
def test_resources_are_read(text: str, found: tuple[Gres, ...]) -> None:
    assert read_gres(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("n300:4", {"n300": "4 n300"}),
        ("cpu:no_consume:1,lustre:fast:4", {"cpu": "1 cpu"}),
        ("gpu:h100:8(S:0-1)", {"h100": "8 gpu:h100", "nvidia": "8 gpu:h100"}),
        ("gpu:nvidia_h100_80gb_hbm3:8", {"h100": "8 gpu:nvidia_h100_80gb_hbm3", "nvidia": "8 gpu:nvidia_h100_80gb_hbm3"}),
        ("gpu:A100-SXM4-40GB:4", {"a100": "4 gpu:A100-SXM4-40GB", "nvidia": "4 gpu:A100-SXM4-40GB"}),
        ("gpu:a100:2,gpu:h100:6", {"a100": "2 gpu:a100", "h100": "6 gpu:h100", "nvidia": "8 gpu"}),
        ("gpu:h100_nvl:2,gpu:h100_pcie:4", {"h100": "4 gpu:h100_pcie", "nvidia": "6 gpu"}),
        ("gpu:mi300x:8", {"mi300x": "8 gpu:mi300x", "amd": "8 gpu:mi300x"}),
        ("gpu:nobodys:8", {"nvidia": "8 gpu:nobodys", "amd": "8 gpu:nobodys"}),
        ("gpu:8", dict.fromkeys(("h100", "a100", "nvidia", "mi300x", "amd"), "8 gpu")),
        ("accel:n300:4", {"n300": "4 accel:n300"}),
        ("tpu:p150b:8", {"p150": "8 tpu:p150b"}),
        # A superchip's board is another one, a slice of a board is none, and neither are shares of one.
        ("gpu:gh200:1", {"nvidia": "1 gpu:gh200", "amd": "1 gpu:gh200"}),
        ("gpu:a100_3g.20gb:2,gpu:1g.10gb:7", {}),
        ("shard:h100:64,mps:h100:800", {}),
        ("gpu:h100:0,n300:0", {}),
    ],
)
def test_a_unit_is_found_by_its_name_or_its_type(text: str, found: dict[str, str]) -> None:
    wanted = kinds("cpu", "n300", "p150", "h100", "a100", "nvidia", "mi300x", "amd")
    declared = declared_units(read_gres(text), wanted)
    assert {unit: f"{one.count} {one.resource}" for unit, one in declared.items()} == found


@pytest.mark.parametrize(
    ("resource", "is_given", "claim"),
    [("n300", False, "n300:2"), ("accel:n300", False, "accel:n300:2"), ("gpu:h100", True, "gpu:h100:2"), ("gpu", True, "gpu:2")],
)
def test_how_a_job_claims_it_and_who_chooses(resource: str, is_given: bool, claim: str) -> None:
    declared = Declared(count=8, resource=resource)
    assert (declared.is_given, declared.claim(2)) == (is_given, claim)
