"""Rules that an answer keeps or breaks by itself, so that a failure by one of them can be derived again from the kept answer.

Whoever raises such a failure names its rule (`Answer.failure(..., rule=...)`): one name, and what the rule is held with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from hallmark.client.refusal import (
    DISCREET,
    NO_BREAKDOWN,
    REFUSED,
    REFUSED_IN_JSON,
    require_discreet,
    require_no_breakdown,
    require_refused,
    require_refused_in_json,
)
from hallmark.client.wire import JSON, STATUS, Answer

_ANY_REFUSAL = range(400, 500)
_STATUS_ALONE = frozenset({STATUS, NO_BREAKDOWN})
"""Rules that no body is needed for."""
_RULES: Mapping[str, Callable[[Answer, Any], object]] = {
    STATUS: lambda answer, status: answer.require(int(status)),
    JSON: lambda answer, _: answer.json(),
    REFUSED: lambda answer, what: require_refused(answer, str(what)),
    REFUSED_IN_JSON: lambda answer, statuses: require_refused_in_json(answer, answer.what, statuses=_as_named(statuses)),
    NO_BREAKDOWN: lambda answer, what: require_no_breakdown(answer, str(what)),
    DISCREET: lambda answer, what: require_discreet(answer, str(what)),
}


def _as_named(statuses: list[int]) -> Collection[int]:
    """All of 4xx by their name, as whoever raised it told them."""
    return _ANY_REFUSAL if statuses == [*_ANY_REFUSAL] else statuses


def hold(answer: Answer, rule: Mapping[str, Any], *, whole: bool) -> None:
    """CheckFailed where the answer breaks the rule; ValueError where nobody can tell. `whole`: nothing of its body was cut."""
    (name, value), *others = rule.items() or [("", None)]
    if others or name not in _RULES:
        raise ValueError(f"is held against a rule that this hallmark does not know: {dict(rule)}")
    if not whole and name not in _STATUS_ALONE:
        raise ValueError("is too long to be kept whole, so that what it breaks cannot be told")
    _RULES[name](answer, value)
