"""The launchers by name. The next one is a file beside this and a line here; a launcher's libraries load when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from hallmark.serving.server import Launcher

LAUNCHERS = {
    "local": "hallmark.serving.local:LocalLauncher",
    "docker": "hallmark.serving.docker:DockerLauncher",
    "attach": "hallmark.serving.attach:AttachLauncher",
}


def make_launcher(name: str) -> Launcher:
    """The launcher of that name; KeyError for one that is not in the table."""
    module, _, attribute = LAUNCHERS[name].partition(":")
    return cast("Launcher", getattr(import_module(module), attribute)())
