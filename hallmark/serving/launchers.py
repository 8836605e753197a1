"""Which ways there are of having a server. Each is a folder beside this with a site, a launcher, and the KIND that names both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from hallmark.core.errors import UsageError
from hallmark.core.extensions import extensions, named

if TYPE_CHECKING:
    from hallmark.core.option_table import Option
    from hallmark.serving.server import Launcher
    from hallmark.serving.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class LauncherKind:
    """One way of having a server. Holds names alone: what is behind them is imported when it is used."""

    name: str
    """The value of `--server`."""
    summary: str
    """Where the server is then, in a few words, for the help of `--server`."""
    site: str
    """`module:Class` of its Site, which plans the server and tells what is there."""
    launcher: str
    """`module:Class` of its Launcher, which starts the server of a plan."""
    starts_server: bool = True
    """Whether we start the server; one that somebody else started has its variables and its keys already."""
    needs_url: bool = False
    """Whether `--server-url` must say where the server answers; with any other kind it must not be there."""
    takes_image: bool = False
    """Whether `--image` may name what the server runs in."""

    def site_class(self) -> type[Site]:
        return cast("type[Site]", named(self.site))

    def make_launcher(self) -> Launcher:
        return cast("Launcher", named(self.launcher)())


def launcher_kinds() -> tuple[LauncherKind, ...]:
    """Every kind that there is, the default first; UsageError where two have one name."""
    kinds: tuple[LauncherKind, ...] = extensions().answers("launchers")
    names = [kind.name for kind in kinds]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"two launchers are called '{twice}'", where="pytest_hallmark_launchers", hint="rename one")
    return kinds


def kind_named(name: str) -> LauncherKind:
    """The kind of that name; UsageError where there is none."""
    kinds = {kind.name: kind for kind in launcher_kinds()}
    if name not in kinds:
        raise UsageError(f"unknown launcher '{name}'", where="--server", hint="known: " + ", ".join(sorted(kinds)))
    return kinds[name]


def default_kind(*, server_url: str) -> LauncherKind:
    """The kind where `--server` names none: a server's URL stands for the first kind that needs one."""
    return next(kind for kind in launcher_kinds() if kind.needs_url == bool(server_url))


def make_launcher(name: str) -> Launcher:
    """The launcher of that kind; UsageError where there is none."""
    return kind_named(name).make_launcher()


def help_of(option: Option) -> str:
    """The option's help; that of `--server` lists the kinds that there are (in pytest it is read before plugins are asked)."""
    if option.name != "server":
        return option.help
    return f"{option.help.partition(':')[0]}: " + ", ".join(kind.name for kind in launcher_kinds())
