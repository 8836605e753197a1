"""Specs of older schemas, brought up to the present one; a newer one is refused in words.

A step changes a document of one version into one of the next. It moves keys with their lines, so that an error in a
migrated spec still names the line that its author wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hallmark.core.errors import SpecError
from hallmark.specs.model import SCHEMA_VERSION
from hallmark.specs.yaml_source import KeyPath, Lines, YamlSource

VERSION = "schema_version"


def migrated(source: YamlSource) -> YamlSource:
    """The document as one of the present schema; SpecError for a version that nobody can read."""
    if not isinstance(source.data, dict) or VERSION not in source.data:
        return source  # what is missing is told with all else that is wrong
    version = source.data[VERSION]
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise SpecError(
            f"'{VERSION}': should be a whole number from 1 to {SCHEMA_VERSION}, not {version!r:.60}",
            where=source.where((VERSION,)),
            hint=f"write {VERSION}: {SCHEMA_VERSION}",
        )
    if version > SCHEMA_VERSION:
        raise SpecError(
            f"{VERSION} {version} is newer than this hallmark reads ({SCHEMA_VERSION})",
            where=source.where((VERSION,)),
            hint=f"update hallmark, or write the spec for {VERSION} {SCHEMA_VERSION}",
        )
    while version < SCHEMA_VERSION:
        source = STEPS[version](source)
        version += 1
        source = _with(source, {**source.data, VERSION: version})
    return source


def _from_1(source: YamlSource) -> YamlSource:
    """In 1 `architecture` held any facts about a model; in 2 it is a pattern, so what cannot be one are `metadata`."""
    architecture = source.data.get("architecture")
    if not isinstance(architecture, dict) or "model_type" in architecture or "metadata" in source.data:
        return source
    data = {("metadata" if key == "architecture" else key): value for key, value in source.data.items()}
    return _with(source, data, renamed={("metadata",): ("architecture",)})


STEPS: dict[int, Callable[[YamlSource], YamlSource]] = {1: _from_1}
"""From a version to the next."""


def _with(source: YamlSource, data: Any, *, renamed: dict[KeyPath, KeyPath] | None = None) -> YamlSource:
    """The same file with other data; `moved` says new place -> old place."""

    def lines() -> Lines:
        found = dict(source.lines)
        for new, old in (renamed or {}).items():
            found |= {new + place[len(old) :]: mark for place, mark in source.lines.items() if place[: len(old)] == old}
        return found

    return YamlSource(source.path, data, lines)
