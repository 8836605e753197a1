"""What a server owes a request that it cannot answer: a 4xx with OpenAI's error object, and nothing about itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from hallmark.client.wire import Answer

REFUSED, REFUSED_IN_JSON, NO_BREAKDOWN, DISCREET = "refused", "refused-in-json", "no-breakdown", "discreet"
"""Names of the rules that are held here (`rules.py`)."""
_INSIDE = re.compile(
    r"Traceback \(most recent call last\)|File \"[^\"]+\", line \d+|(?<![\w/.])/(?:usr|opt|home|root|var|tmp|app|workspace)/"
    r"[\w./-]+|[\w/-]+\.(?:py|cpp|cu|so|rs)\b(?::\d+)?|\b0x[0-9a-f]{8,16}\b|<[\w.]+ object at "
)
"""What tells how the server is built and where its files lie: a stack, a path, a source file, an address in memory."""


def require_refused(answer: Answer, what: str) -> dict[str, Any]:
    """The error object of a request that had to be refused, with its message; CheckFailed where it was not refused so."""
    if not 400 <= answer.status < 500:
        raise answer.failure(f"{what}: answered {answer.status}, not refused with a 4xx: {answer.excerpt}", rule={REFUSED: what})
    body = answer.json()
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        raise answer.failure(
            f"{what}: refused with {answer.status}, but without OpenAI's error object: {answer.excerpt}", rule={REFUSED: what}
        )
    if not isinstance(error.get("message"), str) or not error["message"].strip():
        raise answer.failure(
            f"{what}: refused with {answer.status}, but without a message: {answer.excerpt}", rule={REFUSED: what}
        )
    return error


def require_refused_in_json(answer: Answer, what: str, *, statuses: Collection[int] = range(400, 500)) -> dict[str, Any]:
    """The JSON object of a request that had to be refused with one of `statuses`; what stands in it is left to the server.

    A web framework refuses what no route takes in a form of its own, which a client can read where it is JSON.
    """
    if answer.status not in statuses:
        allowed = "a 4xx" if isinstance(statuses, range) else " or ".join(map(str, statuses))
        raise answer.failure(
            f"{what}: answered {answer.status}, not refused with {allowed}: {answer.excerpt}",
            rule={REFUSED_IN_JSON: sorted(statuses)},
        )
    body = answer.json()
    if not isinstance(body, dict) or not body:
        raise answer.failure(
            f"{what}: refused with {answer.status}, but without a JSON object that says why: {answer.excerpt}",
            rule={REFUSED_IN_JSON: sorted(statuses)},
        )
    return body


def require_form(answer: Answer, error: Mapping[str, Any], what: str) -> None:
    """CheckFailed unless `type` is a text, `param` a text or null, and `code` a text, a number or null."""
    if not isinstance(error.get("type"), str) or not error["type"].strip():
        raise answer.failure(f"{what}: error.type is {error.get('type')!r}, not a text: {answer.excerpt}")
    if not isinstance(error.get("param"), str | None):
        raise answer.failure(f"{what}: error.param is {error['param']!r}, neither a text nor null")
    if isinstance(error.get("code"), bool) or not isinstance(error.get("code"), str | int | None):
        raise answer.failure(f"{what}: error.code is {error['code']!r}, neither a text nor a number nor null")


def require_no_breakdown(answer: Answer, what: str) -> bool:
    """Whether the request was answered (else refused); CheckFailed where the server broke down over it."""
    if answer.status == 200:
        return True
    if not 400 <= answer.status < 500:
        raise answer.failure(
            f"{what}: answered {answer.status}; neither answered nor refused with a 4xx: {answer.excerpt}",
            rule={NO_BREAKDOWN: what},
        )
    return False


def told_of_itself(text: str) -> str:
    """The first thing in an error's text that only the inside of the server is about; empty where there is none."""
    found = _INSIDE.search(text)
    return found[0] if found else ""


def require_discreet(answer: Answer, what: str) -> None:
    """CheckFailed where an error shows the server's inside."""
    if found := told_of_itself(answer.body_text):
        raise answer.failure(f"{what}: the error tells of the server's inside: {found!r}", rule={DISCREET: what})
