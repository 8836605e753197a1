"""Which options of the table a cell's run is given, and what holds where nothing is said of a matrix."""

from __future__ import annotations

from hallmark.core.option_table import OPTIONS, RUNS

_SELECTING = frozenset({"model", "device", "impl", "runtime-config"})
_OF_ONE_RUN = frozenset({"server-url", "server-wait", "port", "artifacts", "summary", "run", "resume"})
PASSED_ON = tuple(option for option in OPTIONS if option.used_by & RUNS and option.name not in _SELECTING | _OF_ONE_RUN)
DEFAULT_LEASE_S = 30.0
"""Of silence."""
DEFAULT_WAIT_S = 3600.0
"""For a node that is not there."""
