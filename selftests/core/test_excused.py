"""Evidence that is overruled keeps what it was, and a shared cause is told once."""

from __future__ import annotations

from hallmark.core.excused import overruled, told_once
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict


def test_what_is_overruled_keeps_what_it_was_as_measured() -> None:
    found = overruled(Evidence(name="ttft", value=3, verdict=Verdict.FAIL, reason="too slow"), "the machine was busy")
    assert (found.verdict, found.reason) == (Verdict.VOID, "the machine was busy; as measured: too slow")
    assert overruled(Evidence(name="seen", value=3), "late", Verdict.INCONCLUSIVE).reason == "late"


def test_a_cause_that_several_share_is_told_once() -> None:
    reasons = ("late; as measured: too slow", "late; as measured: busy; as measured: too few", "late", "busy; as measured: lost")
    assert told_once(reasons) == "late; as measured: too slow; busy; as measured: too few; lost"
    assert told_once(["too slow", "too slow", ""]) == "too slow"
