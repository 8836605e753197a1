"""What Markdown is made of: text in which nothing is obeyed, tables, and parts that are folded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hallmark.core.wording import one_line

_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_MARKS = re.compile(r"([\\`*\[\]|~])")


def text(value: str, *, limit: int = 1000) -> str:
    """One line of plain text, as it is to be read; what is longer than `limit` is cut."""
    return _MARKS.sub(r"\\\1", one_line(value, limit=limit).translate(_HTML))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are escaped already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def fold(title: str, *blocks: str, note: str = "") -> str:
    """A part that is shown where somebody opens it; the empty lines let what is in it be Markdown."""
    said = f"<b>{title}</b>{f': {note}' if note else ''}"
    return "\n\n".join([f"<details><summary>{said}</summary>", *blocks, "</details>"])
