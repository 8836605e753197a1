"""What the hooks of `hallmark/hooks.py` answer: hallmark's own parts, and those of other distributions.

In pytest its plugin manager is asked, so that a conftest.py counts too. Elsewhere one of our own is, which loads the pytest
plugins of the distributions that depend on pytest-hallmark, and no others: most have no business outside of pytest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from hallmark.core.errors import UsageError

if TYPE_CHECKING:
    import pluggy

_DISTRIBUTION = "pytest-hallmark"
_ENTRY_POINTS = "pytest11"
BUILT_IN = "hallmark.built_in"
"""The module through which hallmark registers its own parts."""
PREFIX = "pytest_hallmark_"


Asked = Callable[[str], Iterable[tuple[str, Callable[[], Any]]]]
"""Hook -> (plugin, function) of each answer to it, in order."""


class Extensions:
    """What the hooks answer in one process, or in one pytest."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._answers: dict[str, tuple[Any, ...]] = {}

    def answers(self, name: str) -> tuple[Any, ...]:
        """All that is in the lists that hook `pytest_hallmark_<name>` gives, hallmark's own first; asked once.

        UsageError where a plugin answers with what is no list.
        """
        if name not in self._answers:
            asked = self._asked(PREFIX + name)
            self._answers[name] = tuple(answer for plugin, hook in asked for answer in _listed(plugin, hook))
        return self._answers[name]


def _of(manager: pluggy.PluginManager) -> Extensions:
    def asked(name: str) -> list[tuple[str, Callable[[], Any]]]:
        impls = getattr(manager.hook, name).get_hookimpls()[::-1]
        own_first = sorted(impls, key=lambda impl: getattr(impl.plugin, "__name__", "") != BUILT_IN)
        return [(impl.plugin_name, impl.function) for impl in own_first]

    return Extensions(asked)


def _own_alone() -> Extensions:
    return Extensions(lambda name: [(BUILT_IN, getattr(import_module(BUILT_IN), name))])


def _listed(plugin: str, hook: Callable[[], Any]) -> Iterable[Any]:
    answer = hook()
    if isinstance(answer, list | tuple):
        return answer
    raise UsageError(f"{hook.__name__} answers {type(answer).__name__}, not a list", where=f"plugin {plugin}")


def register_built_in(manager: pluggy.PluginManager) -> None:
    """Have hallmark's own parts answer the hooks of `manager`."""
    manager.register(import_module(BUILT_IN), BUILT_IN)


def _of_installed() -> Extensions:
    try:
        import pluggy
    except ModuleNotFoundError:
        return _own_alone()  # in the process of an engine, whose environment is not the suite's: the registry is used there

    class Manager(pluggy.PluginManager):
        """Takes functions by their names, as pytest's does."""

        def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
            found = super().parse_hookimpl_opts(plugin, name)
            return found if found is not None or not name.startswith(PREFIX) else {}

    manager = Manager("pytest")
    manager.add_hookspecs(import_module("hallmark.hooks"))
    register_built_in(manager)
    for entry_point in _entry_points():
        try:
            manager.register(entry_point.load(), entry_point.name)
        except Exception as exc:
            raise UsageError(f"the plugin cannot be imported: {exc}", where=entry_point.value) from exc
    return _of(manager)


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
    _in_pytest.append(_of(manager))


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
