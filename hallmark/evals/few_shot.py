"""Examples before a question that are the same ones whether all items of a task are asked, or some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def drawing_for_all_items(tasks: Any) -> None:
    """Have `tasks`, lm-eval's class of tasks, put before each item the examples that it would have among all items.

    lm-eval draws examples item after item from one random generator: of some items alone, each after the first gap would get
    those of another. So the prompts of all items are made, and the others dropped. Called twice, it changes nothing more.
    """
    build = tasks.build_all_requests
    if getattr(build, "draws_for_all_items", False):
        return

    def build_all_requests(self: Any, *, samples: Sequence[int] | None = None, **how: Any) -> None:
        if not samples or not self.config.num_fewshot:
            build(self, samples=samples, **how)
            return
        build(self, samples=None, **how)
        # lm-eval looks for the requests of some items under their places among those, and tells `samples` itself afterwards.
        places = {number: place for place, number in enumerate(sorted(samples))}
        kept = [instance for instance in self._instances if instance.doc_id in places]
        for instance in kept:
            instance.doc_id = places[instance.doc_id]
        self._instances = kept

    build_all_requests.draws_for_all_items = True  # type: ignore[attr-defined]
    tasks.build_all_requests = build_all_requests
