"""What was noticed in the answers to a run's checks, kept while it is under way: what ends the run must not end that.

Ids and greedy texts stay in the process: those of two processes of a server are not held against each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hallmark.client.answer_watch import AnswerWatch
from hallmark.client.detectors import Seen
from hallmark.core.errors import InfrastructureError
from hallmark.core.files import write_json

FILE = "answers_seen.json"


def keep(watch: AnswerWatch, folder: Path, redact: Callable[[str], str]) -> None:
    """Write down what was noticed so far."""
    marks = [[mark, _plain(seen)] for mark, seen in tuple(watch.marks)]
    write_json(folder / FILE, {**watch.to_plain(), "marks": marks}, redact=redact)


def _plain(seen: Seen) -> dict[str, Any]:
    """What tells of a mark in a text whether the model spelled it."""
    told = {key: value for key, value in asdict(seen).items() if key not in ("logprobs", "usages", "ids", "created")}
    return told | {"token_bytes": seen.token_bytes.hex() if seen.token_bytes is not None else None}


def take_up(watch: AnswerWatch, folder: Path) -> None:
    """Count what an earlier process of the run noticed; InfrastructureError where that cannot be read."""
    path = folder / FILE
    if not path.is_file():
        return
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        watch.add_plain(kept)
        for mark, seen in kept["marks"]:
            token_bytes = seen["token_bytes"]
            told = seen | {"token_bytes": bytes.fromhex(token_bytes) if token_bytes is not None else None}
            watch.marks.append((mark, Seen(**told)))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as exc:
        raise InfrastructureError(f"cannot be read: {exc}", where=str(path), hint="begin a new run") from exc
