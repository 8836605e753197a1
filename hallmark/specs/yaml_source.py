"""YAML with its lines kept: text -> plain data, and for an error the file and line of every key and value.

Refuses what makes a spec lie: duplicate keys, aliases that explode, values that nothing can hold. Merge keys (`<<: *name`)
bring in the keys that a mapping does not state itself, each with the line that it stands in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from hallmark.core.errors import SpecError
from hallmark.specs.text_file import read_text, unfit

MOST_NODES = 200_000
DEEPEST = 50
_SHALLOW = 10_000
"""So many openings of a list or mapping do no harm, however they are nested; beyond, libyaml may exhaust the stack."""

NUMBERED = frozenset({"device_configs"})
"""Mappings whose keys are numbers (tensor-parallel sizes); they become text, as in JSON. Elsewhere a key must be text."""

_LONGEST_SIZE = 9
"""Digits of a number that stands as a key in quotes; one beyond it stays text, which validation refuses."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STR, _INT, _MERGE = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "merge"))
KeyPath = tuple[str | int, ...]
Mark = tuple[Path, int]
"""A file and a line in it, counted from 1."""
Lines = dict[KeyPath, Mark]


@dataclass(frozen=True, eq=False)
class YamlSource:
    """The data of one file (or of several that inherit), and where each part of it stands."""

    path: Path
    data: Any
    find_lines: Callable[[], Lines]
    """Called only for an error: most files have none."""

    @cached_property
    def lines(self) -> Lines:
        return self.find_lines()

    def mark(self, key_path: KeyPath) -> Mark:
        """File and line of the deepest part of `key_path` that is there."""
        return self.lines.get(self.known(key_path), (self.path, 1))

    def where(self, key_path: KeyPath) -> str:
        """`file:line` of the deepest part of `key_path` that is there."""
        path, line = self.mark(key_path)
        return f"{path}:{line}"

    def known(self, key_path: KeyPath) -> KeyPath:
        """The deepest part of `key_path` that is there."""
        while key_path and key_path not in self.lines:
            key_path = key_path[:-1]
        return key_path

    def part(self, key_path: KeyPath) -> YamlSource:
        """What stands at `key_path`, which must be there, as a source of its own."""
        data = self.data
        for key in key_path:
            data = data[key]
        depth = len(key_path)
        return YamlSource(
            self.path,
            data,
            lambda: {place[depth:]: mark for place, mark in self.lines.items() if place[:depth] == key_path},
        )


def read(path: Path) -> YamlSource:
    """Read one YAML file; SpecError with file and line for whatever is wrong with it."""
    return parse(read_text(path), path)


def line_of(path: Path, key_path: KeyPath) -> str:
    """`file:line` of a key, for an error that shows only when several files are read."""
    return read(path).where(key_path)


def parse(text: str, path: Path, *, numbers_as_keys: bool = False) -> YamlSource:
    """The data of one YAML text. Other projects' files may use any numbers as keys."""
    with _in_our_words(path):
        builder, node = _composed(text, path, numbers_as_keys=numbers_as_keys)
        return YamlSource(path, builder.build(node, 0, numbered=numbers_as_keys), lambda: builder.lines(node))


def lines_of(text: str, path: Path) -> Lines:
    """Where each part of a YAML text stands, whatever its values are; SpecError for what is malformed."""
    with _in_our_words(path):
        builder, node = _composed(text, path, numbers_as_keys=False)
        return builder.lines(node)


def _composed(text: str, path: Path, *, numbers_as_keys: bool) -> tuple[_Builder, yaml.Node]:
    loader = _Loader(text)
    try:
        if sum(text.count(opening) for opening in ("[", "{", "- ", "? ")) > _SHALLOW:
            _require_shallow(text, path)
        node = loader.get_single_node()
    finally:
        loader.dispose()
    if node is None:
        raise SpecError("is empty", where=f"{path}:1", hint="a spec needs at least schema_version, family, weights, impls")
    return _Builder(path, loader, numbers_as_keys=numbers_as_keys), node


@contextmanager
def _in_our_words(path: Path) -> Iterator[None]:
    """What PyYAML complains of as SpecError, with file and line."""
    try:
        yield
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f"{path}:{mark.line + 1 if mark else 1}"
        if "nesting depth" in str(exc.problem):  # later versions of libyaml count for themselves
            raise SpecError("nested too deeply", where=where, hint="a spec is a few levels deep") from exc
        raise SpecError(f"malformed YAML: {exc.problem or exc}", where=where, hint="mend the line") from exc
    except yaml.YAMLError as exc:
        raise SpecError(f"malformed YAML: {exc}".splitlines()[0], where=f"{path}:1", hint="save it as UTF-8 text") from exc


