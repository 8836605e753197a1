"""`--print-plan` of a run: how its servers would be started, by the very options, cells and errors of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.core.errors import HallmarkError, UsageError
from hallmark.plugin.cell_servers import CellServers
from hallmark.plugin.decisions import stopped, write_decisions


def print_plans(config: pytest.Config) -> int:
    """Print them to standard output; pytest.UsageError for what would stop the run before its first check, or in it."""
    config._do_configure()  # noqa: SLF001 - as pytest's own `--markers` and `--help` do
    try:
        servers = config.pluginmanager.get_plugin("hallmark-servers")
        if not isinstance(servers, CellServers):
            raise UsageError("no cell is selected", hint="name --model and --device")
        texts = [servers.testbed_of(cell, Path()).plan_text() for cell in servers.session.cells.values()]
    except HallmarkError as exc:
        raise stopped(config, exc) from exc
    finally:
        config._ensure_unconfigure()  # noqa: SLF001
    print("\n".join(texts))
    write_decisions(config, [], None)
    return 0
