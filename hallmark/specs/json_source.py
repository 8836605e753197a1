"""JSON as documents print it: with comments and trailing commas, and its lines kept for errors. Strict in all else."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hallmark.core.errors import SpecError
from hallmark.specs.strict import second
from hallmark.specs.text_file import read_text, unfit
from hallmark.specs.yaml_source import DEEPEST, KeyPath, Lines, YamlSource, lines_of, parse

# A string that is never closed ends with the text: looked for again at each quote in it, it would take for ever.
_STRING = r'"(?:[^"\\]++|\\.)*+"?'
_COMMENTS = re.compile(rf"{_STRING}|//[^\n]*+|/\*", re.DOTALL)
_COMMAS = re.compile(rf"{_STRING}|,(?=\s*[}}\]])", re.DOTALL)


def read(path: Path, *, finite: bool = True) -> YamlSource:
    """The object of a JSON file, and where each part of it stands; SpecError with file and line for what is none.

    Numbers that are not finite, which Python writes and JSON has not, are taken with `finite=False`.
    """
    text = _plain(read_text(path), path)
    source = YamlSource(path, _decoded(text, path), lambda: _lines(text, path))
    for at, problem in _unfit(source.data, finite=finite):
        raise SpecError(f"no such value: {problem}", where=source.where(at), hint="correct it")
    return source


class _TwiceError(Exception):
    """A key stands twice in one object."""


def _decoded(text: str, path: Path) -> dict[str, Any]:
    try:
        data = json.loads(text, object_pairs_hook=_once)
    except _TwiceError as exc:
        parse(text, path)  # which tells the line
        raise SpecError(f"duplicate key '{exc}'", where=f"{path}:1", hint="keep one of the two") from exc
    except json.JSONDecodeError as exc:
        raise SpecError(f"malformed JSON: {exc.msg}", where=f"{path}:{exc.lineno}", hint="mend the line") from exc
    except RecursionError as exc:
        raise SpecError("nested too deeply", where=f"{path}:1", hint="a specification is a few levels deep") from exc
    except ValueError as exc:  # a number of too many digits
        raise SpecError(f"no such value: {exc}", where=f"{path}:1", hint="correct it") from exc
    if not isinstance(data, dict):
        raise SpecError("must be an object", where=f"{path}:1", hint="start with `{`")
    return data


def _plain(text: str, path: Path) -> str:
    """Without what JSON has not: comments, and commas that nothing follows. Line ends stay, so that errors keep their lines."""
    kept: list[str] = []
    at = 0
    while found := _COMMENTS.search(text, at):
        kept.append(text[at : found.start()])
        at = found.end()
        if found[0] == "/*":
            end = text.find("*/", at)
            if end < 0:
                line = text.count("\n", 0, found.start()) + 1
                raise SpecError("malformed JSON: a comment without an end", where=f"{path}:{line}", hint="close it with */")
            kept.append("\n" * text.count("\n", at, end))
            at = end + 2
        elif found[0].startswith('"'):
            kept.append(found[0])
    return _COMMAS.sub(lambda found: found[0] if found[0].startswith('"') else "", "".join(kept) + text[at:])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (place := second(key for key, _ in pairs)) is not None:
        raise _TwiceError(pairs[place][0])
    return dict(pairs)


def _unfit(data: Any, *, finite: bool) -> Iterator[tuple[KeyPath, str]]:
    """Each key or value that no spec can hold: where it stands, and why."""
    left: list[tuple[KeyPath, Any]] = [((), data)]
    while left:
        at, value = left.pop()
        if len(at) > DEEPEST:
            yield at, "it is nested too deeply"
        elif isinstance(value, dict | list):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                if problem := unfit(key):
                    yield at, problem
                left.append(((*at, key), item))
        elif finite and isinstance(value, float) and not math.isfinite(value):
            yield at, "not a finite number"
        elif problem := unfit(value):
            yield at, problem


def _lines(text: str, path: Path) -> Lines:
    """Read as YAML, of which JSON is a part; where that has no such text, no line is known but the first."""
    try:
        return lines_of(text, path)
    except SpecError:
        return {}
