"""Where cells can be run: `--on NAME`, or `NAME://ADDRESS`. The next engine is a module here, and a line in the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hallmark.core.errors import UsageError, nearest
from hallmark.core.extensions import named
from hallmark.fleet.backends import Backend

ENGINES: Mapping[str, str] = {
    "local": "hallmark.fleet.local:opened",
    "ray": "hallmark.fleet.ray_backend:opened",
    "slurm": "hallmark.fleet.slurm_backend:opened",
}
"""Name -> the function that opens it: `opened(site: Site) -> Backend`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What an engine is told."""

    address: str
    """What follows `://`; empty where nothing does."""
    folder: Path
    """Results lie in it, or beside it; every node sees it at this path."""
    spec_dirs: tuple[Path, ...]
    """Folders of specs, besides the catalogues that every node has of its own."""
    units: frozenset[str]
    """What the devices of all specs are counted in."""


def require_known(on: str) -> str:
    """The name of the engine; UsageError where there is none of it."""
    name = on.partition("://")[0]
    if name not in ENGINES:
        raise UsageError(f"cells cannot be run on '{on}'", where="--on", hint=nearest(name, ENGINES))
    return name


def opened(on: str, *, folder: Path, spec_dirs: tuple[Path, ...], units: frozenset[str]) -> Backend:
    """The engine that `--on` names; UsageError where there is none of it, InfrastructureError where it is not reached."""
    address = on.partition("://")[2]
    name = require_known(on)
    found: Backend = named(ENGINES[name])(Site(address=address, folder=folder, spec_dirs=spec_dirs, units=units))
    return found
