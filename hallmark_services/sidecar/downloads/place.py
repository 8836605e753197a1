"""The places of one target, opened from its root down without following a link, and held until its download ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hallmark_services.sidecar.downloads.folder import Folder
from hallmark_services.sidecar.downloads.remote import TransferError
from hallmark_services.sidecar.downloads.target import MARKER, WORKSHOP


@dataclass(frozen=True, slots=True)
class Place:
    """Where one model goes."""

    parent: Folder
    """The folder in which the target lies, or will."""
    workshop: Folder
    """Beside it, on its file system: locks, and what is not whole yet."""
    name: str

    @property
    def target(self) -> Path:
        """For messages alone."""
        return self.parent.shown / self.name

    @property
    def lock(self) -> str:
        """A name in the workshop."""
        return f"{self.name}.lock"

    @property
    def staging(self) -> str:
        """The name of a folder in the workshop."""
        return f"{self.name}.partial"

    @contextlib.contextmanager
    def model(self) -> Iterator[Folder | None]:
        """The target itself; None where it is not there."""
        if self.parent.stat(self.name) is None:
            yield None
        else:
            with self.parent.open(self.name) as folder:
                yield folder


@contextlib.contextmanager
def opened(target: Path, root: Path) -> Iterator[Place]:
    """The places of `target`, made where they are not there; TransferError where a link has come into the path (403)
    or the target would lie inside a whole model (409)."""

    def outside_models(folder: Folder) -> None:
        if root in folder.shown.parents and folder.stat(MARKER):
            raise TransferError(409, f"the target lies inside the model {folder.shown}")

    with (
        Folder.passing(target.parent, visit=outside_models, make=True) as passed,
        # To be listed and synced, too.
        passed.open(".") as parent,
        parent.made(WORKSHOP, 0o700) as workshop,
    ):
        yield Place(parent, workshop, target.name)
