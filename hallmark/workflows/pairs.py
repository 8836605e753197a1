"""`NAME=VALUE` pairs of `--workflow-args`: each a word of the command line, or several in one quoted text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hallmark.core.errors import UsageError

_PAIR = re.compile(r"(?:--)?[A-Za-z][A-Za-z0-9_-]*=")
_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_CLOSING = {"{": "}", "[": "]", "(": ")"}


def split_pairs(texts: Sequence[str], *, option: str) -> list[str]:
    """Each pair of `texts`, quotes around a whole value taken off; UsageError for what is no pair.

    Blanks separate pairs, but not within quotes or brackets: `a=1 b="x y" c={"d": 2}` are three.
    """
    return [_pair(word, option=option) for text in texts for word in _words(text, option=option)]


def _pair(word: str, *, option: str) -> str:
    if not _PAIR.match(word):
        raise UsageError(
            f"'{word}' is not NAME=VALUE", where=option, hint="e.g. max_num_seqs=8; quote a value with blanks: a='x y'"
        )
    name, _, value = word.partition("=")
    return f"{name}={value[1:-1]}" if _QUOTED.fullmatch(value) else word


def _words(text: str, *, option: str) -> Iterator[str]:
    """The text cut at its blanks, except those within quotes or brackets."""
    word, open_brackets, place = "", "", 0
    while place < len(text):
        letter = text[place]
        quoted = _QUOTED.match(text, place)
        if letter.isspace() and not open_brackets:
            if word:
                yield word
            word = ""
        elif letter in "'\"" and quoted is None:
            raise UsageError(f"a quote is not closed: {text[place:]}", where=option, hint="close it")
        else:
            open_brackets = _after(letter, open_brackets)
            word += quoted[0] if quoted else letter
        place = quoted.end() if quoted else place + 1
    if open_brackets:
        raise UsageError(f"{open_brackets[-1]} is missing in '{word}'", where=option, hint="close it, or quote the value")
    if word:
        yield word


def _after(letter: str, expected: str) -> str:
    """The closing brackets that are still to come after `letter`."""
    if letter in _CLOSING:
        return expected + _CLOSING[letter]
    return expected[:-1] if expected.endswith(letter) else expected
