"""A stand-in as a launcher starts it, for the checks that end their server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hallmark.serving.local.launcher import LocalLauncher
from selftests.server.checking import CONTEXT, Suite
from selftests.serving.plans import stand_in

ITL_MS = 4.0
"""So that answers are under way when it is told to end."""


@contextmanager
def started(*faults: str) -> Iterator[Suite]:
    """The checks' fixtures, `server` among them, of a stand-in with these faults."""
    with tempfile.TemporaryDirectory() as folder:
        plan = stand_in(Path(folder), *faults)
        argv = (*plan.argv, "--max-model-len", str(CONTEXT), "--itl-ms", str(ITL_MS))
        server = LocalLauncher().start(replace(plan, argv=argv), lambda _: None)
        suite = Suite(plan.endpoint.base_url, timeout_s=20)
        suite.add_fixtures({"server": server})
        try:
            yield suite
        finally:
            suite.client.close()
            server.stop()
