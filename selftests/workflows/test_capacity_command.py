"""`hallmark capacity`: on a made-up server of a known capacity it finds that, and what it writes says so."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from hallmark.cli import main
from hallmark.core.errors import UsageError
from hallmark.environment.load_watch import Window
from hallmark.perf.sample import PointResult
from hallmark.perf.self_check import ClientCheck
from hallmark.specs.model import PerfPoint
from hallmark.workflows import capacity_session
from hallmark.workflows.capacity_command import bounds_of, make_parser, objectives_of, share_of, traffic_of
from selftests.faulty import Faulty, running
from selftests.perf.made_up import always, closed_loop, open_loop
from selftests.perf.test_disturbance import QUIET

SLOTS, TPOT_S, TTFT_S = 16, 0.01, 0.02
"""An answer of 50 tokens takes half a second: 31 a second can be answered, and without a wait far fewer."""
Asked = Callable[..., int]


@pytest.fixture(scope="module")
def stand_in() -> Iterator[Faulty]:
    with running() as server:
        yield server


@pytest.fixture
def asked(stand_in: Faulty, tmp_path: Path) -> Asked:
    """Ask for the capacity of the stand-in."""
    return lambda *words: main(
        ["capacity", "--base-url", stand_in.base_url, "--isl", "16", "--osl", "8", "--artifacts", str(tmp_path), *words]
    )


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> list[PerfPoint]:
    """Windows are made up, of a server with sixteen slots; those that were asked for."""
    points: list[PerfPoint] = []

    def measure(*_: object, during: Any, **__: object) -> PointResult:
        with during:
            return made(points[-1], seed=len(points))

    def made(point: PerfPoint, *, seed: int) -> PointResult:
        if point.arrivals:
            assert point.arrivals.rate
            return open_loop(point.requests, point.arrivals.rate, ttft=always(TTFT_S), most=SLOTS, seed=seed)
        waits = always(TTFT_S if point.concurrency <= SLOTS else 0.3)
        return closed_loop(point.requests, point.concurrency, ttft=waits, seed=seed)

    def noted(url: str, model: str, point: PerfPoint, **given: Any) -> PointResult:
        points.append(point)
        return measure(url, model, **given)

    monkeypatch.setattr(capacity_session, "measure", noted)
    monkeypatch.setattr(capacity_session, "check_client", lambda *_, **__: ClientCheck(late_s=(0.0,)))
    monkeypatch.setattr(capacity_session, "beside", lambda *_: nullcontext())
    monkeypatch.setattr(capacity_session, "keep_point", lambda *_, **__: None)
    monkeypatch.setattr(Window, "load", QUIET)
    return points


def told(folder: Path) -> dict[str, Any]:
    (file,) = folder.glob("*-capacity/capacity.json")
    plain: dict[str, Any] = json.loads(file.read_text())
    return plain


@pytest.mark.long
def test_the_rate_that_is_found_brackets_the_truth(
    asked: Asked, made_up: list[PerfPoint], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked("--objective", "ttft_p90_ms=100", "--objective", "tpot_p50_ms=20", "--goodput", "0.9", "--precision", "10%") == 0
    found = told(tmp_path)
    assert 20 < found["met"] < 31, "beyond 31 a second its queue grows"
    assert found["met"] < found["not_met"] < 34
    assert found["verdict"] == "PASS"
    assert found["trials"][-1]["confirms"]
    assert found["trials"][-1]["load"] == found["met"]
    assert len(found["trials"]) <= 12
    over = [trial for trial in found["trials"] if trial["load"] > 40]
    assert over
    assert all("over-saturated" in trial["reason"] or "miss ttft" in trial["reason"] for trial in over)
    shown = capsys.readouterr().out
    assert f"capacity: {found['met']:g} requests/s meets the objectives, shown with 95 %, {found['not_met']:g}" in shown
    written_with(found, tmp_path)


def written_with(found: dict[str, Any], artifacts: Path) -> None:
    """The table and the page beside it say the same."""
    (folder,) = artifacts.glob("*-capacity")
    rows = list(csv.DictReader((folder / "capacity.csv").open()))
    assert [float(row["load"]) for row in rows] == [trial["load"] for trial in found["trials"]]
    assert {"ttft_p90_ms", "tpot_p50_ms", "tokens_per_s"} <= set(rows[0])
    page = (folder / "capacity.html").read_text()
    assert page.count('<svg class="plot"') == 2
    assert ">knee</text>" in page
    assert found["headline"] in page
    assert "http://" not in page.replace(found["server"], ""), "it loads nothing"
    assert found["limits"] == {"ttft_p90_ms": 100, "tpot_p50_ms": 20, "goodput": 0.9}


def test_users_are_searched_for_in_whole_numbers(asked: Asked, made_up: list[PerfPoint], tmp_path: Path) -> None:
    assert asked("--objective", "ttft_p90_ms=100", "--concurrency-mode", "--most", "64") == 0
    found = told(tmp_path)
    assert (found["met"], found["not_met"], found["unit"]) == (SLOTS, SLOTS + 1, "users")
    assert all(point.arrivals is None for point in made_up)


def test_a_server_that_meets_nothing_and_one_that_takes_all_are_told_apart(
    asked: Asked, made_up: list[PerfPoint], tmp_path: Path
) -> None:
    assert asked("--objective", "ttft_p90_ms=10", "--concurrency-mode", "--artifacts", str(tmp_path / "none")) == 1
    assert told(tmp_path / "none")["headline"] == "not even 1 users meets the objectives"
    assert asked("--objective", "e2e_p90_ms=9000", "--concurrency-mode", "--most", "8", "--artifacts", str(tmp_path / "all")) == 0
    assert told(tmp_path / "all")["met"] == 8


def test_a_search_without_time_says_what_it_would_have_taken(asked: Asked, made_up: list[PerfPoint], tmp_path: Path) -> None:
    assert asked("--objective", "ttft_p99_ms=100", "--first", "0.1", "--minutes", "1") == 4
    assert "a window of 0.1 requests/s takes 1 h 39 min, and " in told(tmp_path)["headline"]
    assert not made_up


@pytest.mark.long
def test_a_real_search_by_a_real_client_ends_with_a_page_whatever_the_machine_does(asked: Asked, tmp_path: Path) -> None:
    code = asked("--objective", "e2e_p50_ms=60000", "--concurrency-mode", "--most", "2", "--requests", "30", "--window-s", "1")
    found = told(tmp_path)
    assert code == {"PASS": 0, "VOID": 3, "INCONCLUSIVE": 4}[found["verdict"]]
    assert all(trial["requests"] >= 10 for trial in found["trials"])
    assert next(tmp_path.glob("*-capacity/perf/001-*.csv")).read_text().count("\n") == 31


def options(*words: str) -> Any:
    return make_parser("hallmark capacity").parse_args(["--base-url", "http://x", *words])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--objective", "ttft_p99_ms"), "is not NAME=MS"),
        (("--objective", "ttft_p42_ms=3"), "ttft_p42_ms"),
        (("--objective", "ttft_ms=3"), "needs a share"),
        ((), "states no objective"),
        (("--objective", "ttft_p99_ms=x"), "no number above 0"),
        (("--objective", "ttft_p99_ms=9", "--goodput", "2"), "no share between 0 and 1"),
        (("--objective", "ttft_p99_ms=9", "--shape", "2"), "only gamma has a shape"),
        (("--objective", "ttft_p99_ms=9", "--first", "200"), "is not from 0.01 to 100"),
        (("--objective", "ttft_p99_ms=9", "--concurrency-mode", "--first", "1.5"), "users are whole"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_a_line(words: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        bounds_of(options(*words), traffic_of(options(*words)))


def test_the_times_of_all_at_once_are_those_of_the_quantiles_where_no_others_are_said() -> None:
    stated = objectives_of(["ttft_p99_ms=200", "tpot_ms=50"], "95%")
    assert stated.quantiles == {"ttft_p99_ms": 200}
    assert stated.goodput
    assert (stated.goodput.share, stated.goodput.limits) == (0.95, {"ttft_ms": 200, "tpot_ms": 50})
    assert share_of("5%", "precision") == 0.05


def test_one_server_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ((), ("--base-url", "http://x", "--model", "y")):
        assert main(["capacity", "--objective", "ttft_p99_ms=200", *words]) == 2
        assert "name one server" in capsys.readouterr().err
