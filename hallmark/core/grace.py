"""One grace period for a stop, named once by STOP_GRACE_S and obeyed along the chain.

It goes from SIGTERM to the end of the last process. Answers under way have most of it: the gateway takes nothing new and
waits for them. The rest is for the engine, which ends after the gateway. Whoever kills what is still there (Docker,
Kubernetes, systemd) is to wait for the same number of seconds.
"""

from __future__ import annotations

from collections.abc import Mapping

from hallmark.core.errors import UsageError

STOP_GRACE_VARIABLE = "STOP_GRACE_S"
STOP_GRACE_S = 40.0
"""engine/hallmark_engine, run_image.sh, compose.yaml and deploy/kubernetes have the same default."""
_ENGINE_ENDS_S = 10.0


def drain_s(stop_grace_s: float) -> float:
    """How long answers under way may go on after SIGTERM."""
    return stop_grace_s - min(_ENGINE_ENDS_S, stop_grace_s / 4)


def stop_grace_s(environ: Mapping[str, str]) -> float:
    """The grace period of this environment in seconds; UsageError for one that is not valid. Empty means not set."""
    text = environ.get(STOP_GRACE_VARIABLE, "")
    try:
        seconds = float(text) if text else STOP_GRACE_S
    except ValueError:
        seconds = 0.0
    if not seconds > 0:  # False for NaN, too
        raise UsageError(f"not a number of seconds above 0: {text!r}", where=STOP_GRACE_VARIABLE)
    return seconds
