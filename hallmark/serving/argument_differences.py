"""Whether a server that somebody else started has the arguments that a plan would give it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hallmark.core.precedence import PlanValue
from hallmark.core.redact import MASK, is_secret_name

_OF_NO_MATTER = frozenset(
    {"host", "port", "api_key", "model", "served_model_name", "max_model_len"}
    | {"uvicorn_log_level", "disable_uvicorn_access_log", "disable_log_stats", "enable_log_requests", "disable_log_requests"}
)
"""Where it listens, what it logs, and what is read back from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One argument of the engine."""

    name: str
    wanted: str
    """Empty where the plan has none of this name."""
    found: str
    """Empty where the server was started without it."""

    @property
    def contradicts(self) -> bool:
        """Whether both say something; what only one of them says may still be what the other takes by default."""
        return bool(self.wanted and self.found)

    def __str__(self) -> str:
        if not self.found:
            return f"{self.name}={self.wanted} is not on its command line"
        return f"it has {self.name}={self.found}, the spec {f'says {self.wanted}' if self.wanted else 'does not'}"


def compared(wanted: Sequence[PlanValue], command: Sequence[str]) -> tuple[Difference, ...]:
    """What the command line of a running server says otherwise than `wanted`."""
    asked = {value.name: value.value for value in wanted}
    said = dict(_flags(command))
    names = [name for name in dict.fromkeys([*asked, *said]) if name not in _OF_NO_MATTER]
    return tuple(
        Difference(name=name, wanted=_shown(name, asked), found=_shown(name, said))
        for name in names
        if asked.get(name) != said.get(name)
    )


def engine_flags(command: Sequence[str]) -> dict[str, str]:
    """The engine's arguments on the command line of a running server, but for those of `_OF_NO_MATTER`."""
    return {name: value for name, value in _flags(command) if name not in _OF_NO_MATTER}


def _shown(name: str, values: dict[str, str]) -> str:
    return MASK if name in values and is_secret_name(name) else values.get(name, "")


def _flags(command: Sequence[str]) -> Iterator[tuple[str, str]]:
    """`--max-num-seqs 8`, `--max-num-seqs=8`, `--enforce-eager`, `--no-enforce-eager` -> name and value, as a plan has them."""
    for word, after in zip(command, [*command[1:], "--"], strict=True):
        if not word.startswith("--"):
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if equals:
            yield name, value
        elif not after.startswith("--"):
            yield name, after
        else:
            yield (name.removeprefix("no_"), "false") if name.startswith("no_") else (name, "true")
