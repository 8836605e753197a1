"""A pytest plugin for a process of its own: says in $PROBE_OUTPUT which checks were collected and which modules imported."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

if planted := os.environ.get("PROBE_IMPORTS"):
    __import__(planted)


def pytest_collection_finish(session: Any) -> None:
    checks = []
    for item in session.items:
        marker = item.get_closest_marker("check")
        params = getattr(item, "callspec", None)
        checks.append(marker.args[0].format(**(params.params if params else {})) if marker else f"no marker: {item.nodeid}")
    found = {"checks": checks, "modules": sorted({name.partition(".")[0] for name in sys.modules})}
    Path(os.environ["PROBE_OUTPUT"]).write_text(json.dumps(found), encoding="utf-8")
