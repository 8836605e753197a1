"""What few requests can show of a perf point: a miss by far, whatever its interval excludes, and nothing else."""

from __future__ import annotations

import pytest

from hallmark.core.records import Evidence, Interval, Target
from hallmark.core.verdict import Verdict
from hallmark.perf.smoke import judged_on_few, weighed_on_few
from hallmark.stats.judge import NOT_JUDGED

AT_MOST, AT_LEAST = Target(relation="<=", limit=10.0), Target(relation=">=", limit=10.0)
WIDE = Interval(low=5.0, high=50.0)


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (Evidence(name="ttft_mean_ms", value=9.0, target=AT_MOST), Verdict.PASS),
        (Evidence(name="ttft_mean_ms", value=20.0, interval=WIDE, target=AT_MOST, verdict=Verdict.INCONCLUSIVE), "open"),
        (Evidence(name="ttft_p99_ms", value="absent", n=0, target=AT_MOST, verdict=Verdict.INCONCLUSIVE), "open"),
        (Evidence(name="ttft_mean_ms", value=11.0, interval=WIDE, target=AT_MOST, verdict=Verdict.FAIL), Verdict.FAIL),
        (Evidence(name="tokens_per_s", value=6.0, target=AT_LEAST, verdict=Verdict.FAIL), "open"),
        (Evidence(name="tokens_per_s", value=4.0, target=AT_LEAST, verdict=Verdict.FAIL), Verdict.FAIL),
        (Evidence(name="requests", value=3, target=Target(relation="==", limit=4.0), verdict=Verdict.FAIL), Verdict.FAIL),
    ],
)
def test_only_what_few_requests_cannot_decide_is_left_open(evidence: Evidence, verdict: Verdict | str) -> None:
    (judged,) = judged_on_few([evidence])
    assert judged.verdict is (Verdict.INCONCLUSIVE if verdict == "open" else verdict)
    assert judged.reason.startswith(NOT_JUDGED) == (verdict == "open")


def test_a_busy_machine_spoils_nothing_that_is_not_judged() -> None:
    open_, missed = Evidence(name="a", value=1, reason=f"{NOT_JUDGED}: x"), Evidence(name="b", value=1, verdict=Verdict.FAIL)
    void = Evidence(name="a", value=1, verdict=Verdict.VOID)
    assert weighed_on_few([open_, missed], [void, void]) == [open_, void]
