"""The hooks of hallmark: what another distribution, or a conftest.py, adds to it.

Write a function of one of these names; a plugin of pytest is one file and one line in its `pyproject.toml`:

    [project]
    dependencies = ["pytest-hallmark"]

    [project.entry-points.pytest11]
    acme = "acme_hallmark"

Everything that hallmark ships comes through the same hooks (`hallmark/built_in.py`); nothing of it is a special case. Hooks
take no arguments and are asked once, when a run begins; each answers with a list. Modules that cost time to import are named
as text, `"module:attribute"`, and imported when they are used. Commands that run without pytest (`hallmark specs`,
`hallmark run`) see the distributions that depend on pytest-hallmark; a conftest.py counts in pytest only.
`examples/vendor_plugin/` uses every one of them but `pytest_hallmark_gates`, which `examples/gate_plugin/` shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from hallmark.core.gates import Gate
    from hallmark.fleet.engines import EngineKind
    from hallmark.report.render import Renderer
    from hallmark.serving.launchers import LauncherKind
    from hallmark.specs.suites import Suite

hookspec = pluggy.HookspecMarker("pytest")


@hookspec
def pytest_hallmark_checks() -> Iterable[Suite]:
    """Suites of checks that a cell must pass: a folder of test files, and in it `checks.txt`, a line for each check.

    A check is declared beside its test; `checks.txt` says that it is there, so that a run in which it was not measured,
    because its test is gone, is INCOMPLETE:

        # checks/test_link.py
        @pytest.mark.check("acme.link", title="Each link runs at full speed", needs="vendor:acme", fault="a link is down")
        def test_link(cell, check):
            check.at_least("link speed", measured(), 100, unit="Gbit/s")

        # checks/checks.txt
        acme.link  test_link.py

        # acme_hallmark.py
        def pytest_hallmark_checks():
            return [Suite(Path(__file__).parent / "checks")]
    """
    raise NotImplementedError


@hookspec
def pytest_hallmark_launchers() -> Iterable[LauncherKind]:
    """Ways of having a server: what `--server` names, with the place where it lives (`Site`) and what starts it (`Launcher`).

    def pytest_hallmark_launchers():
        return [LauncherKind(name="slurm", summary="a job of Slurm", site="acme.site:Site", launcher="acme.launcher:Slurm")]
    """
    raise NotImplementedError


@hookspec
def pytest_hallmark_engines() -> Iterable[EngineKind]:
    """Engines of `hallmark matrix`: what `--on` names, with the function that opens it for a site. What it opens offers nodes,
    and starts, polls and cancels attempts there, each one `hallmark run-cell` (`hallmark/fleet/backends.py`).

        def opened(site):
            return AcmeEngine(site.address)

        def pytest_hallmark_engines():
            return [EngineKind(name="acme", opened="acme.engine:opened")]

    A conftest.py is not asked: a matrix is driven outside of pytest.
    """
    raise NotImplementedError


@hookspec
def pytest_hallmark_devices() -> Iterable[Path]:
    """Vendors of devices: a file each, of the standard library alone, since the server's interpreter runs it too.

    Its `VENDOR` says how accelerators, their count, their driver and their firmware are found:

        def pytest_hallmark_devices():
            return [Path(__file__).with_name("acme_vendor.py")]
    """
    raise NotImplementedError


@hookspec
def pytest_hallmark_renderers() -> Iterable[Renderer]:
    """Further files of the report: a name in the run's folder, and a function from a Report to text.

        def pytest_hallmark_renderers():
            return [Renderer(file="summary.csv", render="acme.csv:render")]

    One that fails is told and leaves the other files as they are.
    """
    raise NotImplementedError


@hookspec
def pytest_hallmark_gates() -> Iterable[Gate]:
    """Judges of what was measured, besides hallmark's own: each gives evidence with a verdict, and the worst one decides.

    A gate can add a demand and never take one away:

        def tail(cell, point, result):
            return [Evidence(name="slowest request", value=..., unit="ms", verdict=Verdict.FAIL, reason="...")]

        def pytest_hallmark_gates():
            return [Gate(kind="perf", name="tail", judge=tail)]
    """
    raise NotImplementedError


@hookspec
def pytest_hallmark_catalogues() -> Iterable[Path]:
    """Folders of model specs, with a `devices.yaml` for devices of their own, and a `policy.yaml` for what may be waived there;
    as `--spec-dir` names them.

    def pytest_hallmark_catalogues():
        return [Path(__file__).parent / "model_specs"]
    """
    raise NotImplementedError
