"""What happened in a matrix: `events.jsonl`, a chain of lines, each on the disk before what it tells of goes on.

The first line states the digest of the plan. A driver that is killed leaves whole lines and at most a part of one more; who
goes on with the matrix takes that part away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hallmark.core.chain import ChainWriter, line_digest
from hallmark.core.errors import InfrastructureError
from hallmark.core.strict_json import read_strictly
from hallmark.fleet.order import Outcome

_LINK = ("number", "previous")
"""What ChainWriter adds to each line."""


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    at: str
    """By the driver's clock, ISO 8601 in UTC."""


class Began(_Event):
    event: Literal["began"] = "began"
    matrix: str
    """SHA-256 of matrix.json."""
    host: str
    pid: int
    """Of the driver."""


class Started(_Event):
    """An attempt was handed to the engine."""

    event: Literal["started"] = "started"
    cell: str
    attempt: int = Field(ge=1)
    node: str
    unit: str = ""
    slots: tuple[int, ...] = ()
    handle: str
    """What the engine knows it by."""


class Ended(_Event):
    """An attempt said how its cell ended."""

    event: Literal["ended"] = "ended"
    cell: str
    attempt: int = Field(ge=1)
    node: str
    outcome: Outcome


class Lost(_Event):
    """An attempt is given up: whatever comes from it later never counts."""

    event: Literal["lost"] = "lost"
    cell: str
    attempt: int = Field(ge=1)
    node: str
    reason: str
    blameless: bool = False
    """Whether its node has no part in it, such as where the driver was killed: then it takes none of the cell's tries."""


class NotRun(_Event):
    """A cell ended without a result, because no node took it."""

    event: Literal["not_run"] = "not_run"
    cell: str
    reason: str


class Quarantined(_Event):
    """A node gets no more cells of this matrix."""

    event: Literal["quarantined"] = "quarantined"
    node: str
    reason: str


class NodeLost(_Event):
    """A node is not there any more; it may come back."""

    event: Literal["node_lost"] = "node_lost"
    node: str
    reason: str


class Resumed(_Event):
    """Another driver goes on."""

    event: Literal["resumed"] = "resumed"
    host: str
    pid: int


class Interrupted(_Event):
    event: Literal["interrupted"] = "interrupted"


class Finished(_Event):
    event: Literal["finished"] = "finished"
    exit_code: int


Event = Began | Started | Ended | Lost | NotRun | Quarantined | NodeLost | Resumed | Interrupted | Finished
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


class Journal:
    """Writes the events of one matrix; one at a time, from one thread."""

    def __init__(self, writer: ChainWriter) -> None:
        self._writer = writer

    @classmethod
    def begun(cls, path: Path) -> Journal:
        """A new one."""
        return cls(ChainWriter(path))

    @classmethod
    def resumed(cls, path: Path) -> Journal:
        """One that goes on behind the last whole line; InfrastructureError where that is no line of a chain."""
        return cls(ChainWriter.resumed(path))

    def append(self, event: Event) -> None:
        """InfrastructureError where the disk does not take it."""
        self._writer.append(event.model_dump(mode="json"))


def read_events(path: Path) -> tuple[Event, ...]:
    """Every event of a journal, in order; a part of a line at its end is passed over.

    InfrastructureError, with the line, for one that does not follow the line before it, or is no event.
    """
    try:
        whole = path.read_bytes().split(b"\n")[:-1]
    except OSError as exc:
        raise InfrastructureError(f"cannot read: {exc.strerror}", where=str(path)) from exc
    return tuple(_events(path, whole))


def _events(path: Path, lines: list[bytes]) -> Iterator[Event]:
    previous = ""
    for number, line in enumerate(lines, start=1):
        where = f"{path}:{number}"
        content = _content(line, where)
        if (content.get("number"), content.get("previous")) != (number, previous):
            hint = "a line was changed, lost or put in since its matrix wrote it"
            raise InfrastructureError("does not follow the line before it", where=where, hint=hint)
        previous = line_digest(line)
        try:
            event = _EVENT.validate_python({name: value for name, value in content.items() if name not in _LINK})
        except ValidationError as exc:
            first = exc.errors()[0]
            raise InfrastructureError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", where=where) from exc
        if isinstance(event, Began) != (number == 1):
            raise InfrastructureError("a journal begins once, with its first line", where=where)
        yield event


def _content(line: bytes, where: str) -> Mapping[str, Any]:
    try:
        content = read_strictly(line.decode("utf-8"))
    except (ValueError, RecursionError) as exc:
        raise InfrastructureError(f"no JSON: {exc}", where=where) from exc
    if not isinstance(content, dict):
        raise InfrastructureError("no object", where=where)
    return content
