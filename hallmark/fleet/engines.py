"""Where cells can be run: `--on NAME`, or `NAME://ADDRESS`. Which there are is what `pytest_hallmark_engines` answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hallmark.core.errors import HallmarkError, HarnessError, UsageError, nearest
from hallmark.core.extensions import extensions, named
from hallmark.core.wording import one_line

if TYPE_CHECKING:
    from hallmark.fleet.backends import Backend
    from hallmark.specs.model import Detection

_HOOK = "pytest_hallmark_engines"
_PARTS = ("name", "elastic", "offer", "start", "poll", "cancel", "close")
"""What a Backend has (`backends.py`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKind:
    """One way of running many cells. Holds names alone: what is behind them is imported when it is used."""

    name: str
    """The value of `--on`, before any `://`."""
    opened: str
    """`module:function`, which is called with the Site and answers with the Backend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What an engine is told."""

    address: str
    """What follows `://`; empty where nothing does."""
    folder: Path
    """Results lie in it, or beside it; every node sees it at this path."""
    spec_dirs: tuple[Path, ...]
    """Folders of specs, besides the catalogues that every node has of its own."""
    units: Mapping[str, Detection]
    """What the devices of all specs are counted in, and how that is found."""


def engine_kinds() -> dict[str, EngineKind]:
    """Name -> engine, hallmark's own first; UsageError where a plugin answers with anything else, or takes a name again."""
    kinds: dict[str, EngineKind] = {}
    for kind in extensions().answers("engines"):
        if not isinstance(kind, EngineKind):
            raise UsageError(f"{one_line(repr(kind), limit=80)} is no EngineKind", where=_HOOK, hint="see hallmark/hooks.py")
        if kind.name in kinds:
            raise UsageError(f"two engines are called '{kind.name}'", where=_HOOK, hint="rename one")
        kinds[kind.name] = kind
    return kinds


def require_known(on: str) -> EngineKind:
    """The engine that `--on` names; UsageError where there is none of it."""
    name, kinds = on.partition("://")[0], engine_kinds()
    if name not in kinds:
        raise UsageError(f"cells cannot be run on '{on}'", where="--on", hint=nearest(name, kinds))
    return kinds[name]


def opened(on: str, *, folder: Path, spec_dirs: tuple[Path, ...], units: Mapping[str, Detection]) -> Backend:
    """The engine that `--on` names, opened; UsageError where there is none of it, InfrastructureError where it is not reached,
    HarnessError where a plugin's own fails.
    """
    kind = require_known(on)
    open_it = named(kind.opened)
    try:
        found = open_it(Site(address=on.partition("://")[2], folder=folder, spec_dirs=spec_dirs, units=units))
    except HallmarkError:
        raise
    except Exception as exc:
        raise HarnessError(f"the engine '{kind.name}' cannot be opened: {type(exc).__name__}: {exc}", where=kind.opened) from exc
    if lacking := [part for part in _PARTS if not hasattr(found, part)]:
        what = f"the engine '{kind.name}' opens a {type(found).__name__} without {', '.join(lacking)}"
        raise UsageError(what, where=kind.opened, hint="hallmark/fleet/backends.py says what it takes")
    return cast("Backend", found)
