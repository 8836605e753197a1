"""MatrixReport -> one JUnit file: a suite for each cell, which is its run's own, and green exactly where the cell is accepted."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from hallmark.core.wording import clean, one_line
from hallmark.fleet.result.document import CellResult, MatrixReport

_OWN = "junit.xml"
_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'


def render_junit(report: MatrixReport, folder: Path) -> str:
    """`folder`: of the matrix, in which the files of the runs lie."""
    suites = [_suite(cell, folder) for cell in report.cells]
    root = ET.Element("testsuites", name="hallmark")
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, 0)) for suite in suites)))
    root.extend(suites)
    ET.indent(root)
    return _HEAD + ET.tostring(root, encoding="unicode") + "\n"


def _suite(cell: CellResult, folder: Path) -> ET.Element:
    suite = ET.Element("testsuite", name=clean(cell.cell))
    counted = cell.counted
    if counted:
        suite.set("timestamp", clean(counted.began_at or counted.started_at))
    _properties(suite, cell)
    _cell(suite, cell)
    suite.extend(_cases(folder / counted.run / _OWN) if counted and counted.run_digest else ())
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{counted.seconds if counted else 0:.3f}")
    return suite


def _properties(suite: ET.Element, cell: CellResult) -> None:
    holder = ET.SubElement(suite, "properties")
    counted = cell.counted
    named = [("model", cell.model), ("device", cell.device), ("impl", cell.impl), ("verdict", cell.verdict)]
    if counted:
        named += [("node", counted.node), ("attempt", str(counted.number)), ("run", counted.run_digest)]
    for name, value in named:
        ET.SubElement(holder, "property", name=name, value=clean(value))


def _cell(suite: ET.Element, cell: CellResult) -> None:
    """The cell as a case of its own: one that was never run has no other."""
    case = ET.SubElement(suite, "testcase", classname="hallmark.matrix", name=clean(cell.cell), time="0")
    if not cell.accepted:
        tag = "failure" if cell.verdict == "REJECTED" else "error"
        problem = ET.SubElement(case, tag, type=cell.verdict, message=one_line(f"{cell.title}: {cell.reason}"))
        problem.text = clean(cell.reason)


def _cases(path: Path) -> Iterator[ET.Element]:
    """The cases of the run's own file. Of those that passed the name alone: a matrix of a thousand cells has a great many."""
    try:
        found = ET.fromstring(path.read_bytes()).iter("testcase")  # noqa: S314 - expat itself refuses what grows without end
    except (OSError, ET.ParseError):
        return
    for case in found:
        if case.find("failure") is None and case.find("error") is None:
            for part in case.findall("properties") + case.findall("system-out"):
                case.remove(part)
        yield case
