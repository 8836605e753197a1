"""Which rows of a file are others than before, told by their digests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

_MOST_MATCHED = 2000
"""Of more rows that differ in number it is not looked for which belong to which: that takes the square of the time."""
_MOST_NAMED = 5


def changed_rows(before: Sequence[bytes], after: Sequence[bytes]) -> str:
    """One clause about rows that are not the same, such as `row 17 was changed`. Rows are counted from 1."""
    first = next((place for place, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), None)
    if first is None:
        first = min(len(before), len(after))
    same_end = 0
    while same_end < min(len(before), len(after)) - first and before[-1 - same_end] == after[-1 - same_end]:
        same_end += 1
    old, new = before[first : len(before) - same_end], after[first : len(after) - same_end]
    if len(old) == len(new):
        places = [first + place for place, (one, other) in enumerate(zip(old, new, strict=True), start=1) if one != other]
        if Counter(old) == Counter(new):
            return f"{_rows(places)} stand in another order" if places else "was changed"
        return f"{_rows(places)} {_were(places)} changed"
    if max(len(old), len(new)) > _MOST_MATCHED and old and new:
        return f"rows from {first + 1} on were changed, and there are {len(after):,} rows instead of {len(before):,}"
    return "; ".join(_edits(old, new, first))


def _edits(old: Sequence[bytes], new: Sequence[bytes], first: int) -> Iterator[str]:
    for kind, begin, end, new_begin, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        gone = [first + place for place in range(begin + 1, end + 1)]
        come = [first + place for place in range(new_begin + 1, new_end + 1)]
        if kind == "replace":
            shared = min(len(gone), len(come))
            yield f"{_rows(gone[:shared])} {_were(gone[:shared])} changed"
            gone, come = gone[shared:], come[shared:]
        if kind != "equal" and gone:
            yield f"{_rows(gone)} {'is' if len(gone) == 1 else 'are'} missing"
        if kind != "equal" and come:
            yield f"{_rows(come)} {_were(come)} added"


def _were(places: Sequence[int]) -> str:
    return "was" if len(places) == 1 else "were"


def _rows(places: Sequence[int]) -> str:
    if len(places) == 1:
        return f"row {places[0]}"
    if places[-1] - places[0] == len(places) - 1:
        return f"rows {places[0]} to {places[-1]}" if len(places) > 2 else f"rows {places[0]} and {places[1]}"
    named = ", ".join(map(str, places[:_MOST_NAMED]))
    return f"rows {named}" if len(places) <= _MOST_NAMED else f"rows {named} and {len(places) - _MOST_NAMED} more"
