"""Documents that print two ways of writing one key, with `# OR` between them: each of them as a text of its own."""

from __future__ import annotations

import re

_OR = re.compile(r"(?P<indent>[ ]*)# OR\s*")


def alternatives(text: str) -> list[str]:
    """The texts that `text` stands for: itself, or for each `# OR` one with what is above it and one with what is below.

    Lines that are left out become blank, so that errors keep their line numbers.
    """
    lines = text.splitlines()
    place = next((number for number, line in enumerate(lines) if _OR.fullmatch(line)), None)
    if place is None:
        return [text]
    match = _OR.fullmatch(lines[place])
    indent = len(match["indent"]) if match else 0
    first, second = _above(lines, place, indent), _below(lines, place, indent)
    lines[place] = ""
    return [variant for drop in (second, first) for variant in alternatives(_without(lines, drop))]


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
