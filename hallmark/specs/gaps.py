"""What a certificate needs and a spec may lack. A cell with such a gap is a draft: it may be run, and is never accepted."""

from __future__ import annotations

from collections.abc import Container, Iterable
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator

from hallmark.specs.strict import second


class Gap(StrEnum):
    """One thing that is missing. `hallmark specs lint` holds the statement against the spec, in both directions."""

    ENGINE_VERSION = "engine_version"
    """Neither `engine.version` nor a commit of the engine: nothing tells whether the right one runs."""
    EVAL_TARGETS = "eval_targets"
    """No `evals` for the weights: there is no accuracy to hold them to."""
    EVAL_TASKS = "eval_tasks"
    """The task of an eval is neither one of lm-eval's own nor in its `task_dir`: it cannot be run."""
    PERF_TARGETS = "perf_targets"
    """No performance targets, neither in `base_targets` nor in `perf`."""
    COMPLETIONS_API = "completions_api"
    """The model completes nothing (it embeds or ranks), and performance is measured over completions."""


def _distinct(gaps: tuple[Gap, ...]) -> tuple[Gap, ...]:
    if (place := second(gaps)) is not None:
        raise ValueError(f"'{gaps[place]}' is there twice")
    return gaps


Gaps = Annotated[tuple[Gap, ...], AfterValidator(_distinct)]


def in_order(gaps: Container[Gap]) -> tuple[Gap, ...]:
    """Each once, in the order in which they are always said."""
    return tuple(gap for gap in Gap if gap in gaps)


def draft_line(gaps: Iterable[str]) -> str:
    """What every surface says of a draft, such as `draft: missing engine version, eval targets`; empty for no draft."""
    named = ", ".join(gap.replace("_", " ") for gap in gaps)
    return f"draft: missing {named}" if named else ""
