"""What devices are counted in, and how a server is shown those boards that are its own."""

from __future__ import annotations

import pytest

from hallmark.core.errors import UsageError
from hallmark.core.product import CATALOGUE
from hallmark.fleet.units import can_share, numbers_in, unit_of, variables_for, visible_boards
from hallmark.specs.loader import load_devices
from hallmark.specs.model import DeviceSpec

DEVICES = load_devices(CATALOGUE / "devices.yaml").devices


def device(name: str) -> DeviceSpec:
    return DEVICES[name]


@pytest.mark.parametrize(
    ("name", "unit", "count"),
    [
        ("t3k", "n300", 4),
        ("n300", "n300", 1),
        ("h100_x8", "h100", 8),
        ("cuda", "nvidia", 1),
        ("cpu", "cpu", 1),
        ("spyre_x4", "spyre", 4),
    ],
)
def test_a_device_is_so_many_of_a_unit(name: str, unit: str, count: int) -> None:
    assert unit_of(device(name)) == (unit, count)


@pytest.mark.parametrize(
    ("name", "slots", "environ", "expected"),
    [
        ("n300", (2,), {}, {"TT_VISIBLE_DEVICES": "2"}),
        ("p300", (1,), {}, {"TT_VISIBLE_DEVICES": "2,3"}),
        ("h100", (0, 3), {}, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "0,3"}),
        ("mi300x", (5,), {}, {"ROCR_VISIBLE_DEVICES": "5"}),
        ("gaudi3", (1,), {}, {"HABANA_VISIBLE_MODULES": "1"}),
        ("ascend", (7,), {}, {"ASCEND_RT_VISIBLE_DEVICES": "7"}),
        ("cpu", (0,), {}, {}),
        ("spyre", (0,), {}, {}),
        # Slots count within what the environment leaves; what an engine chose for this very attempt is kept.
        ("n300", (1,), {"TT_VISIBLE_DEVICES": "4,6,7"}, {"TT_VISIBLE_DEVICES": "6"}),
        ("n300", (5,), {"TT_VISIBLE_DEVICES": "3"}, {"TT_VISIBLE_DEVICES": "3"}),
    ],
)
def test_a_server_is_shown_its_slots(
    name: str, slots: tuple[int, ...], environ: dict[str, str], expected: dict[str, str]
) -> None:
    assert variables_for(device(name).detect, slots, environ) == expected


def test_a_slot_that_the_environment_hides_is_an_error() -> None:
    with pytest.raises(UsageError, match="TT_VISIBLE_DEVICES=4,6,7 hides slot 3"):
        variables_for(device("n300").detect, (3,), {"TT_VISIBLE_DEVICES": "4,6,7"})


def test_boards_that_cannot_be_hidden_are_not_shared() -> None:
    assert [name for name in ("cpu", "n300", "h100", "spyre") if can_share(device(name).detect)] == ["cpu", "n300", "h100"]


def test_the_environment_says_how_many_a_node_has() -> None:
    n300 = device("n300").detect
    assert visible_boards(n300, 4, {}) == (4, [])
    assert visible_boards(n300, 4, {"TT_VISIBLE_DEVICES": "0,2"}) == (2, ["TT_VISIBLE_DEVICES=0,2 hides the others"])
    assert visible_boards(n300, 1, {"TT_VISIBLE_DEVICES": "0,2"}) == (1, [])


def test_the_numbers_of_boards_that_are_named_otherwise_are_not_known() -> None:
    h100 = device("h100").detect
    assert numbers_in(h100, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "2,3"}) == (2, 3)
    assert numbers_in(h100, {"CUDA_VISIBLE_DEVICES": "GPU-8e5"}) == ()
