"""Where a setting comes from: command line > environment > ini > default, and the winner is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Origin = Literal["command line", "environment", "ini", "default"]


@dataclass(frozen=True, slots=True)
class Setting:
    """An effective value and who said so."""

    name: str
    value: str
    origin: Origin


def resolve(name: str, *, command_line: str | None, environ: Mapping[str, str], ini: str = "", default: str = "") -> Setting:
    """The effective value of `name`; its variable is HALLMARK_NAME. Empty text counts as not given."""
    variable = "HALLMARK_" + name.upper().replace("-", "_")
    candidates: list[tuple[str | None, Origin]] = [
        (command_line, "command line"),
        (environ.get(variable), "environment"),
        (ini, "ini"),
    ]
    for value, origin in candidates:
        if value:
            return Setting(name, value, origin)
    return Setting(name, default, "default")
