"""`hallmark matrix --on acme`: the cells of a matrix on this machine, each started through acme-run, which reserves boards."""

from __future__ import annotations

from hallmark.fleet.backends import Placed
from hallmark.fleet.engines import Site
from hallmark.fleet.local import LocalBackend


def opened(site: Site) -> AcmeEngine:
    return AcmeEngine.of(site)


class AcmeEngine(LocalBackend):
    """Which devices are here, and how what was started ends, is as with the local one."""

    name = "acme"

    def command(self, placed: Placed) -> list[str]:
        return ["acme-run", *super().command(placed)]
