"""What hallmark itself answers to its hooks. Whatever costs time to import is named as text."""

from __future__ import annotations

from pathlib import Path

from hallmark.core.extensions import named
from hallmark.core.gates import Gate
from hallmark.core.product import CATALOGUE, SUITE
from hallmark.fleet.engines import EngineKind
from hallmark.report.render import Renderer
from hallmark.serving.launchers import LauncherKind
from hallmark.specs.suites import Suite


def pytest_hallmark_checks() -> list[Suite]:
    return [Suite(SUITE)]


LAUNCHERS = ("local", "docker", "attach")
"""The first is the default."""


def pytest_hallmark_launchers() -> list[LauncherKind]:
    return [named(f"hallmark.serving.{name}:KIND") for name in LAUNCHERS]


VENDORS = ("nvidia", "amd", "tenstorrent", "ascend", "gaudi", "spyre")
"""Where several have a driver on one machine, the first is what `driver` of a spec means."""


def pytest_hallmark_devices() -> list[Path]:
    folder = Path(__file__).parent / "environment" / "vendors"
    return [folder / f"{name}.py" for name in VENDORS]


def pytest_hallmark_renderers() -> list[Renderer]:
    return [
        Renderer(file="report.json", render="hallmark.report.render_json:render_json", required=True),
        Renderer(file="report.md", render="hallmark.report.render_markdown:render_markdown", required=True),
        Renderer(file="report.html", render="hallmark.report.render_html:render_html", required=True),
        Renderer(file="badge.svg", render="hallmark.report.render_badge:render_badge", required=True),
        Renderer(file="junit.xml", render="hallmark.report.render_junit:render_junit", required=True),
    ]


def pytest_hallmark_gates() -> list[Gate]:
    return [
        Gate(kind="evals", name="accuracy", judge="hallmark.evals.task:gate"),
        Gate(kind="perf", name="tier", judge="hallmark.perf.judge:gate"),
    ]


def pytest_hallmark_engines() -> list[EngineKind]:
    return [
        EngineKind(name="local", opened="hallmark.fleet.local:opened"),
        EngineKind(name="ray", opened="hallmark.fleet.ray_backend:opened"),
        EngineKind(name="slurm", opened="hallmark.fleet.slurm_backend:opened"),
    ]


def pytest_hallmark_catalogues() -> list[Path]:
    return [CATALOGUE]
