"""The suites of acceptance tests in any folder: collected beside that folder's own tests, whatever its ini file says of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

# pytest has no public way to import one test file by another mode than the rest is imported by.
from _pytest.pathlib import ImportMode, import_path

from hallmark.core.extensions import extensions
from hallmark.core.product import INSTALLED, PRODUCT, SUITE
from hallmark.specs.suites import Suite

_NODE_PREFIX = "hallmark"
"""Where the suite stands is nobody's business: node ids begin with this instead of a path out of the user's folder."""


class SuiteModule(pytest.Module):
    """A file of a suite: its name and its functions mean the same under every ini file, and never another file of that name."""

    def _getobj(self) -> ModuleType:
        return import_path(self.path, mode=ImportMode.importlib, root=_root(self.path), consider_namespace_packages=False)

    def funcnamefilter(self, name: str) -> bool:
        return name.startswith("test_")

    def classnamefilter(self, name: str) -> bool:
        return False


def _root(path: Path) -> Path:
    """What the module's name is made from: each suite's modules have names of their own."""
    return PRODUCT.parent if path.is_relative_to(PRODUCT) else path.parents[2]


def suite_items(session: pytest.Session) -> Iterator[pytest.Item]:
    """The tests of every suite, for a session whose own arguments do not lead to them.

    Not by a path among those arguments: pytest would walk down to it from its root folder, and it walks into no virtual
    environment, where the suite usually stands.
    """
    suites: tuple[Suite, ...] = extensions().answers("checks")
    for suite in suites:
        if not _adds(suite.folder, session.config):
            continue
        for path in suite.files:
            nodeid = f"{_prefix(suite)}/{path.relative_to(suite.folder).as_posix()}"
            module: SuiteModule = SuiteModule.from_parent(session, path=path, nodeid=nodeid)
            yield from session.genitems(module)


def _prefix(suite: Suite) -> str:
    return _NODE_PREFIX if suite.folder == SUITE else suite.folder.parent.name


def _adds(suite: Path, config: pytest.Config) -> bool:
    """Whether no paths were named on the command line, and none of pytest's own leads to the suite."""
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        return False
    if config.getini("hallmark_own_suite"):
        return False
    if INSTALLED and suite == SUITE:
        return True
    collected = ((config.invocation_params.dir / argument).resolve() for argument in config.args)
    return not any(suite.is_relative_to(path) for path in collected)
