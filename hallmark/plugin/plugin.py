"""The pytest plugin's front door. It stays asleep (options and markers only) where nothing asks for a model or a device."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from hallmark import hooks
from hallmark.core import extensions
from hallmark.core.errors import HallmarkError
from hallmark.core.option_table import by_name
from hallmark.core.scratch import scratch_folder
from hallmark.plugin.arguments import add_options, add_short_names, is_asked_for, require_assertions, require_own_ini, spec_dirs
from hallmark.plugin.decisions import stopped

if TYPE_CHECKING:
    from hallmark.plugin.session import AcceptanceSession

KIND_MARKERS = (
    "spec: the cell's requirements hold (no server)",
    "server: the API behaves",
    "evals: accuracy reaches its targets",
    "perf: performance reaches the tier that the status requires",
    "check(id, title, needs, kind, source, covers, fault, last, again): what the test is evidence for; {names} are parameters",
)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> Generator[None, None, None]:
    """Every plugin and conftest.py has its options by then: what is left is free for our short names.

    It is also where pytest begins to keep what tests print, in temporary files; without a place for them it ends in a traceback.
    """
    try:
        yield
    except OSError:
        _require_temporary_files()
        raise
    add_short_names(parser)


def _require_temporary_files() -> None:
    try:
        with scratch_folder():
            pass
    except HallmarkError as exc:
        print(f"hallmark: {exc}", file=sys.stderr)
        raise SystemExit(exc.exit_code) from None


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """A run of which only the plan is wanted collects nothing."""
    if not config.option.hallmark_print_plan:
        return None
    from hallmark.plugin.print_plan import print_plans

    return print_plans(config)


def pytest_configure(config: pytest.Config) -> None:
    for marker in KIND_MARKERS:
        config.addinivalue_line("markers", marker)
    broken = None
    try:
        require_own_ini(config)
        if config.option.hallmark_resume or os.environ.get(by_name("resume").variable):
            from hallmark.plugin.broken_off import broken_off

            broken = broken_off(config, os.environ)
    except HallmarkError as exc:
        raise stopped(config, exc) from exc
    if not is_asked_for(config, os.environ):
        return
    # Imported here: a pytest run that has nothing to do with hallmark should not pay for it.
    from hallmark.plugin.interrupts import interrupts_of

    interrupts = interrupts_of(config)
    from hallmark.plugin import fixtures
    from hallmark.plugin.marks import of_part, reachable
    from hallmark.plugin.options import read_options
    from hallmark.plugin.references import references_of
    from hallmark.plugin.session import AcceptanceSession
    from hallmark.plugin.signing import signing
    from hallmark.specs.catalogue import load_catalogue
    from hallmark.specs.smoke import smoke_cell
    from hallmark.specs.waiver_rules import require_allowed

    extensions.register_built_in(config.pluginmanager)
    extensions.begin(config.pluginmanager)
    config.add_cleanup(extensions.end)
    try:
        require_assertions()
        catalogue = load_catalogue(spec_dirs(config, os.environ))
        options = read_options(config, environ=os.environ, devices=frozenset(catalogue.devices))
        # Besides what the user's own -m selects; pytest reads it once everything is collected.
        config.option.markexpr = of_part(options.workflow, config.option.markexpr)
        cells = reachable(catalogue.select(options.selection), config.option.markexpr)
        require_allowed(catalogue, cells)
        if broken:
            cells = broken.only_cell(cells)
        if options.smoke:
            cells = tuple(map(smoke_cell, cells))
        references = references_of(cells, folder=options.reference, workflow=options.workflow)
        sign = signing(os.environ)
    except HallmarkError as exc:
        raise stopped(config, exc) from exc
    for name, device in catalogue.devices.items():
        config.addinivalue_line("markers", f"{name}: {device.title}")
    config.pluginmanager.register(fixtures, "hallmark-fixtures")
    _register(AcceptanceSession.begin(config, options, cells, interrupts, references, sign, broken))


def _register(session: AcceptanceSession) -> None:
    """The plugins of a session, each with one purpose."""
    from hallmark.plugin.cell_servers import CellServers
    from hallmark.plugin.collection import Collection
    from hallmark.plugin.junit import JUnitProperties
    from hallmark.plugin.recorder import Recorder
    from hallmark.plugin.run_folders import RunFolders
    from hallmark.plugin.run_logs import RunLogs

    folders = RunFolders(session)
    servers = CellServers(session, folders)
    plugins: dict[str, object] = {"folders": folders, "collection": Collection(session, folders), "servers": servers}
    plugins |= {"recorder": Recorder(session, folders, servers), "logs": RunLogs(session, folders)}
    plugins |= {"junit": JUnitProperties(session)}
    for name, plugin in plugins.items():
        session.config.pluginmanager.register(plugin, f"hallmark-{name}")
