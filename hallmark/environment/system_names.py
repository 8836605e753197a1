"""The names that `system_deps` of a spec may give: everything about a machine that has a version and can be found out."""

from __future__ import annotations

from hallmark.environment.facts import VERSIONS

VERSION_FACTS = {
    "cuda": "cuda_version",
    "driver": "driver_version",
    "gcc": "gcc_version",
    "python": "python_version",
    "glibc": "glibc",
    "kernel": "kernel",
}
"""Those that are a fact of their own, and its attribute; the others stand in the facts' `versions`."""
SYSTEM_NAMES = frozenset([*VERSIONS, *VERSION_FACTS])
