"""Where a served model answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an OpenAI-compatible server answers, and under which model name."""

    base_url: str
    """Without a trailing slash and without /v1."""
    model: str
    api_key: str = ""
