"""A run that was gone on with: what was measured before the break stays, and only what showed nothing of the server gives way."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from hallmark.core.breaks import ENDED_CHECK, INTERRUPTED_CHECK, Break
from hallmark.core.records import Evidence, Record
from hallmark.core.verdict import Verdict
from hallmark.report.build import build
from hallmark.report.document import Report
from hallmark.report.gone_on import is_settled
from hallmark.report.render import renderers
from hallmark.report.render_json import read_json, render_json
from selftests.report.samples import FORMATS, manifest, record

PASS, CONDITIONAL, INCONCLUSIVE, VOID, FAIL, ERROR = Verdict
LINE = "gone on with after a break of 3 h 00 min; 1 of 2 checks was measured before it"


def at(records: int) -> Break:
    return Break(
        records=records,
        broke_off_at="2026-03-02T08:12:00Z",
        resumed_at="2026-03-02T11:12:00Z",
        seconds=3 * 3600,
        why="its process was killed",
    )


def report(before: Sequence[Record], behind: Sequence[Record]) -> Report:
    return build(manifest("server.a", "server.b"), [*before, *behind], breaks=(at(len(before)),))


def of_b(verdict: Verdict, **fields: object) -> Record:
    return record("server.b", verdict, reason="told why", nodeid="b", **fields)


GOOD = record("server.a", nodeid="a")


@pytest.mark.parametrize(
    ("before", "behind", "outcome"),
    [
        ([GOOD], [of_b(PASS)], "ACCEPTED"),
        ([GOOD, of_b(VOID)], [of_b(PASS)], "ACCEPTED"),
        ([GOOD, of_b(ERROR, measured=False)], [of_b(PASS)], "ACCEPTED"),
        ([GOOD, of_b(INCONCLUSIVE, measured=False)], [of_b(PASS)], "ACCEPTED"),
        ([GOOD, record(INTERRUPTED_CHECK, INCONCLUSIVE, kind="extra", measured=False)], [of_b(PASS)], "ACCEPTED"),
        ([GOOD, record(ENDED_CHECK, ERROR, kind="extra", measured=False)], [of_b(PASS)], "ACCEPTED"),
        ([GOOD, of_b(FAIL)], [of_b(PASS)], "REJECTED"),
        ([GOOD, of_b(FAIL)], [], "REJECTED"),
        ([GOOD, of_b(ERROR, also_failed=True)], [of_b(PASS)], "REJECTED"),
        ([GOOD, of_b(ERROR)], [of_b(PASS)], "ACCEPTED"),
        ([GOOD, of_b(INCONCLUSIVE)], [of_b(PASS)], "INCONCLUSIVE"),
        ([GOOD, of_b(VOID)], [], "VOID"),
        ([GOOD, of_b(VOID)], [record("server.b", nodeid="another test of it")], "VOID"),
        ([GOOD, of_b(PASS)], [of_b(FAIL)], "REJECTED"),
        ([GOOD, of_b(PASS)], [record(INTERRUPTED_CHECK, INCONCLUSIVE, kind="extra", measured=False)], "INCONCLUSIVE"),
        ([GOOD], [], "INCOMPLETE"),
    ],
)
def test_what_the_records_on_both_sides_come_to(before: list[Record], behind: list[Record], outcome: str) -> None:
    assert report(before, behind).decision.outcome == outcome


def test_without_a_break_nothing_gives_way() -> None:
    assert build(manifest("server.a", "server.b"), [GOOD, of_b(VOID), of_b(PASS)]).decision.outcome == "VOID"


def test_a_miss_that_a_later_error_hides_is_not_measured_again() -> None:
    missed = Evidence(name="first token", value=9.0, verdict=FAIL, reason="too late")
    hidden = record("server.b", ERROR, missed, measured=False)
    assert is_settled(hidden)
    assert not is_settled(record("server.b", ERROR, measured=False))


def test_what_gave_way_is_told_beside_what_counts() -> None:
    (row,) = [row for row in report([GOOD, of_b(VOID)], [of_b(PASS)]).rows if row.check == "server.b"]
    assert row.verdict is PASS
    assert row.reason == "told why (run again after a break; before it VOID: told why)"


def test_every_format_tells_of_the_break() -> None:
    made = report([GOOD], [of_b(PASS)])
    for file in FORMATS:
        text = renderers()[file](made)
        if file == "report.json":
            (told,) = json.loads(text)["breaks"]
            assert (told["measured"], told["demanded"], told["seconds"]) == (1, 2, 10800)
        else:
            assert LINE in text, file
    assert read_json(render_json(made)) == made


def test_a_break_is_told_among_the_first_lines() -> None:
    text = renderers()["report.md"](report([GOOD], [of_b(PASS)]))
    assert any(LINE in line for line in text.splitlines()[:6]), text


def test_a_break_is_no_part_of_the_duration() -> None:
    behind = [record("server.b", started_at="2026-03-02T11:20:00Z")]
    assert report([GOOD], behind).duration_s == 20 * 60 + 1.5
