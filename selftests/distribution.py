"""How the self-tests are spread over the workers of xdist: the long ones first, and what shares a server or a run together."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

FIRST = (
    "plugin/test_identity_faults.py",
    "plugin/test_runtime_faults.py",
    "specs/test_whole_catalogue.py",
    "workflows/test_init.py",
    "environment/test_provision.py",
    "serving/test_no_trace.py",
    "plugin/",
    "fleet/test_matrix_command.py",
    "workflows/",
    "sidecar/downloads/",
    "environment/",
    "evals/",
)
"""Paths in the order in which they are begun, as measured; all others come after them. So the workers end together."""
_SHARING = ("plugin/test_identity_faults.py", "plugin/test_runtime_faults.py")
"""Modules below whole commands of which several tests read one run."""
_COMMANDS = ("plugin/", "workflows/", "fleet/test_matrix_command.py")
"""Where each test has a command of its own: whichever worker is free takes the next."""


def place_in_order(nodeid: str) -> int:
    """The lower, the earlier."""
    return next((place for place, path in enumerate(FIRST) if nodeid.startswith(path)), len(FIRST))


def unit_of(nodeid: str) -> str:
    """What one worker runs to its end: a test by itself, or a module with the servers that it starts once."""
    module = nodeid.partition("::")[0]
    return nodeid if module.startswith(_COMMANDS) and module not in _SHARING else module


class LongFirst(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Units in the order of the collection, not by how many tests they have."""

    def __init__(self, config: Any, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
