"""What pytest's own JUnit file (`--junitxml`) says besides: of the run what was asked for, of each check what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from _pytest.junitxml import xml_key

import hallmark
from hallmark.core.records import Record
from hallmark.core.waivers import Waiver
from hallmark.plugin.session import AcceptanceSession
from hallmark.report.judge import judge, waived
from hallmark.report.properties import of_check


class JUnitProperties:
    """A plugin. The fixture that pytest has for properties of a run reaches no controller of xdist."""

    def __init__(self, session: AcceptanceSession) -> None:
        self._session = session

    def pytest_sessionstart(self) -> None:
        """Whether all of it is accepted is not known when pytest writes the file: junit.xml in the run's folder says so."""
        if xml := self._session.config.stash.get(xml_key, None):
            for name, value in self._of_run():
                xml.add_global_property(name, value)

    def _of_run(self) -> Iterator[tuple[str, str]]:
        for cell in self._session.cells.values():
            yield from (("cell", cell.id), ("model", cell.model), ("device", cell.device), ("impl", cell.impl.name))
        yield from (("partial", reason) for reason in self._session.options.narrowed_by)
        yield "workflow", self._session.options.workflow
        yield "hallmark", hallmark.__version__


def properties_of(
    record: Record, waiver: Waiver | None, *, started_at: str, redact: Callable[[str], str]
) -> Iterator[tuple[str, str]]:
    """Of a check: its id, its verdict as the report gives it, and all that was measured."""
    judged = waived(judge(record), waiver, started_at=started_at)
    for name, value in (("check", record.check), *of_check(judged.verdict, judged.evidence)):
        yield name, redact(value)