def _require_shallow(text: str, path: Path) -> None:
    """SpecError for nesting that would end the process: composing recurses in C, reading the events does not."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise SpecError("nested too deeply", where=f"{path}:{line}", hint="a spec is a few levels deep")


_NO_VALUE = (ValueError, LookupError, AttributeError, ArithmeticError)
"""What PyYAML raises for 2026-13-45 (looks like a date), for too many digits, and for a tag that does not fit (`!!bool x`)."""
_Pair = tuple[yaml.Node, yaml.Node]


def _identity(key: yaml.Node) -> object:
    """What makes two keys of one mapping the same."""
    return (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else key


class _Builder:
    """Turns YAML nodes into data, and later, if somebody asks, into lines."""

    def __init__(self, path: Path, loader: Any, *, numbers_as_keys: bool) -> None:
        self.path = path
        self._loader = loader
        self._numbers_as_keys = numbers_as_keys
        self._seen = 0
        self._merging: list[yaml.Node] = []

    def build(self, node: yaml.Node, depth: int, *, numbered: bool = False) -> Any:
        self._count(1, node, depth)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth + 1, numbered=numbered)
        return [self.build(child, depth + 1, numbered=self._numbers_as_keys) for child in node.value]

    def _count(self, nodes: int, node: yaml.Node, depth: int) -> None:
        self._seen += nodes
        if self._seen > MOST_NODES or depth > DEEPEST:
            raise SpecError("aliases expand to too much", where=self._where(node), hint="write the values out")

    def _where(self, node: yaml.Node) -> str:
        return f"{self.path}:{node.start_mark.line + 1}"

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            value = node.value if node.tag == _STR else self._loader.construct_object(node)
        except _NO_VALUE as exc:
            raise SpecError(f"no such value: {exc}", where=self._where(node), hint="quote it") from exc
        if problem := unfit(value):
            raise SpecError(f"no such value: {problem}", where=self._where(node), hint="correct it")
        return value

    def _mapping(self, node: yaml.MappingNode, depth: int, *, numbered: bool) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in self._pairs(node):
            key = self._key(key_node, numbered=numbered)
            if key in result:
                raise SpecError(f"duplicate key '{key}'", where=self._where(key_node), hint="keep one of the two")
            result[key] = self.build(value_node, depth, numbered=self._numbers_as_keys or key in NUMBERED)
        return result

    def _pairs(self, node: yaml.MappingNode) -> list[_Pair]:
        """The keys and values of a mapping: those that `<<` brings in and it does not state itself, then its own."""
        stated: list[_Pair] = node.value
        if not any(key.tag == _MERGE for key, _ in stated):
            return stated
        if node in self._merging:
            raise SpecError("'<<' merges a mapping into itself", where=self._where(node), hint="write the values out")
        self._merging.append(node)
        merges = [pair for pair in stated if pair[0].tag == _MERGE]
        own = [pair for pair in stated if pair[0].tag != _MERGE]
        if len(merges) > 1:
            raise SpecError("duplicate key '<<'", where=self._where(merges[1][0]), hint="write `<<: [*one, *other]`")
        taken = {_identity(key) for key, _ in own}
        brought: list[_Pair] = []
        for mapping in self._merged(*merges[0]):
            pairs = self._pairs(mapping)
            self._count(len(pairs), mapping, len(self._merging))
            brought += [pair for pair in pairs if _identity(pair[0]) not in taken]
            taken |= {_identity(key) for key, _ in pairs}
        self._merging.pop()
        node.value = merged = [*brought, *own]  # for good: an alias may lead here again, and `lines` walks what was merged
        return merged

    def _merged(self, key: yaml.Node, value: yaml.Node) -> list[yaml.MappingNode]:
        """The mappings that `<<` names; of two that state a key the first one wins."""
        named: list[yaml.Node] = value.value if isinstance(value, yaml.SequenceNode) else [value]
        mappings = [mapping for mapping in named if isinstance(mapping, yaml.MappingNode)]
        if len(mappings) < len(named):
            raise SpecError("'<<' must name a mapping, or several", where=self._where(key), hint="write `<<: *anchor`")
        return mappings

    def _key(self, node: yaml.Node, *, numbered: bool) -> str:
        key = self._scalar(node) if isinstance(node, yaml.ScalarNode) else None
        if numbered and isinstance(key, int) and not isinstance(key, bool):
            return str(key)
        if not isinstance(key, str):
            raise SpecError("a key must be text", where=self._where(node), hint="quote it")
        return str(int(key)) if numbered and key.isdecimal() and len(key) <= _LONGEST_SIZE else key

    def lines(self, root: yaml.Node) -> Lines:
        """The line of every key and of every item; a value stands where its key does."""
        found: Lines = {}

        def walk(node: yaml.Node, key_path: KeyPath, *, numbered: bool) -> None:
            found.setdefault(key_path, (self.path, node.start_mark.line + 1))
            if isinstance(node, yaml.MappingNode):
                for key_node, value_node in node.value:
                    key = self._key(key_node, numbered=numbered)
                    found[*key_path, key] = (self.path, key_node.start_mark.line + 1)
                    walk(value_node, (*key_path, key), numbered=self._numbers_as_keys or key in NUMBERED)
            elif isinstance(node, yaml.SequenceNode):
                for place, child in enumerate(node.value):
                    walk(child, (*key_path, place), numbered=self._numbers_as_keys)

        walk(root, (), numbered=self._numbers_as_keys)
        return found
