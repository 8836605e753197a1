"""The folder of a matrix, or of several that were joined, as far as what happened there is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hallmark.core.chain import line_digest
from hallmark.core.errors import UsageError
from hallmark.core.strict_json import read_strictly
from hallmark.fleet.journal import Began, Ended, Event, Finished, Interrupted, Lost, Resumed, read_events
from hallmark.fleet.matrix_file import EVENTS_FILE, MATRIX_FILE, MatrixPlan, read_plan
from hallmark.fleet.standing import Standing, standing_of

MERGED_FILE = "merged.json"
SITES_FOLDER = "sites"
_HINT = "name the folder of a matrix, such as artifacts/20261121T014500Z-matrix"


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JoinedSite(_Kept):
    """One of the matrices that were joined, as it was then."""

    identity: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the line that its journal begins with: it is the same matrix as long as that is the same."""
    chain: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the line that it ended with."""

    @property
    def folder(self) -> str:
        """The way to it from the folder that they were joined in."""
        return f"{SITES_FOLDER}/{self.identity[:16]}"


class Joined(_Kept):
    """`merged.json`: which matrices were joined, in the order of their names there."""

    schema_version: int = Field(default=1, ge=1, le=1)
    sites: tuple[JoinedSite, ...] = Field(min_length=1)


@dataclass(frozen=True, kw_only=True)
class SiteFolder:
    """The folder of a matrix as one driver wrote it, read once."""

    path: Path
    folder: str
    """The way to it from the folder that is looked at; empty where it is that one."""

    @cached_property
    def _plan(self) -> tuple[MatrixPlan, str]:
        return read_plan(self.path)

    @property
    def plan(self) -> MatrixPlan:
        """UsageError where there is none."""
        return self._plan[0]

    @property
    def plan_digest(self) -> str:
        return self._plan[1]

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """InfrastructureError where the journal is none."""
        return read_events(self.path / EVENTS_FILE)

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The digest of each whole line of the journal."""
        whole = (self.path / EVENTS_FILE).read_bytes().split(b"\n")[:-1]
        return tuple(map(line_digest, whole))

    @cached_property
    def standing(self) -> Standing:
        return standing_of((cell.cell for cell in self.plan.cells), self.events)

    @cached_property
    def ends(self) -> Mapping[tuple[str, int], str]:
        """(cell, attempt) -> when it ended or was given up, by the driver's clock."""
        found: dict[tuple[str, int], str] = {}
        for event in self.events:
            if isinstance(event, Ended | Lost):
                found.setdefault((event.cell, event.attempt), event.at)
        return found

    @property
    def host(self) -> str:
        """Where its driver ran first."""
        return next((event.host for event in self.events if isinstance(event, Began)), "")

    @property
    def finished(self) -> bool:
        """Whether the last driver came to the end of it."""
        last = [event for event in self.events if isinstance(event, Finished | Resumed)]
        return bool(last) and isinstance(last[-1], Finished)

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped, and nobody went on with it."""
        last = [event for event in self.events if isinstance(event, Interrupted | Resumed)]
        return bool(last) and isinstance(last[-1], Interrupted)


def is_matrix(folder: Path) -> bool:
    """Whether a folder is that of a matrix, or of several that were joined."""
    return (folder / MATRIX_FILE).is_file() or (folder / MERGED_FILE).is_file()


def sites_in(folder: Path) -> tuple[SiteFolder, ...]:
    """The matrices in a folder: itself, or those that were joined there. UsageError where it is neither."""
    if not (folder / MERGED_FILE).is_file():
        return (SiteFolder(path=folder, folder=""),)
    joined = read_joined(folder)
    return tuple(SiteFolder(path=folder / one.folder, folder=one.folder) for one in joined.sites)


def read_joined(folder: Path) -> Joined:
    """UsageError where the file does not say which matrices were joined."""
    path = folder / MERGED_FILE
    try:
        return Joined.model_validate(read_strictly(path.read_text(encoding="utf-8")))
    except OSError as exc:
        raise UsageError(f"cannot be read: {exc.strerror}", where=str(path), hint=_HINT) from exc
    except (ValueError, RecursionError) as exc:
        first = exc.errors()[0]["msg"] if isinstance(exc, ValidationError) else f"no JSON: {exc}"
        raise UsageError(f"does not say which matrices were joined: {first}", where=str(path), hint=_HINT) from exc
