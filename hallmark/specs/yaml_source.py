"""YAML with its lines kept: text -> plain data plus the line of every key and value.

Refuses what makes a spec lie: duplicate keys, tabs of aliases that explode, files that are not text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hallmark.core.errors import SpecError

LARGEST_BYTES = 2_000_000
MOST_NODES = 200_000
DEEPEST = 50
_SHALLOW = 10_000
"""So many openings of a list or mapping do no harm, however they are nested; beyond, libyaml may exhaust the stack."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class YamlSource:
    """The data of one file, and where each part of it stands."""

    path: Path
    data: Any
    lines: dict[KeyPath, int]
    """Key path -> line, counted from 1."""

    def where(self, key_path: KeyPath) -> str:
        """`file:line` of the deepest part of `key_path` that exists in the file."""
        return f"{self.path}:{self.lines.get(self.known(key_path), 1)}"

    def known(self, key_path: KeyPath) -> KeyPath:
        """The deepest part of `key_path` that exists in the file."""
        while key_path and key_path not in self.lines:
            key_path = key_path[:-1]
        return key_path


def read(path: Path) -> YamlSource:
    """Read one YAML file; SpecError with file and line for whatever is wrong with it."""
    return parse(_text(path), path)


def line_of(path: Path, key_path: KeyPath) -> str:
    """`file:line` of a key, for an error that shows only when several files are read."""
    return read(path).where(key_path)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise SpecError(f"larger than {LARGEST_BYTES:,} bytes", where=str(path), hint="a spec is a few pages of YAML")
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise SpecError(f"cannot be read: {exc.strerror}", where=str(path), hint="check the path and its permissions") from exc
    except UnicodeDecodeError as exc:
        raise SpecError("is not UTF-8 text", where=str(path), hint="save it as UTF-8") from exc


def parse(text: str, path: Path) -> YamlSource:
    loader = _Loader(text)
    try:
        if sum(text.count(opening) for opening in ("[", "{", "- ", "? ")) > _SHALLOW:
            _require_shallow(text, path)
        node = loader.get_single_node()
        if node is None:
            raise SpecError("is empty", where=f"{path}:1", hint="a spec needs at least schema_version, family, weights, impls")
        builder = _Builder(path, loader)
        return YamlSource(path, builder.build(node, ()), builder.lines)
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
    """Turns YAML nodes into data and notes their lines."""

    def __init__(self, path: Path, loader: Any) -> None:
        self.path = path
        self.lines: dict[KeyPath, int] = {}
        self._loader = loader
        self._seen = 0

    def build(self, node: yaml.Node, key_path: KeyPath) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(key_path, line)
        self._seen += 1
        if self._seen > MOST_NODES or len(key_path) > DEEPEST:
            raise SpecError("aliases expand to too much", where=f"{self.path}:{line}", hint="write the values out")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key_path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*key_path, i)) for i, child in enumerate(node.value)]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            return self._loader.construct_object(node)
        except ValueError as exc:  # 2026-13-45 looks like a date, and a number may have too many digits
            raise SpecError(f"no such value: {exc}", where=f"{self.path}:{node.start_mark.line + 1}", hint="quote it") from exc

    def _mapping(self, node: yaml.MappingNode, key_path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            where = f"{self.path}:{key_node.start_mark.line + 1}"
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise SpecError("a key must be text", where=where, hint="quote it")
            if key in result:
                raise SpecError(f"duplicate key '{key}'", where=where, hint="keep one of the two")
            self.lines[(*key_path, key)] = key_node.start_mark.line + 1
            result[key] = self.build(value_node, (*key_path, key))
        return result
