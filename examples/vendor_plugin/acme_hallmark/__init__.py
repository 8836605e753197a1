"""Acme's accelerators for hallmark."""

from __future__ import annotations

from pathlib import Path

from hallmark import EngineKind, LauncherKind, Renderer, Suite

HERE = Path(__file__).parent


def pytest_hallmark_devices() -> list[Path]:
    return [HERE / "vendor.py"]


def pytest_hallmark_catalogues() -> list[Path]:
    return [HERE / "model_specs"]


def pytest_hallmark_launchers() -> list[LauncherKind]:
    return [
        LauncherKind(
            name="acme",
            summary="a process of this machine, started through acme-run",
            site="hallmark.serving.local.site:LocalSite",
            launcher="acme_hallmark.launcher:AcmeLauncher",
        )
    ]


def pytest_hallmark_engines() -> list[EngineKind]:
    return [EngineKind(name="acme", opened="acme_hallmark.engine:opened")]


def pytest_hallmark_checks() -> list[Suite]:
    return [Suite(HERE / "checks")]


def pytest_hallmark_renderers() -> list[Renderer]:
    return [Renderer(file="summary.csv", render="acme_hallmark.summary:render")]
