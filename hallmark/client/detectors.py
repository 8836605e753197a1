"""What is wrong with an answer by itself, whatever was asked: pure rules over what one answer holds.

A rule that cannot be sure of a fault says nothing, or what is to be noted: a model may say odd things on a server that is right.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SECONDS = range(1_500_000_000, 4_000_000_000)
"""What a time in seconds looks like: in milliseconds it has three digits more."""
BROKEN = "\N{REPLACEMENT CHARACTER}"
MARK = re.compile(r"<\|[^|<>\s]{1,40}\|>|<\uff5c[^\uff5c<>]{1,40}\uff5c>|</?s>|<(?:start|end)_of_turn>|<[be]os>|<unk>|\[/?INST\]")
"""What models mark roles and ends with."""
_UNMISTAKABLE = ("<|", "<\uff5c")
_REPEATS = 8
_LONGEST_UNIT = 16
"""Of what is repeated, in characters."""
_BESIDES = frozenset({"stream", "stream_options", "logprobs", "top_logprobs", "user"})
"""Fields that do not decide what is said."""
_BOUND = ("logit_bias", "response_format", "structured_outputs", "tools", "ignore_eos", "min_tokens", "repetition_penalty")
"""Fields that may make a model say what it would not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An answer, whole or put together from a stream."""

    asked: Mapping[str, Any]
    """The fields of the request; empty where its body was no JSON object."""
    ids: tuple[Any, ...] = ()
    created: tuple[Any, ...] = ()
    text: str = ""
    """Of the first choice."""
    finish_reason: str = ""
    usages: tuple[Mapping[str, Any], ...] = ()
    logprobs: tuple[Any, ...] = ()
    """Of the tokens that were said, over all choices; without those of an echoed prompt."""
    token_bytes: bytes | None = None
    """What the tokens of the first choice are made of, where that is told of each."""
    complete: bool = True
    """Whether a stream was read to its end."""

    @property
    def key(self) -> str:
        """The same for requests that a right server answers with the same text; empty where chance decides."""
        if self.asked.get("temperature") != 0 or isinstance(self.asked.get("temperature"), bool):
            return ""
        return json.dumps({name: value for name, value in self.asked.items() if name not in _BESIDES}, sort_keys=True)

    @property
    def bound(self) -> bool:
        """Whether the request may have made the model say what it would not."""
        return any(self.asked.get(name) for name in _BOUND)


def seen_in(asked: object, body: Mapping[str, Any]) -> Seen:
    """Of an answer that is not streamed."""
    return seen_in_stream(asked, [body])


def seen_in_stream(asked: object, events: Sequence[Mapping[str, Any]], *, complete: bool = True) -> Seen:
    """Of the events of a stream; those of /v1/responses carry the whole answer in the last."""
    fields = asked if isinstance(asked, Mapping) else {}
    events = [last] if events and isinstance(last := events[-1].get("response"), Mapping) else events
    choices = [choice for event in events for choice in event.get("choices") or () if isinstance(choice, Mapping)]
    first = [choice for choice in choices if choice.get("index", 0) == 0]
    created = [event["created"] for event in events if "created" in event]
    created += [_without_fraction(event["created_at"]) for event in events if "created_at" in event]
    rows = [row for choice in choices for row in _rows(choice)]
    return Seen(
        asked=fields,
        ids=tuple(dict.fromkeys(event["id"] for event in events if isinstance(event.get("id"), str))),
        created=tuple({repr(value): value for value in created}.values()),
        text="".join(_text(choice) for choice in first),
        finish_reason=next((str(choice["finish_reason"]) for choice in reversed(first) if choice.get("finish_reason")), ""),
        usages=tuple(event["usage"] for event in events if isinstance(event.get("usage"), Mapping)),
        logprobs=() if fields.get("echo") else tuple(value for value, _ in rows),
        token_bytes=_joined(pieces for choice in first for _, pieces in _rows(choice)),
        complete=complete,
    )


def _without_fraction(value: Any) -> Any:
    """Responses say when they were created by a number, which may have one; completions and chats by a whole number."""
    return int(value) if isinstance(value, float) and math.isfinite(value) else value


def _text(choice: Mapping[str, Any]) -> str:
    said = choice.get("text")
    for name in ("message", "delta"):
        if said is None and isinstance(choice.get(name), Mapping):
            said = choice[name].get("content")
    return said if isinstance(said, str) else ""


def _rows(choice: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """(log-probability, bytes) of each token that a choice tells."""
    told = choice.get("logprobs")
    if not isinstance(told, Mapping):
        return []
    if isinstance(rows := told.get("content"), list):
        return [(row.get("logprob"), row.get("bytes")) for row in rows if isinstance(row, Mapping)]
    values = told.get("token_logprobs")
    return [(value, None) for value in values] if isinstance(values, list) else []


def _joined(pieces: Iterable[Any]) -> bytes | None:
    whole = list(pieces)
    try:
        return b"".join(map(bytes, whole)) if whole and all(isinstance(piece, list) for piece in whole) else None
    except (TypeError, ValueError):
        return None


def wrong_created(seen: Seen) -> str:
    """What is wrong with the time of creation; empty where nothing is, or where there is none."""
    wrong = [value for value in seen.created if not _whole(value) or value not in SECONDS]
    return f"created is {wrong[0]!r}, which is no time in whole seconds" if wrong else ""


def wrong_usage(seen: Seen) -> str:
    """What does not add up in the counts."""
    return next((told for usage in seen.usages if (told := _wrong_counts(usage))), "")


_COUNTS = (
    ("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details"),
    ("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details"),
)
"""Of completions and chats, and of responses."""


def _wrong_counts(usage: Mapping[str, Any]) -> str:
    for read, made, read_details, made_details in _COUNTS:
        counts = {name: usage[name] for name in (read, made, "total_tokens") if name in usage}
        if read not in counts:
            continue
        for name, value in counts.items():
            if not _whole(value) or value < 0:
                return f"usage.{name} is {value!r}, which is no count"
        if len(counts) == 3 and counts[read] + counts[made] != counts["total_tokens"]:
            return f"{counts[read]} {read} and {counts[made]} {made} are not {counts['total_tokens']} in all"
        for details, part, whole in ((read_details, "cached_tokens", read), (made_details, "reasoning_tokens", made)):
            some = (usage.get(details) or {}).get(part) if isinstance(usage.get(details) or {}, Mapping) else None
            if _whole(some) and whole in counts and some > counts[whole]:
                return f"{some} {part} are more than the {counts[whole]} {whole}"
    return ""


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def wrong_logprobs(seen: Seen) -> str:
    """A log-probability of a token that was said is a number, finite, and at most 0."""
    for value in seen.logprobs:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"the log-probability of a token is {value!r}, which is no number"
        if not math.isfinite(value) or value > 1e-6:
            return f"the log-probability of a token is {value!r}"
    return ""


def marks_in(seen: Seen) -> list[str]:
    """Marks in the text that the request does not have, and did not ask to see."""
    if seen.asked.get("skip_special_tokens") is False or BROKEN in seen.text:
        return []
    wanted = json.dumps(seen.asked, ensure_ascii=False)
    return [mark for mark in dict.fromkeys(MARK.findall(seen.text)) if mark not in wanted]


def is_leak(seen: Seen, mark: str) -> bool:
    """Whether `mark`, a special token of the model, cannot well be something that it spelled out."""
    ended = seen.finish_reason == "stop" and seen.text.endswith(mark)
    return not seen.bound and (ended or mark.startswith(_UNMISTAKABLE))


def repeats_one_character(seen: Seen) -> bool:
    """Nothing but one character, again and again."""
    said = seen.text.strip()
    return len(said) >= _REPEATS and len(set(said)) == 1 and BROKEN not in said


def repeats(seen: Seen) -> bool:
    """It ends, but for a few characters, in a few characters again and again."""
    return bool(seen.text.strip()) and any(_repeats(seen.text, unit) for unit in range(1, _LONGEST_UNIT + 1))


def _repeats(text: str, unit: int) -> bool:
    """Whether it ends, but for a few characters, in so many again and again."""
    near, length = len(text) - _LONGEST_UNIT, _REPEATS * unit

    def alike(begin: int, end: int) -> bool:
        return text[begin : end - unit] == text[begin + unit : end]

    # What every such stretch has in common comes first: as a rule it is not alike, and that settles it.
    return alike(max(0, len(text) - length), near) and any(
        alike(end - length, end) for end in range(max(length, near), len(text) + 1)
    )


def breaks_characters(seen: Seen) -> str:
    """Broken characters in the text, where its tokens make whole ones."""
    if BROKEN not in seen.text or seen.token_bytes is None:
        return ""
    try:
        whole = seen.token_bytes.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return "" if BROKEN in whole else f"the text is {seen.text[:80]!r}, and the bytes of its tokens are {whole[:80]!r}"


def is_broken_copy(broken: str, whole: str) -> bool:
    """Whether one text is the other but for broken characters in the place of others."""
    if BROKEN not in broken or BROKEN in whole:
        return False
    pieces = [re.escape(piece) for piece in re.split(f"{BROKEN}+", broken)]
    return re.fullmatch("[^\\x00-\\x7f]+".join(pieces), whole, re.DOTALL) is not None
