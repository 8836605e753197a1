"""One acceptance session: what its collection, its cells and its recorder have in common."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from hallmark.core.progress import Line, Progress
from hallmark.core.redact import Redactor
from hallmark.plugin.broken_off import BrokenOff
from hallmark.plugin.cell_run import RunStamp, Sign
from hallmark.plugin.ending import Ending
from hallmark.plugin.interrupts import Interrupts
from hallmark.plugin.options import Options
from hallmark.specs.cell import Cell
from hallmark.specs.secrets import spec_secrets

if TYPE_CHECKING:
    from hallmark.evals.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceSession:
    """What was asked for, and whom to tell; nothing in it changes, but for how the session ends."""

    config: pytest.Config
    options: Options
    cells: dict[str, Cell]
    """By their ids, in the order of the run."""
    stamp: RunStamp
    redactor: Redactor
    progress: Progress
    ending: Ending
    references: Mapping[str, Reference] = field(default_factory=dict)
    """By the ids of the cells that have one."""
    sign: Sign | None = None
    """Signs a certificate; None where no key was given."""
    broken: BrokenOff | None = None
    """The run that is gone on with; None for one that begins."""

    @classmethod
    def begin(
        cls,
        config: pytest.Config,
        options: Options,
        cells: Sequence[Cell],
        interrupts: Interrupts,
        references: Mapping[str, Reference],
        sign: Sign | None = None,
        broken: BrokenOff | None = None,
    ) -> AcceptanceSession:
        """The session that starts now."""

        def terminal() -> Line | None:
            """Where pytest writes; nowhere in a worker of xdist."""
            return config.get_terminal_writer() if config.pluginmanager.hasplugin("terminalreporter") else None

        now = datetime.now(UTC)
        return cls(
            config=config,
            options=options,
            cells={cell.id: cell for cell in cells},
            stamp=RunStamp(
                utc=now.strftime("%Y%m%dT%H%M%SZ"), artifacts=options.artifacts, started_at=now.isoformat(timespec="seconds")
            ),
            redactor=Redactor.of_environment(os.environ, extra=spec_secrets(cells)),
            progress=Progress(terminal),
            ending=Ending(config, options, interrupts),
            references=references,
            sign=sign,
            broken=broken,
        )

    @property
    def writes(self) -> bool:
        """Whether this process writes manifests, records and reports: not in a worker of xdist, and not where nothing runs."""
        return not (self.config.option.collectonly or hasattr(self.config, "workerinput"))
