"""The acceptance suite in any folder: collected beside that folder's own tests, whatever its ini file says of them."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

# pytest has no public way to import one test file by another mode than the rest is imported by.
from _pytest.pathlib import ImportMode, import_path

from hallmark.core.product import INSTALLED, PRODUCT, SUITE

_NODE_PREFIX = "hallmark"
"""Where the suite stands is nobody's business: node ids begin with this instead of a path out of the user's folder."""


class SuiteModule(pytest.Module):
    """A file of the suite: its name and its functions mean the same under every ini file, and never another file of that name."""

    def _getobj(self) -> ModuleType:
        return import_path(self.path, mode=ImportMode.importlib, root=PRODUCT.parent, consider_namespace_packages=False)

    def funcnamefilter(self, name: str) -> bool:
        return name.startswith("test_")

    def classnamefilter(self, name: str) -> bool:
        return False


def suite_items(session: pytest.Session) -> Iterator[pytest.Item]:
    """The suite's tests, for a session whose own arguments do not lead to them.

    Not by a path among those arguments: pytest would walk down to it from its root folder, and it walks into no virtual
    environment, where the suite usually stands.
    """
    if not _adds_suite(session.config):
        return
    for path in sorted(SUITE.glob("*/test_*.py")):
        nodeid = f"{_NODE_PREFIX}/{path.relative_to(SUITE).as_posix()}"
        yield from session.genitems(SuiteModule.from_parent(session, path=path, nodeid=nodeid))


def _adds_suite(config: pytest.Config) -> bool:
    """Whether no paths were named on the command line, and none of pytest's own leads to the suite."""
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        return False
    if config.getini("hallmark_own_suite"):
        return False
    if INSTALLED:
        return True
    collected = ((config.invocation_params.dir / argument).resolve() for argument in config.args)
    return not any(SUITE.is_relative_to(path) for path in collected)
