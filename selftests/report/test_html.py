"""The page: what it must say, and that nothing of it obeys a model or needs a network."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.core.wording import finding
from hallmark.report.build import build
from hallmark.report.layout import facts_of
from hallmark.report.render_html import render_html
from selftests.report.samples import (
    ENVIRONMENT,
    LAUNCH_PLAN,
    SCRIPT,
    accepted_run,
    incomplete_run,
    manifest,
    record,
    rejected_run,
    speed,
    void_run,
)
from selftests.report.test_formats import nasty_report

VOID_TAGS = {"meta", "line", "rect", "circle", "path", "br", "wbr", "link", "img", "input"}


class Page(HTMLParser):
    """The page's tags and its text; refuses a page whose tags do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self._in_a_word = False
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_a_word = tag == "wbr"
        if tag not in VOID_TAGS:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(self.words.pop() + data if self._in_a_word else data)
        self._in_a_word = False

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, tag: str, style: str) -> int:
        return sum(name == tag and style in (attrs.get("class") or "").split() for name, attrs in self.tags)


def page_of(run: tuple[object, object]) -> Page:
    return Page(render_html(build(*run, environment=ENVIRONMENT, launch_plan=LAUNCH_PLAN)))  # type: ignore[arg-type]


RUNS = {"accepted": accepted_run, "rejected": rejected_run, "incomplete": incomplete_run, "void": void_run}


@pytest.mark.parametrize("name", RUNS)
def test_the_banner_states_the_outcome_in_words(name: str) -> None:
    page = page_of(RUNS[name]())
    report = build(*RUNS[name]())
    assert f"{report.decision.title} {report.decision.headline}" in page.text
    for cause in report.decision.causes:
        assert " ".join(cause.split()) in page.text
    assert "style-src 'unsafe-inline'" in str(page.tags)


