"""As in lm-eval, of one folder."""

from __future__ import annotations

from pathlib import Path

from lm_eval import items_of


class TaskManager:
    """Knows the task of a folder."""

    def __init__(self, *, include_path: str | None, include_defaults: bool) -> None:
        assert include_path, "the stand-in has no tasks of its own"
        assert not include_defaults
        self._folder = Path(include_path)

    def items(self, task: str) -> list[dict[str, str]]:
        return items_of(self._folder, task)
