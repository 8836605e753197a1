"""Shows an AnswerWatch what lm-eval's clients read: each answer, before it is taken apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from hallmark.client.answer_watch import AnswerWatch

_ECHOED = {"echo": True}
_SAID = {"ignore_eos": True}
"""What is known here of the requests: whether an answer repeats its prompt. Else a mark in it may be one that was asked for."""


def watching(client: type, watch: AnswerWatch) -> None:
    """Let `client`, a class of lm-eval's, show each answer of its server to `watch`, and no longer to an earlier watch."""
    for name, asked in (("parse_generations", _SAID), ("parse_logprobs", _ECHOED)):
        if name in vars(client):
            setattr(client, name, _shown(vars(client)[name], asked, watch))


def _shown(parse: Any, asked: Mapping[str, Any], watch: AnswerWatch) -> Any:
    """`parse`, a method or a static one, in the same form."""
    parse = getattr(parse, "seen_by", parse)
    is_static = isinstance(parse, staticmethod)
    inner: Callable[..., Any] = parse.__func__ if is_static else parse

    @wraps(inner)
    def shown(*arguments: Any, **named: Any) -> Any:
        outputs = named["outputs"] if "outputs" in named else arguments[0 if is_static else 1]
        for output in outputs if isinstance(outputs, list) else [outputs]:
            _look(watch, asked, output)
        return inner(*arguments, **named)

    made = staticmethod(shown) if is_static else shown
    made.seen_by = parse  # type: ignore[union-attr]
    return made


def _look(watch: AnswerWatch, asked: Mapping[str, Any], output: Any) -> None:
    """The whole answer with its first choice, then each other choice by itself: they answer a prompt of their own each."""
    if not isinstance(output, Mapping):
        return
    choices = output.get("choices")
    choices = choices if isinstance(choices, list) else []
    watch.body(asked, {**output, "choices": choices[:1]})
    for choice in choices[1:]:
        if isinstance(choice, Mapping):
            watch.body(asked, {"choices": [{**choice, "index": 0}]})