@pytest.mark.parametrize("name", RUNS)
def test_the_page_needs_no_network_and_runs_no_script_but_its_own(name: str) -> None:
    text = render_html(build(*RUNS[name](), environment=ENVIRONMENT, launch_plan=LAUNCH_PLAN))
    page = Page(text)
    assert not {"link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'\"" in text
    assert [attrs for tag, attrs in page.tags if tag == "script"] == [{}]
    targets = [value for _, attrs in page.tags for key, value in attrs.items() if key in ("href", "src")]
    ids = {attrs.get("id") for _, attrs in page.tags}
    assert targets
    assert all(target and target[0] == "#" and target[1:] in ids for target in targets)
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on")]


def test_what_a_model_wrote_is_text() -> None:
    text = render_html(build(*accepted_run()))
    assert SCRIPT not in text
    assert SCRIPT in Page(text).text


def test_a_nasty_run_still_makes_a_page() -> None:
    text = render_html(nasty_report())
    assert "\x00" not in text
    assert "\x1b" not in text
    text.encode("utf-8")
    assert [tag for tag, _ in Page(text).tags].count("script") == 1, "the page's own"


def rows_of(page: Page) -> list[str]:
    """The checks of a page's rows, in their order."""
    return [attrs["data-check"] or "" for tag, attrs in page.tags if tag == "tr" and "data-check" in attrs]


def test_what_decided_stands_first_in_order_of_weight_and_each_check_once() -> None:
    page = page_of(rejected_run())
    rows = rows_of(page)
    assert rows[:4] == ["evals.ifeval", "perf.isl128-osl128-c32", "server.custom_probe", "server.echo"]
    assert sorted(rows) == sorted(row.check for row in build(*rejected_run()).rows)
    assert page.text.index("Not accepted What decided against this run") < page.text.index("Accuracy at a glance")
    assert "3 checks, 1 not accepted: 1 of them stands above, under Not accepted ." in page.text
    accepted = page_of(accepted_run())
    assert "Not accepted" not in accepted.text
    assert rows_of(accepted) == [entry.check for entry in accepted_run()[0].entries]


def test_what_was_not_measured_for_one_reason_does_not_bury_it() -> None:
    """A server that does not start leaves hundreds behind it."""
    names = [f"server.check-{place}" for place in range(30)]
    cause = record("spec.start", Verdict.ERROR, kind="spec", measured=False, reason="the server did not start")
    same = [record(name, Verdict.ERROR, measured=False, reason="same cause as spec.start") for name in names]
    page = page_of((manifest("spec.start", *names), [cause, *same]))
    assert rows_of(page)[:3] == ["spec.start", "server.check-0", "server.check-1"]
    assert "29 more checks were not measured for the same reasons; they stand first in their sections." in page.text


def test_the_verdicts_of_the_filter_are_those_of_the_rows() -> None:
    page = page_of(rejected_run())
    chips = [attrs["data-chip"] for _, attrs in page.tags if "data-chip" in attrs]
    assert chips == ["ERROR", "FAIL", "CONDITIONAL", "PASS"]
    assert "Only what is red (4)" in page.text
    assert ("form", "hidden") in [(tag, key) for tag, attrs in page.tags for key in attrs], "until the script shows it"


def test_every_check_has_a_row_and_every_measurement_a_drawing() -> None:
    run = accepted_run()
    page = page_of(run)
    for entry in run[0].entries:
        assert entry.check in page.text
    assert page.count("div", "task") == 3 + 1
    assert page.count("div", "point") == 3
    assert page.count("rect", "bar") == 9 + 1
    assert page.count("circle", "dot") == 3 + 1
    assert "11 of 11" in page.text
    assert "All 11 demanded checks have evidence." in page.text
    assert "n = 12,032" in page.text.replace("\N{NO-BREAK SPACE}", " ")
    assert "published score of the model card" in page.text
    assert "max-num-seqs 32 command line 64" in page.text


def test_a_card_and_a_row_say_what_was_reached_of_the_target_and_what_the_tier_asks() -> None:
    """Also where the values that nothing is asked of are many and come first: those are what is folded away."""
    seen = [Evidence(name=f"seen_{place}", value=1.0, unit="ms") for place in range(9)]
    target = Target(relation=">=", limit=400.0, reference=800.0, tier="complete", source="a datasheet")
    exact = Evidence(name="requests", value=24, target=Target(relation="==", limit=24.0))
    held = Evidence(name="tokens_per_s", value=505.0, unit="tokens/s", target=target)
    held = replace(held, reason=finding(held))
    row = record("perf.a", Verdict.PASS, *seen, exact, held, kind="perf")
    page = Page(render_html(build(manifest("perf.a", kind="perf"), [row])))
    card, table = page.text.split("Performance at a glance")[1].split("Duration", 1)
    assert "tokens_per_s 63 % of the target" in card
    assert "505 tokens/s target 800, tier complete needs 400" in card
    assert "requests 24 = 24" in card
    assert page.count("rect", "bar") == 1 + 1, "a drawing of what has a limit, and the legend"
    assert "505 of 800 tokens/s: 63 %, tier complete needs 400 (0.5 x target)" in table.split(" more ")[0]
    assert "seen_8" not in table.split(" more ")[0]


def test_a_gap_is_seen() -> None:
    page = page_of(incomplete_run())
    assert "6 of 11" in page.text
    assert "NOT MEASURED" in page.text
    assert "5 of 11 demanded checks were not measured" in page.text


def test_a_run_without_environment_says_so() -> None:
    text = Page(render_html(build(*void_run()))).text
    assert "Absent: this run wrote no runtime_environment.json. Nothing here says what the server ran on." in text


def test_packages_are_folded_and_key_facts_are_not() -> None:
    page = page_of(accepted_run())
    assert "packages (180 entries)" in page.text
    assert page.text.index("engine.version") < page.text.index("packages (180 entries)")


def test_a_list_is_one_fact_under_its_own_name() -> None:
    assert facts_of({"installed": ["a==1", "b==2"]}).key == (("installed", "a==1, b==2"),)


@pytest.mark.parametrize("points", [1, 20])
def test_any_number_of_points(points: int) -> None:
    records = [speed(f"isl{64 * place}-osl32-c{place}", share=0.1 * place) for place in range(1, points + 1)]
    page = page_of((manifest(*(r.check for r in records), kind="perf"), records))
    assert page.count("div", "point") == points


def test_a_point_without_limits_claims_none() -> None:
    bare = record("perf.isl1-osl2-c1", kind="perf")
    assert "Nothing here is held against a limit." in page_of((manifest(bare.check, kind="perf"), [bare])).text
