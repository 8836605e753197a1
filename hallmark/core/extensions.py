"""What the hooks of `hallmark/hooks.py` answer: hallmark's own parts, and those of other distributions.

In pytest its plugin manager is asked, so that a conftest.py counts too. Elsewhere one of our own is, which loads the pytest
plugins of the distributions that depend on pytest-hallmark, and no others: most have no business outside of pytest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module, metadata
from typing import Any

import pluggy

from hallmark.core.errors import UsageError

_DISTRIBUTION = "pytest-hallmark"
_ENTRY_POINTS = "pytest11"
BUILT_IN = "hallmark.built_in"
"""The module through which hallmark registers its own parts."""
PREFIX = "pytest_hallmark_"


class Extensions:
    """Answers of one plugin manager."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._manager = manager
        self._answers: dict[str, tuple[Any, ...]] = {}

    def answers(self, name: str) -> tuple[Any, ...]:
        """All that is in the lists that hook `pytest_hallmark_<name>` gives, hallmark's own first; asked once.

        UsageError where a plugin answers with what is no list.
        """
        if name not in self._answers:
            hook = getattr(self._manager.hook, PREFIX + name)
            self._answers[name] = tuple(answer for impl in _own_first(hook) for answer in _listed(impl))
        return self._answers[name]


def _own_first(hook: pluggy.HookCaller) -> list[pluggy.HookImpl]:
    impls = hook.get_hookimpls()[::-1]
    return sorted(impls, key=lambda impl: getattr(impl.plugin, "__name__", "") != BUILT_IN)


def _listed(impl: pluggy.HookImpl) -> Iterable[Any]:
    answer = impl.function()
    if isinstance(answer, list | tuple):
        return answer
    name = impl.function.__name__
    raise UsageError(f"{name} answers {type(answer).__name__}, not a list", where=f"plugin {impl.plugin_name}")


class _Manager(pluggy.PluginManager):
    """Takes functions by their names, as pytest's does."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        found = super().parse_hookimpl_opts(plugin, name)
        return found if found is not None or not name.startswith(PREFIX) else {}


def register_built_in(manager: pluggy.PluginManager) -> None:
    """Have hallmark's own parts answer the hooks of `manager`."""
    manager.register(import_module(BUILT_IN), BUILT_IN)


def _of_installed() -> Extensions:
    manager = _Manager("pytest")
    manager.add_hookspecs(import_module("hallmark.hooks"))
    register_built_in(manager)
    for entry_point in _entry_points():
        try:
            manager.register(entry_point.load(), entry_point.name)
        except Exception as exc:
            raise UsageError(f"the plugin cannot be imported: {exc}", where=entry_point.value) from exc
    return Extensions(manager)


def _entry_points() -> Iterator[metadata.EntryPoint]:
    for distribution in metadata.distributions():
        if any(re.match(rf"{_DISTRIBUTION}\b", line) for line in distribution.requires or ()):
            yield from (point for point in distribution.entry_points if point.group == _ENTRY_POINTS)


_in_pytest: list[Extensions] = []
"""That of each pytest that is under way in this process, the newest last: a test of a plugin runs one within another."""
_installed = cache(_of_installed)


def extensions() -> Extensions:
    """What there is in this process."""
    return _in_pytest[-1] if _in_pytest else _installed()


def begin(manager: pluggy.PluginManager) -> None:
    """From now on `manager` of pytest answers; until `end`."""
    _in_pytest.append(Extensions(manager))


def end() -> None:
    _in_pytest.pop()


def named(reference: Any) -> Any:
    """What `"module:attribute"` names; anything but a text is itself. UsageError where it names nothing."""
    if not isinstance(reference, str):
        return reference
    module, _, attribute = reference.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as exc:
        raise UsageError(f"cannot be imported: {exc}", where=reference) from exc
