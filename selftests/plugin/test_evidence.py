"""Evidence of any kind is written down: what a server may send as a value costs its own check, and never the run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hallmark.core.errors import CheckFailed, Inconclusive
from hallmark.core.records import Evidence, Interval, Record, RecordLog, Target, read_records, record_from_plain
from hallmark.core.redact import Redactor
from hallmark.core.verdict import Verdict
from hallmark.core.waivers import Waiver
from hallmark.plugin.checks import Check, CheckRef
from hallmark.plugin.item_record import note, plain_record, record_of
from hallmark.plugin.outcome import outcome_of
from hallmark.report.judge import judge, waived

REF = CheckRef(check="server.a", cell="c", kind="server")


def kept(check: Check, folder: Path, verdict: Verdict = Verdict.PASS) -> Record:
    """The check's record, written and read back."""
    record = Record(check="server.a", cell="c", kind="server", verdict=verdict, reason="", evidence=tuple(check.evidence))
    log = RecordLog(folder / "records.jsonl", Redactor())
    log.append(record_from_plain(plain_record(record)))
    return read_records(log.path)[0]


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf], ids=repr)
def test_what_is_no_value_is_no_measurement(tmp_path: Path, value: Any) -> None:
    check = Check(REF)
    check.observe("tokens", value)
    with pytest.raises(Inconclusive, match="no measurement"):
        check.settle()
    (found,) = kept(check, tmp_path).evidence
    assert (found.value, found.verdict) == (repr(value), Verdict.INCONCLUSIVE)


@pytest.mark.parametrize("value", [{"a": 1}, [1, 2], b"bytes", 10**400], ids=lambda value: type(value).__name__)
def test_a_value_of_another_kind_is_told_as_text(tmp_path: Path, value: Any) -> None:
    check = Check(REF)
    check.observe("answer", value)
    check.settle()
    assert isinstance(kept(check, tmp_path).evidence[0].value, str)
    with pytest.raises(CheckFailed):
        check.equal("answer", value, 7)


@pytest.mark.parametrize("value", [0, 7, -1.5, True, "text", ""], ids=repr)
def test_an_ordinary_value_is_kept_as_it_is(tmp_path: Path, value: Any) -> None:
    check = Check(REF)
    check.observe("answer", value)
    check.equal("answer", value, value)
    check.settle()
    found = kept(check, tmp_path)
    assert [(item.value, type(item.value), item.verdict) for item in found.evidence] == [(value, type(value), Verdict.PASS)] * 2


@pytest.mark.parametrize(("value", "expected"), [(True, 1), (1, True), (False, 0)])
def test_a_truth_value_is_no_count(value: Any, expected: Any) -> None:
    with pytest.raises(CheckFailed):
        Check(REF).equal("completion_tokens", value, expected)


def test_a_limit_or_an_interval_that_is_no_number_decides_nothing(tmp_path: Path) -> None:
    check = Check(REF)
    check.add(Evidence(name="a", value=1.0, target=Target(relation=">=", limit=math.nan)))
    check.add(Evidence(name="b", value=1.0, interval=Interval(low=math.nan, high=1.0)))
    assert [item.verdict for item in kept(check, tmp_path).evidence] == [Verdict.INCONCLUSIVE] * 2


def test_a_record_that_cannot_be_written_is_an_error_of_its_own() -> None:
    evidence = Evidence(name="a", value=1, detail={"what": object()})
    record = Record(check="server.a", cell="c", kind="server", verdict=Verdict.PASS, reason="", evidence=(evidence,))
    written = record_from_plain(json.loads(json.dumps(plain_record(record))))
    assert (written.verdict, written.measured, written.evidence) == (Verdict.ERROR, False, ())
    assert written.reason.startswith("its record cannot be written down: ")


def noted(*found: tuple[BaseException, bool]) -> Record:
    """The record of an item whose set-up, call and teardown raised those; True where it was the call."""
    item = cast(pytest.Item, SimpleNamespace(stash=pytest.Stash(), nodeid="a"))
    for exc, during_call in found:
        note(item, outcome_of(exc, during_call=during_call), exc)
    return record_of(item, REF, default_start="2026-03-02T08:00:00+00:00", waited_s=0.0)


FAILED, BROKEN = (CheckFailed("status 200, expected 400\nrequest: POST /"), True), (OSError("no space"), False)


@pytest.mark.parametrize("found", [(FAILED, BROKEN), (BROKEN, FAILED)], ids=["torn down", "set up"])
def test_an_error_beside_a_failure_does_not_undo_it(found: tuple[tuple[BaseException, bool], ...], tmp_path: Path) -> None:
    record = noted(*found)
    assert (record.verdict, record.also_failed, record.measured) == (Verdict.ERROR, True, True)
    assert record.reason == "OSError: no space; and it failed: status 200, expected 400"
    assert record.log == "request: POST /"
    assert judge(record).verdicts == {Verdict.ERROR, Verdict.FAIL}
    log = RecordLog(tmp_path / "records.jsonl", Redactor())
    log.append(record)
    assert read_records(log.path) == [record]


def test_an_error_alone_is_no_failure() -> None:
    assert not noted(BROKEN).also_failed
    assert not noted(BROKEN).measured
    assert noted(FAILED).verdict is Verdict.FAIL
    assert not noted((Inconclusive("too few"), True), BROKEN).also_failed


def test_a_waiver_of_the_failure_leaves_the_error() -> None:
    waiver = Waiver(owner="me", reason="known", issue="#1", made_on="2026-03-01", ends_on="2026-03-30")
    found = waived(judge(noted(FAILED, BROKEN)), waiver, started_at="2026-03-02T08:00:00Z")
    assert found.verdicts == {Verdict.ERROR}
