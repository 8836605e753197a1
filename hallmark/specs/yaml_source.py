"""YAML with its lines kept: text -> plain data, and for an error the file and line of every key and value.

Refuses what makes a spec lie: duplicate keys, tabs of aliases that explode, files that are not text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from hallmark.core.errors import SpecError

LARGEST_BYTES = 2_000_000
MOST_NODES = 200_000
DEEPEST = 50
_SHALLOW = 10_000
"""So many openings of a list or mapping do no harm, however they are nested; beyond, libyaml may exhaust the stack."""

NUMBERED = frozenset({"device_configs"})
"""Mappings whose keys are numbers (tensor-parallel sizes); they become text, as in JSON. Elsewhere a key must be text."""

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


def read(path: Path) -> YamlSource:
    """Read one YAML file; SpecError with file and line for whatever is wrong with it."""
    return parse(read_text(path), path)


def line_of(path: Path, key_path: KeyPath) -> str:
    """`file:line` of a key, for an error that shows only when several files are read."""
    return read(path).where(key_path)


def read_text(path: Path) -> str:
    """The text of a file that may be a spec; SpecError where it cannot be one."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise SpecError(f"larger than {LARGEST_BYTES:,} bytes", where=str(path), hint="a spec is a few pages of YAML")
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise SpecError(f"cannot be read: {exc.strerror}", where=str(path), hint="check the path and its permissions") from exc
    except UnicodeDecodeError as exc:
        raise SpecError("is not UTF-8 text", where=str(path), hint="save it as UTF-8") from exc


def parse(text: str, path: Path, *, numbers_as_keys: bool = False, merges: bool = False) -> YamlSource:
    """The data of one YAML text. Other projects' files may use any numbers as keys, and merge keys (`<<`)."""
    loader = _Loader(text)
    try:
        if sum(text.count(opening) for opening in ("[", "{", "- ", "? ")) > _SHALLOW:
            _require_shallow(text, path)
        node = loader.get_single_node()
        if node is None:
            raise SpecError("is empty", where=f"{path}:1", hint="a spec needs at least schema_version, family, weights, impls")
        builder = _Builder(path, loader, numbers_as_keys=numbers_as_keys, merges=merges)
        data = builder.build(node, 0, numbered=numbers_as_keys)
        return YamlSource(path, data, lambda: builder.lines(node))
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line = mark.line + 1 if mark else 1
        raise SpecError(f"malformed YAML: {exc.problem or exc}", where=f"{path}:{line}", hint="mend the line") from exc
    except yaml.YAMLError as exc:
        raise SpecError(f"malformed YAML: {exc}".splitlines()[0], where=f"{path}:1", hint="save it as UTF-8 text") from exc
    finally:
        loader.dispose()


def _require_shallow(text: str, path: Path) -> None:
    """SpecError for nesting that would end the process: composing recurses in C, reading the events does not."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise SpecError("nested too deeply", where=f"{path}:{line}", hint="a spec is a few levels deep")


class _Builder:
    """Turns YAML nodes into data, and later, if somebody asks, into lines."""

    def __init__(self, path: Path, loader: Any, *, numbers_as_keys: bool, merges: bool) -> None:
        self.path = path
        self._loader = loader
        self._numbers_as_keys = numbers_as_keys
        self._merges = merges
        self._seen = 0

    def build(self, node: yaml.Node, depth: int, *, numbered: bool = False) -> Any:
        self._seen += 1
        if self._seen > MOST_NODES or depth > DEEPEST:
            raise SpecError("aliases expand to too much", where=self._where(node), hint="write the values out")
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.tag == _STR else self._scalar(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth + 1, numbered=numbered)
        return [self.build(child, depth + 1, numbered=self._numbers_as_keys) for child in node.value]

    def _where(self, node: yaml.Node) -> str:
        return f"{self.path}:{node.start_mark.line + 1}"

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            return self._loader.construct_object(node)
        except ValueError as exc:  # 2026-13-45 looks like a date, and a number may have too many digits
            raise SpecError(f"no such value: {exc}", where=self._where(node), hint="quote it") from exc

    def _mapping(self, node: yaml.MappingNode, depth: int, *, numbered: bool) -> dict[str, Any]:
        if self._merges and any(key.tag == _MERGE for key, _ in node.value):
            self._flatten(node)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, numbered=numbered)
            if key in result:
                raise SpecError(f"duplicate key '{key}'", where=self._where(key_node), hint="keep one of the two")
            result[key] = self.build(value_node, depth, numbered=self._numbers_as_keys or key in NUMBERED)
        return result

    def _flatten(self, node: yaml.MappingNode) -> None:
        """What `<<` brings in comes first in the node; a key of the mapping's own wins over it."""
        self._loader.flatten_mapping(node)
        last = {key.value: number for number, (key, _) in enumerate(node.value)}
        node.value = [pair for number, pair in enumerate(node.value) if last[pair[0].value] == number]

    def _key(self, node: yaml.Node, *, numbered: bool) -> str:
        if node.tag == _STR and isinstance(node, yaml.ScalarNode):
            return str(int(node.value)) if numbered and node.value.isdecimal() else str(node.value)
        key = self._scalar(node) if isinstance(node, yaml.ScalarNode) else None
        if numbered and isinstance(key, int) and not isinstance(key, bool):
            return str(key)
        if not isinstance(key, str):
            raise SpecError("a key must be text", where=self._where(node), hint="quote it")
        return key

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
