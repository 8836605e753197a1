"""Runs of two made-up servers in turns: the order, the number of pairs, what is made again, and each verdict."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from hallmark.core.load import Load
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.perf.comparison import Comparison, judged, resolutions
from hallmark.perf.interleaved import Bounds, Interleaved, Letter, Run, run_of
from hallmark.report.render_comparison import render_comparison
from hallmark.specs.model import Metric, PerfPoint
from hallmark.stats.ab import PILOT
from hallmark.workflows.ab.table import table
from selftests.core.test_load import BURNERS, a_load
from selftests.perf.test_judging import OSL, a_result

METRICS = (Metric.TTFT_MEAN, Metric.TOKENS)
POINT = PerfPoint(isl=5, osl=OSL, concurrency=2, requests=40, targets={Metric.TOKENS: 1.0}, source="x")
WHOLE = Evidence(name="requests", value=40, verdict=Verdict.PASS, reason="40 of 40 requests were answered in full")
LOST = Evidence(name="requests", value=39, verdict=Verdict.FAIL, reason="39 of 40 requests were answered in full; 1 x HTTP 500")
BUSY = "others had the cores"


def a_run(server: Letter, *, slower: float = 0.0, disturbed: str = "", **given: Any) -> Run:
    """100 ms to the first token and 1000 tokens/s, or slower by a share."""
    values = {Metric.TTFT_MEAN: 100 * (1 + slower), Metric.TOKENS: 1000 / (1 + slower)}
    fields: dict[str, Any] = {
        "server": server,
        "values": values,
        "absent": {},
        "requests": WHOLE,
        "disturbed": disturbed,
        "load": a_load(),
        "excused": False,
        "started_at": "2026-11-27T12:00:00+00:00",
    }
    return Run(**fields | given)


def varying(*, candidate: float = 0.0, variation: float = 0.005, seed: int = 1) -> Callable[[Letter], Run]:
    """Two servers whose runs vary; the candidate is slower by a share."""
    rng = random.Random(seed)
    return lambda letter: a_run(letter, slower=rng.gauss(candidate if letter == "B" else 0.0, variation))


class Session:
    """A comparison by made-up runs, each of which takes ten seconds."""

    def __init__(self, measure: Callable[[Letter], Run], *, same: bool = False, **given: Any) -> None:
        self.now_s, self.asked, self.pauses_s = 0.0, "", list[float]()

        def run(letter: Letter) -> Run:
            self.now_s += 10
            self.asked += letter
            return measure(letter)

        bounds = Bounds(**{"margin": 0.03, "metrics": METRICS, "most_pairs": 40, "seconds": 3600} | given)
        self.runs = Interleaved(run, bounds, clock=lambda: self.now_s, pause=self.pauses_s.append, tell=lambda _: None)
        self.runs.carry_out()
        self.told = Comparison(
            baseline="http://a",
            candidate="http://b",
            same=same,
            arrangement="both servers stand at once",
            point=POINT,
            bounds=bounds,
            runs=tuple(self.runs.runs),
            repeated=tuple(self.runs.repeated),
            planned=self.runs.planned,
            evidence=tuple(judged(self.runs, bounds, same=same)),
            resolutions=tuple(resolutions(self.runs, bounds)),
            started_at="2026-11-27T12:00:00+00:00",
            seconds=self.now_s,
        )

    @property
    def verdicts(self) -> dict[str, Verdict]:
        return {evidence.name: evidence.verdict for evidence in self.told.evidence}


def test_runs_that_vary_little_need_the_pilot_alone() -> None:
    session = Session(varying())
    assert session.asked == "ABBAABBAABBA"
    assert session.told.verdict is Verdict.PASS
    assert session.told.pairs == PILOT


def test_runs_that_vary_more_need_as_many_pairs_as_the_pilot_says() -> None:
    session = Session(varying(variation=0.03, seed=4))
    assert PILOT < session.told.pairs <= 40
    assert f"{session.told.pairs} pairs for 3 %" in session.told.planned
    assert session.asked == ("ABBA" * session.told.pairs)[: 2 * session.told.pairs]
    assert session.told.verdict is Verdict.PASS


def test_a_candidate_that_is_slower_fails_and_a_faster_one_passes() -> None:
    assert Session(varying(candidate=0.08)).verdicts == {
        "requests": Verdict.PASS,
        "ttft_mean_ms": Verdict.FAIL,
        "tokens_per_s": Verdict.FAIL,
    }
    assert Session(varying(candidate=-0.2)).told.verdict is Verdict.PASS
    told = Session(varying(candidate=0.08)).told
    assert told.headline == "the candidate is worse by more than 3 %: ttft_mean_ms, tokens_per_s (6 pairs)"
    assert told.mean("A", "tokens_per_s") == pytest.approx(1000, rel=0.02)


def test_too_few_pairs_decide_nothing() -> None:
    session = Session(varying(variation=0.2), most_pairs=8)
    assert session.told.verdict is Verdict.INCONCLUSIVE
    assert session.told.pairs == 8
    assert "as many as --pairs-max allows" in session.told.planned
    assert Session(varying(), most_pairs=2).told.pairs == 2


def test_no_pair_is_begun_that_would_end_after_the_time() -> None:
    session = Session(varying(variation=0.2), seconds=165)
    assert session.told.pairs == 8
    assert "the time was over" in session.told.evidence[1].reason
    assert session.told.verdict is Verdict.INCONCLUSIVE


def test_a_run_that_the_machine_spoilt_is_made_again_in_its_place() -> None:
    quiet, spoilt = varying(), iter([False, True, True] + [False] * 40)
    session = Session(lambda letter: a_run(letter, slower=9.0, disturbed=BUSY) if next(spoilt) else quiet(letter))
    assert session.asked == "ABBBBAABBAABBA"
    assert session.told.verdict is Verdict.PASS
    assert len(session.told.repeated) == 2
    assert session.pauses_s == [1.0, 3.0]


def test_a_machine_that_stays_busy_makes_it_void_whatever_the_runs_said() -> None:
    """Six pairs have shown a loss; of those that are to come no run counts. Neither FAIL nor PASS, but VOID."""
    slower, done = varying(candidate=0.2, variation=0.08), iter(range(100))
    session = Session(lambda letter: a_run(letter, disturbed=BUSY) if next(done) >= 2 * PILOT else slower(letter))
    assert session.told.pairs == PILOT
    assert set(session.verdicts.values()) == {Verdict.VOID}
    assert BUSY in session.told.evidence[0].reason
    assert session.told.headline == "the machine spoilt the comparison"


@pytest.mark.parametrize(("server", "verdict"), [("A", Verdict.INCONCLUSIVE), ("B", Verdict.FAIL)])
def test_a_run_with_lost_requests_ends_it(server: Letter, verdict: Verdict) -> None:
    """Also on a busy machine: it explains no wrong answer. What the pairs before it said counts for nothing."""
    count, even = iter(range(100)), varying()

    def measure(letter: Letter) -> Run:
        lost = next(count) >= 9 and letter == server
        return a_run(letter, requests=LOST, disturbed=BUSY) if lost else even(letter)

    session = Session(measure)
    assert session.verdicts == {"requests": verdict, **dict.fromkeys(map(str, METRICS), Verdict.INCONCLUSIVE)}
    assert "1 x HTTP 500" in session.told.evidence[0].reason
    assert session.told.repeated == ()


def test_what_was_only_late_on_a_busy_machine_is_made_again() -> None:
    count, even = iter(range(100)), varying()
    session = Session(
        lambda letter: a_run(letter, requests=LOST, disturbed=BUSY, excused=True) if next(count) == 3 else even(letter)
    )
    assert session.told.verdict is Verdict.PASS
    assert len(session.told.repeated) == 1


def test_a_server_that_is_worse_than_itself_says_that_the_machine_changes() -> None:
    session = Session(varying(candidate=0.1), same=True)
    assert session.verdicts["tokens_per_s"] is Verdict.VOID
    assert "worse than itself" in session.told.evidence[1].reason
    assert Session(varying(), same=True).told.headline.startswith("this machine resolves 3 %")


def test_what_this_machine_resolves_is_told() -> None:
    quiet, restless = (Session(varying(variation=variation), same=True).told.resolutions for variation in (0.002, 0.02))
    assert all(one.margin < 0.01 for one in quiet)
    assert all(one.needed[0.01] > one.needed[0.03] >= one.needed[0.05] >= 2 for one in restless)


def test_a_metric_that_could_not_be_measured_is_not_decided() -> None:
    even = varying()

    def measure(letter: Letter) -> Run:
        run = even(letter)
        return a_run(letter, values={Metric.TOKENS: run.values[Metric.TOKENS]}, absent={Metric.TTFT_MEAN: "something gathers"})

    session = Session(measure)
    assert session.verdicts["ttft_mean_ms"] is Verdict.INCONCLUSIVE
    assert session.told.evidence[1].reason == "something gathers"
    assert session.verdicts["tokens_per_s"] is Verdict.PASS


@pytest.mark.parametrize("load", [a_load(**BURNERS), a_load(client_late_s=3.0)], ids=["others", "client"])
def test_a_run_is_spoilt_where_the_machine_could_have_made_it_worse_by_the_margin(load: Load) -> None:
    calm, busy = (run_of("B", a_result(), POINT, each, margin=0.03, started_at="") for each in (a_load(), load))
    assert calm.disturbed == ""
    assert "may have made it worse by 3 %" in busy.disturbed
    assert calm.values[Metric.TOKENS] > 0
    assert calm.requests.verdict is Verdict.PASS


@pytest.mark.parametrize("same", [False, True])
def test_the_page_and_the_table_tell_it(same: bool) -> None:
    told = Session(varying(candidate=0.0 if same else 0.08), same=same).told
    lines = "\n".join(table(told))
    page = render_comparison(told)
    for text in (told.verdict.value, "ttft_mean_ms", "tokens_per_s"):
        assert text in page
        assert text in lines
    assert told.headline in page
    assert page.count('class="plot"') == len(METRICS)
    assert "pairs for 1 %" in lines
    plain = told.to_plain()
    assert [run["server"] for run in plain["runs"]] == list("ABBAABBAABBA")
    assert plain["verdict"] == told.verdict
