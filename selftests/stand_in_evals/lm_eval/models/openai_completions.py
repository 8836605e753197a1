"""As in lm-eval: who takes the answers of a server apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class LocalCompletionsAPI:
    @staticmethod
    def parse_generations(outputs: Mapping[str, Any]) -> list[str]:
        return [choice["text"] for choice in sorted(outputs["choices"], key=lambda choice: int(choice["index"]))]


class LocalChatCompletion(LocalCompletionsAPI):
    """Not used here."""
