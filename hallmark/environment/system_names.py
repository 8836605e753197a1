"""The names that a spec may give: of versions in `system_deps`, and of how a device is found."""

from __future__ import annotations

from hallmark.environment.facts import SERVICES
from hallmark.environment.vendors import CPU, VERSION_FACTS, vendors


def system_names() -> frozenset[str]:
    """Everything about a machine that has a version and can be found out."""
    of_vendors = (name for vendor in vendors() for name in (*vendor.drivers, *vendor.versions))
    return frozenset([*of_vendors, *SERVICES, *VERSION_FACTS])


def detection_names() -> tuple[str, ...]:
    """What `how` of a device may be: the CPU, or a vendor."""
    return (CPU, *(vendor.name for vendor in vendors()))
