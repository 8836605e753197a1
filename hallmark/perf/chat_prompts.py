"""Prompts as chats: texts of random words that have, with all that the model's template adds, an exact number of tokens. Pure.

How many tokens a text has, the model's own tokenizer says; a server that reads another number of them is not the one that it
should be, and its usage tells.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hallmark.client.oracle import TokenOracle
from hallmark.core.errors import HarnessError, UsageError
from hallmark.perf.prompts import HEAD, Part, Prompt, common_by_chance, in_common

_MOST_WORDS = 4096
_TRIES = 64
_LETTERS = "aeinorstuxyz"


class ChatPrompts:
    """What a prompt shares, then its own, which is as long as is left: one message of a user, or those of a conversation."""

    def __init__(self, oracle: TokenOracle, salt: str) -> None:
        self._oracle = oracle
        self._salt = salt
        words = oracle.ordinary_words()
        words = words[:: -(-len(words) // _MOST_WORDS)]
        alone = oracle.count(words[0])
        self._sizes: Mapping[str, int] = {f" {word}": oracle.count(f"{words[0]} {word}") - alone for word in words}
        self._words = list(self._sizes)
        self._heads: set[tuple[str, ...]] = set()
        self._own: dict[str, str] = {}
        """Label of an own part -> its text, which later turns repeat."""
        self._added = 0
        """To the tokens of a text, by the template and where its parts meet; as it was with the latest prompt."""

    @property
    def symbols(self) -> int:
        """Of how many words texts are made."""
        return len(self._words)

    def by_chance(self, isl: int) -> float:
        """Tokens that a prompt has in common with unknown ones: the template's first ones, and words that are equal by chance.

        The first words that differ may begin with equal tokens, too.
        """
        one, other = (self._oracle.chat_ids(_messages([("user", self._words[place])])) for place in (0, -1))
        words = common_by_chance(self.symbols, isl=isl) + 1
        return min(float(isl), in_common(one, other) + words * max(self._sizes.values()))

    def make(self, parts: Sequence[Part]) -> Prompt:
        """A prompt of as many tokens as all parts have; the last one is its own. UsageError where a template leaves no room."""
        *shared, own = parts
        length = sum(part.tokens for part in parts)
        before = [(_role(part), self._said_before(part)) for part in shared]
        stream = self._own_stream(own)
        words = self._text(stream, max(1, own.tokens - self._added))
        for _ in range(_TRIES):
            messages = _messages([*before, (_role(own), "".join(words))])
            ids = self._oracle.chat_ids(messages)
            if len(ids) == length:
                self._own[own.label] = "".join(words)
                return Prompt(fields={"messages": messages}, ids=ids)
            self._added += len(ids) - length
            words = self._changed(words, stream, by=length - len(ids))
            if not words:
                raise UsageError(
                    f"{length} tokens are too few for a chat of this model: its template and what is shared leave no room",
                    hint="raise `isl`, or measure over completions",
                )
        raise HarnessError(f"found no chat of exactly {length} tokens")

    def _said_before(self, part: Part) -> str:
        return self._own.get(part.label) or "".join(self._text(self._stream(part.label), part.tokens))

    def _stream(self, label: str) -> Iterator[str]:
        """Words without end, each with a blank before it; those of one label are always the same."""
        draw = random.Random(f"{self._salt} {label}")  # noqa: S311 - a prompt is no secret
        while True:
            yield draw.choice(self._words)

    def _own_stream(self, part: Part) -> Iterator[str]:
        """Words that begin as those of no other prompt."""
        times = 0
        while (head := tuple(itertools.islice(self._stream(f"{part.label} {times}"), HEAD))) in self._heads:
            times += 1
        self._heads.add(head)
        return self._stream(f"{part.label} {times}")

    def _text(self, stream: Iterator[str], tokens: int) -> list[str]:
        """The first words, of so many tokens or a few less."""
        taken: list[str] = []
        for word in stream:
            tokens -= self._sizes[word]
            if tokens < 0 and taken:
                break
            taken.append(word)
        return taken

    def _changed(self, words: list[str], stream: Iterator[str], *, by: int) -> list[str]:
        """Words with about so many tokens more or less; where no word fits, a letter makes the last one longer."""
        words = list(words)
        while by < 0 and words:
            by += self._sizes.get(words.pop(), 1)
        while by > 0:
            word = next(stream)
            if self._sizes[word] > by:
                word = _LETTERS[len(words) % len(_LETTERS)]
            words.append(word)
            by -= self._sizes.get(word, 1)
        return words


def _role(part: Part) -> str:
    return "assistant" if part.answer else "user"


def _messages(said: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """A message for all that one says without a break."""
    turns = itertools.groupby(said, key=lambda one: one[0])
    return [{"role": role, "content": "".join(text for _, text in texts).strip()} for role, texts in turns]
