"""What was sent and answered where a check did not pass, as a report shows it. Reads one file of a run's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hallmark.core.exchanges import KeptExchange, read_exchanges
from hallmark.core.wording import plural
from hallmark.report.document import Exchange

_LONGEST = 2_000


def shown_exchanges(folder: Path) -> dict[str, Exchange]:
    """By the digests of their lines; what cannot be read is left out, and `hallmark verify` tells of it."""
    try:
        kept = list(read_exchanges(folder))
    except OSError:
        return {}
    return {one.digest: _shown(one) for one in kept if isinstance(one.content.get("request"), dict)}


def _shown(kept: KeptExchange) -> Exchange:
    request, answer = kept.content["request"], kept.content.get("answer")
    answer = answer if isinstance(answer, dict) else {}
    path = urlsplit(str(request.get("url", ""))).path
    return Exchange(
        line=kept.place,
        asked=f"{request.get('method', '')} {path}",
        request=_text(request.get("body")),
        status=str(answer.get("status", "")),
        answer=_text(answer.get("body")),
        lost=str(kept.content.get("lost", "")),
        about=kept.content.get("about") is True,
    )


def _text(body: object) -> str:
    """Of a body what a person reads; JSON that is whole stands on several lines."""
    if not isinstance(body, Mapping):
        return ""
    text, left_out, cut_after = str(body.get("text", "")), body.get("left_out"), body.get("cut_after")
    if isinstance(left_out, int) and isinstance(cut_after, int):
        text = f"{text[:cut_after]} … {plural(left_out, 'character')} left out … {text[cut_after:]}"
    else:
        text = _on_lines(text)
    more = len(text) - _LONGEST
    return text if more <= 0 else f"{text[:_LONGEST]} … {plural(more, 'more character')} in the raw file"


def _on_lines(text: str) -> str:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict | list) else text
