"""Documents that print two ways of writing one key, with `# OR` between them: each of them as a text of its own."""

from __future__ import annotations

import re
from pathlib import Path

from hallmark.core.errors import SpecError

_OR = re.compile(r"(?P<indent>[ ]*)# OR\s*")
_MOST = 6
"""Each doubles the texts that are read."""


def alternatives(text: str, path: Path) -> list[str]:
    """The texts that `text` stands for: itself, or for each `# OR` one with what is above it and one with what is below.

    Lines that are left out become blank, so that errors keep their line numbers. SpecError for more than can be read.
    """
    lines = text.splitlines()
    places = [number for number, line in enumerate(lines) if _OR.fullmatch(line)]
    if not places:
        return [text]
    if len(places) > _MOST:
        where = f"{path}:{places[_MOST] + 1}"
        raise SpecError(f"more than {_MOST} alternatives (`# OR`)", where=where, hint="keep one of each two")
    place = places[0]
    match = _OR.fullmatch(lines[place])
    indent = len(match["indent"]) if match else 0
    first, second = _above(lines, place, indent), _below(lines, place, indent)
    lines[place] = ""
    return [variant for drop in (second, first) for variant in alternatives(_without(lines, drop), path)]


def _above(lines: list[str], place: int, indent: int) -> range:
    """The key before the comment, with what is below it."""
    start = place - 1
    while start > 0 and _depth(lines[start]) != indent:
        start -= 1
    return range(start, place)


def _below(lines: list[str], place: int, indent: int) -> range:
    """The key after the comment, with what is below it."""
    end = place + 2
    while end < len(lines) and (not lines[end].strip() or _depth(lines[end]) > indent):
        end += 1
    return range(place + 1, end)


def _depth(line: str) -> int:
    """The indentation of a line that says something; -1 for one that does not."""
    words = line.lstrip(" ")
    return len(line) - len(words) if words and not words.startswith("#") else -1


def _without(lines: list[str], drop: range) -> str:
    return "\n".join("" if number in drop else line for number, line in enumerate(lines)) + "\n"
