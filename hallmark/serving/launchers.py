"""The launchers by name. The next one is a file beside this and a line here."""

from __future__ import annotations

from collections.abc import Callable

from hallmark.serving.attach import AttachLauncher
from hallmark.serving.local import LocalLauncher
from hallmark.serving.server import Launcher

LAUNCHERS: dict[str, Callable[[], Launcher]] = {
    LocalLauncher.name: LocalLauncher,
    AttachLauncher.name: AttachLauncher,
}
