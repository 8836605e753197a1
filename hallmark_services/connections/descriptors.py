"""Open files for as many connections as may be: the limit is raised where that is allowed, else there are fewer of them.

Without it the system refuses new connections where it runs out of descriptors, and a probe's is one of them.
"""

from __future__ import annotations

import logging
import resource

from hallmark.core.errors import InfrastructureError

_OTHERS = 64
"""Libraries, log, event loop, listener, the service's own questions to the engine, and connections that are just closing."""

log = logging.getLogger(__name__)


def connections_that_fit(wanted: int, *, kept: int, each: int) -> int:
    """How many of the `wanted` connections the process has descriptors for, at `each` descriptors a connection.

    `kept` connections for probes and what else is open come first. InfrastructureError where nothing is left.
    """
    needed = each * wanted + kept + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    fit = (soft - kept - _OTHERS) // each
    if fit < 1:
        raise InfrastructureError(f"{soft} open files are too few", where="ulimit -n", hint=f"allow {needed}")
    log.warning("%d connections instead of %d: the limit of open files is %d, and %d are needed", fit, wanted, soft, needed)
    return fit
