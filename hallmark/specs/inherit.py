"""`extends`: a family takes over another's architecture, implementations and base targets, and changes what it states.

Mappings are merged key by key (`key: null` leaves out what would be inherited), implementations by their names, any other
list is replaced. Weights and their evals are
never inherited: they are what makes a family another one. Lines stay with what they say, so an error in an inherited
value names the file that it stands in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from hallmark.core.errors import SpecError, nearest
from hallmark.specs.yaml_source import KeyPath, Lines, YamlSource

EXTENDS = "extends"
Made = TypeVar("Made")
Given = ParamSpec("Given")
Tell = Callable[[SpecError], None]
"""Is told of what is wrong, where loading goes on without it."""
_OWN = frozenset({"schema_version", "family", EXTENDS, "replaces", "weights", "evals"})
_BY_NAME = "impls"


@dataclass(frozen=True, slots=True)
class _Taken:
    """A part of the merged data, and where it comes from."""

    new: KeyPath
    source: YamlSource
    old: KeyPath
    whole: bool
    """With all that is below it."""


def attempt(tell: Tell | None, make: Callable[Given, Made], *args: Given.args, **kwargs: Given.kwargs) -> Made | None:
    """What `make` makes of the rest; where it cannot, its error goes to `tell`, if there is one."""
    try:
        return make(*args, **kwargs)
    except SpecError as exc:
        if tell is None:
            raise
        tell(exc)
        return None


def resolved(sources: Sequence[YamlSource], tell: Tell | None = None) -> list[YamlSource]:
    """Each source with what it inherits, in the same order; SpecError for an unknown base, two of a name, and for a circle."""
    bases, done = _Bases(sources), dict[int, YamlSource]()
    merged = [attempt(tell, _resolve, source, bases, done, ()) for source in sources]
    return [source for source in merged if source is not None]


def _stated(source: YamlSource, key: str) -> str:
    """The text under `key`; empty where there is none, which validation tells in its turn."""
    value = source.data.get(key) if isinstance(source.data, dict) else None
    return value if isinstance(value, str) else ""


def _resolve(source: YamlSource, bases: _Bases, done: dict[int, YamlSource], chain: tuple[YamlSource, ...]) -> YamlSource:
    base_name = _stated(source, EXTENDS)
    if not base_name:
        return source
    if id(source) not in done:
        if source in chain:
            circle = " -> ".join(_stated(each, "family") for each in (*chain[chain.index(source) :], source))
            raise _refused(source, f"'extends' goes round in a circle: {circle}", "let one of them stand alone")
        base = bases.of(source, base_name)
        done[id(source)] = _merged(source, _resolve(base, bases, done, (*chain, source)))
    return done[id(source)]


class _Bases:
    """The families that may be extended."""

    def __init__(self, sources: Sequence[YamlSource]) -> None:
        self._by_name: dict[str, list[YamlSource]] = {}
        for source in sources:
            self._by_name.setdefault(_stated(source, "family"), []).append(source)
        self._places = {id(source): place for place, source in enumerate(sources)}

    def of(self, source: YamlSource, name: str) -> YamlSource:
        """The family of that name that `source` means; of several, one of which replaces another, the nearest before it.

        A family that replaces one of its own name may extend that one.
        """
        named = self._by_name.get(name, [])
        found = [each for each in named if each is not source] or named
        if not found:
            raise _refused(source, f"extends: unknown family '{name}'", nearest(name, filter(None, self._by_name)))
        beside = [each for each in found if each.path.parent == source.path.parent]
        before = [each for each in found if self._places[id(each)] < self._places[id(source)]]
        if len(beside) > 1 or (len(found) > 1 and not beside and not before):
            places = " and ".join(each.where(("family",)) for each in found)
            raise _refused(source, f"extends: {len(found)} families are named '{name}'", f"rename one; see {places}")
        return beside[0] if beside else (before or found)[-1]


def _refused(source: YamlSource, message: str, hint: str) -> SpecError:
    return SpecError(message, where=source.where((EXTENDS,)), hint=hint)


def _merged(child: YamlSource, base: YamlSource) -> YamlSource:
    taken: list[_Taken] = []
    inherited = {key: value for key, value in base.data.items() if key not in _OWN} if isinstance(base.data, dict) else {}
    data = _merge(_Side(child, child.data, ()), _Side(base, inherited, ()), (), taken)

    def lines() -> Lines:
        found: Lines = {(): (child.path, 1)}
        for part in taken:
            depth = len(part.old)
            for place, mark in part.source.lines.items():
                if place == part.old or (part.whole and place[:depth] == part.old):
                    found[part.new + place[depth:]] = mark
        return found

    return YamlSource(child.path, data, lines)


@dataclass(frozen=True, slots=True)
class _Side:
    """A value and where it stands."""

    source: YamlSource
    value: Any
    place: KeyPath

    def below(self, key: str | int) -> _Side:
        return _Side(self.source, self.value[key], (*self.place, key))


def _merge(child: _Side, base: _Side, at: KeyPath, taken: list[_Taken]) -> Any:
    if isinstance(child.value, dict) and isinstance(base.value, dict):
        taken.append(_Taken(at, child.source, child.place, whole=False))
        keys = (*base.value, *(key for key in child.value if key not in base.value))
        dropped = {key for key in base.value if key in child.value and child.value[key] is None}
        return {key: _either(child, base, key, (*at, key), taken) for key in keys if key not in dropped}
    if at == (_BY_NAME,) and (names := _names(base.value)) is not None and _names(child.value) is not None:
        taken.append(_Taken(at, child.source, child.place, whole=False))
        return _merge_named(child, base, names, taken)
    taken.append(_Taken(at, child.source, child.place, whole=True))
    return child.value


def _either(child: _Side, base: _Side, key: str, at: KeyPath, taken: list[_Taken]) -> Any:
    if key in child.value and key in base.value:
        return _merge(child.below(key), base.below(key), at, taken)
    side = child if key in child.value else base
    taken.append(_Taken(at, side.source, (*side.place, key), whole=True))
    return side.value[key]


def _merge_named(child: _Side, base: _Side, names: list[str], taken: list[_Taken]) -> list[Any]:
    """Implementations of one name are merged; the base's come first, then those that are new."""
    own = _names(child.value) or []
    merged: list[Any] = []
    for place, name in enumerate(names):
        at = (_BY_NAME, len(merged))
        if name in own:
            merged.append(_merge(child.below(own.index(name)), base.below(place), at, taken))
        else:
            taken.append(_Taken(at, base.source, (*base.place, place), whole=True))
            merged.append(base.value[place])
    for place, name in enumerate(own):
        if name not in names or name in own[:place]:  # a name that is there twice stays there, for validation to tell
            taken.append(_Taken((_BY_NAME, len(merged)), child.source, (*child.place, place), whole=True))
            merged.append(child.value[place])
    return merged


def _names(items: Any) -> list[str] | None:
    """The names of a list of named mappings; None where it is no such list."""
    if not isinstance(items, list) or not all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in items):
        return None
    return [item["name"] for item in items]
