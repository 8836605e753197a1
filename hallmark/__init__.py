"""hallmark decides whether a served LLM is fit to release on a given device.

What tests, plugins and other programs may import stands in `__all__`; everything else is private and may change. Each name
comes when it is first asked for, so that importing hallmark costs nothing.

PYTEST_DONT_REWRITE: `python -m hallmark.plugin` imports this before pytest is there, which would warn of that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hallmark.core.endpoint import Endpoint
    from hallmark.core.errors import CheckFailed, Inconclusive
    from hallmark.core.gates import Gate
    from hallmark.core.records import Evidence, Interval, Target
    from hallmark.core.verdict import Verdict
    from hallmark.fleet.backends import Backend
    from hallmark.fleet.engines import EngineKind
    from hallmark.plugin.checks import Check
    from hallmark.report.document import Report
    from hallmark.report.render import Renderer
    from hallmark.serving.launchers import LauncherKind
    from hallmark.serving.server import Launcher, LaunchPlan, RunningServer
    from hallmark.serving.site import Site
    from hallmark.specs.cell import Cell
    from hallmark.specs.model_registry import get_model_registry
    from hallmark.specs.model_spec import ModelSpec
    from hallmark.specs.registering import register_device, register_family, unregister_device, unregister_family
    from hallmark.specs.suites import Suite

__version__ = "0.1.0"

_MODULES = {
    # what a test takes and raises
    "Cell": "hallmark.specs.cell",
    "Check": "hallmark.plugin.checks",
    "CheckFailed": "hallmark.core.errors",
    "Evidence": "hallmark.core.records",
    "Inconclusive": "hallmark.core.errors",
    "Interval": "hallmark.core.records",
    "Target": "hallmark.core.records",
    "Verdict": "hallmark.core.verdict",
    "Endpoint": "hallmark.core.endpoint",
    # what hooks answer with
    "Backend": "hallmark.fleet.backends",
    "EngineKind": "hallmark.fleet.engines",
    "Gate": "hallmark.core.gates",
    "LaunchPlan": "hallmark.serving.server",
    "Launcher": "hallmark.serving.server",
    "LauncherKind": "hallmark.serving.launchers",
    "Renderer": "hallmark.report.render",
    "Report": "hallmark.report.document",
    "RunningServer": "hallmark.serving.server",
    "Site": "hallmark.serving.site",
    "Suite": "hallmark.specs.suites",
    # models and their configurations
    "ModelSpec": "hallmark.specs.model_spec",
    "get_model_registry": "hallmark.specs.model_registry",
    "register_device": "hallmark.specs.registering",
    "register_family": "hallmark.specs.registering",
    "unregister_device": "hallmark.specs.registering",
    "unregister_family": "hallmark.specs.registering",
}

__all__ = [
    "Backend",
    "Cell",
    "Check",
    "CheckFailed",
    "Endpoint",
    "EngineKind",
    "Evidence",
    "Gate",
    "Inconclusive",
    "Interval",
    "LaunchPlan",
    "Launcher",
    "LauncherKind",
    "ModelSpec",
    "Renderer",
    "Report",
    "RunningServer",
    "Site",
    "Suite",
    "Target",
    "Verdict",
    "__version__",
    "get_model_registry",
    "register_device",
    "register_family",
    "unregister_device",
    "unregister_family",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
