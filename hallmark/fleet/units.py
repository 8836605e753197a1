"""What a device is counted in (t3k is four n300 of one machine), and how a server is shown those of them that are its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from hallmark.core.errors import UsageError
from hallmark.environment.vendors import CPU, vendor_named
from hallmark.specs.model import Detection, DeviceSpec


class Amount(NamedTuple):
    """So many of one unit."""

    unit: str
    """A board's name, as its vendor's tool writes it; where a device may be any board, how it is found (`nvidia`, `cpu`)."""
    boards: int


def unit_of(device: DeviceSpec) -> Amount:
    """What a machine gives for the device; all of it is one machine's."""
    return Amount(device.detect.unit, device.detect.count)


def kinds_of(devices: Iterable[DeviceSpec]) -> dict[str, Detection]:
    """Each unit that those devices are counted in -> how its boards are found."""
    return {device.detect.unit: device.detect for device in devices}


def can_share(detect: Detection) -> bool:
    """Whether attempts on some of a machine's boards leave the others alone, so that they run side by side."""
    return detect.how == CPU or bool(vendor_named(detect.how).visible)


def visible_boards(detect: Detection, found: int, environ: Mapping[str, str]) -> tuple[int, list[str]]:
    """How many of the boards that were found this environment lets a server have; and the line that says so, where fewer."""
    if detect.how == CPU:
        return found, []
    vendor = vendor_named(detect.how)
    for name, numbers in _stated(vendor.visible, environ).items():
        most = len(numbers) // vendor.numbers.get(detect.board, 1)
        if most < found:
            return most, [f"{name}={environ[name]} hides the others"]
    return found, []


def variables_for(detect: Detection, slots: Sequence[int], environ: Mapping[str, str]) -> dict[str, str]:
    """What leaves a server those boards alone; nothing where they cannot be hidden.

    Where the environment names boards already, slots count within them; as many as are wanted are those (an engine chose them).
    UsageError where it names too few.
    """
    if detect.how == CPU:
        return {}
    vendor = vendor_named(detect.how)
    numbers, stated = vendor.numbers_of(detect.board, slots), _stated(vendor.visible, environ)
    found = {}
    for name, template in vendor.visible.items():
        shown, has = list(map(str, numbers)), stated.get(name)
        if has is not None and len(has) == len(numbers):
            shown = has
        elif has is not None and max(numbers) < len(has):
            shown = [has[number] for number in numbers]
        elif has is not None:
            raise UsageError(f"{name}={environ[name]} hides slot {max(slots)}", where=detect.unit, hint="unset it on this node")
        found[name] = template.format(",".join(shown))
    return found


def numbers_in(detect: Detection, variables: Mapping[str, str]) -> tuple[int, ...]:
    """The boards that those variables leave visible; none where they are named by anything but numbers."""
    named = next(iter(_stated(vendor_named(detect.how).visible, variables).values()), [])
    return tuple(map(int, named)) if all(map(str.isdecimal, named)) else ()


def _stated(visible: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, list[str]]:
    """The boards that variables of the environment name."""
    return {name: environ[name].split(",") for name, template in visible.items() if "{}" in template and environ.get(name)}
