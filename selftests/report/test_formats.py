"""JSON, JUnit and Markdown: they parse, they count, and nothing that a model wrote escapes from its cell."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import unescape

import pytest

from hallmark.core.records import Evidence, Interval, Target
from hallmark.core.verdict import Verdict
from hallmark.core.wording import finding
from hallmark.report.annotations import annotations_of
from hallmark.report.build import build
from hallmark.report.document import Report
from hallmark.report.render import renderers
from hallmark.report.render_badge import render_badge
from hallmark.report.render_json import read_json, render_json
from hallmark.report.render_junit import render_junit
from hallmark.report.render_markdown import render_front, render_markdown
from selftests.report.samples import (
    ENVIRONMENT,
    FORMATS,
    LAUNCH_PLAN,
    accepted_run,
    incomplete_run,
    manifest,
    record,
    rejected_run,
    void_run,
)

RUNS = {"accepted": accepted_run(), "rejected": rejected_run(), "incomplete": incomplete_run(), "void": void_run()}


def report_of(name: str) -> Report:
    return build(*RUNS[name], environment=ENVIRONMENT, launch_plan=LAUNCH_PLAN)


@pytest.mark.parametrize("name", RUNS)
def test_json_round_trips(name: str) -> None:
    report = report_of(name)
    assert read_json(render_json(report)) == report


def test_json_is_strict_json() -> None:
    text = render_json(build(manifest("server.a"), [record("server.a", Verdict.PASS, Evidence(name="e", value=float("nan")))]))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    plain = json.loads(text, parse_constant=refuse)
    assert plain["schema_version"] == 1
    assert plain["rows"][0]["evidence"][0]["value"] == "nan"


def suite_of(report: Report) -> ET.Element:
    root = ET.fromstring(render_junit(report))
    (suite,) = root
    cases = suite.findall("testcase")
    assert suite.get("tests") == str(len(cases)) == str(len(report.rows) + 1)
    assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
    assert suite.get("errors") == str(len(suite.findall("testcase/error")))
    assert not suite.findall("testcase/skipped")
    return suite


def problems(suite: ET.Element) -> dict[str, tuple[str, str | None]]:
    found = {}
    for case in suite.findall("testcase"):
        for tag in ("failure", "error"):
            if (problem := case.find(tag)) is not None:
                found[case.get("name") or ""] = (tag, problem.get("type"))
    return found


def test_junit_of_an_accepted_run_is_green() -> None:
    assert not problems(suite_of(report_of("accepted")))


def test_junit_tells_a_failure_from_an_error_and_from_a_gap() -> None:
    records = [
        record("a.fail", Verdict.FAIL),
        record("a.error", Verdict.ERROR),
        record("a.void", Verdict.VOID),
        record("a.open", Verdict.INCONCLUSIVE),
        record("a.waived", Verdict.CONDITIONAL),
        record("a.skipped", Verdict.INCONCLUSIVE, measured=False),
        record("a.lost", Verdict.FAIL, measured=False),
    ]
    names = [item.check for item in records]
    assert problems(suite_of(build(manifest(*names, "a.absent", waived=("a.waived",)), records))) == {
        "decision": ("failure", "REJECTED"),
        "a.fail": ("failure", "FAIL"),
        "a.error": ("error", "ERROR"),
        "a.void": ("error", "VOID"),
        "a.open": ("error", "INCONCLUSIVE"),
        "a.skipped": ("error", "missing"),
        "a.lost": ("error", "missing"),
        "a.absent": ("error", "missing"),
    }


@pytest.mark.parametrize("file", FORMATS)
def test_every_format_says_what_must_be_known_of_the_spec(file: str) -> None:
    render = renderers()[file]
    noted = build(manifest("server.a", notes=("own.yaml stands in the place of another",)), [record("server.a")])
    assert "own.yaml stands in the place of another" in render(noted)
    assert "stands in the place" not in render(build(manifest("server.a"), [record("server.a")]))


@pytest.mark.parametrize("file", FORMATS)
def test_every_format_says_target_tier_factor_and_what_was_reached_and_the_tier_of_the_run(file: str) -> None:
    target = Target(relation=">=", limit=400.0, reference=800.0, tier="complete", source="a datasheet")
    held = Evidence(name="tokens_per_s", value=505.0, unit="tokens/s", target=target)
    row = record("perf.a", Verdict.PASS, replace(held, reason=finding(held)), kind="perf", reason=finding(held))
    text = unescape(renderers()[file](build(manifest("perf.a", kind="perf"), [row])))
    assert "505 of 800 tokens/s: 63 %, tier complete needs 400 (0.5 x target)" in text
    said = {"report.json": '"tier": "complete"', "junit.xml": 'name="tier" value="complete"'}
    assert said.get(file, "ACCEPTED at tier complete") in text


@pytest.mark.parametrize("file", FORMATS)
def test_every_format_says_who_waives_what_until_when_and_what_came_of_it(file: str) -> None:
    render = renderers()[file]
    text = unescape(render(build(manifest("server.a", waived=("server.a",)), [record("server.a", Verdict.FAIL)])))
    for told in ("J. Doe", "2026-03-02", "2026-05-31", "https://issues.example.com/812", "memory of the mesh", "is accepted"):
        assert told in text, told
    assert "not needed any more" in render(build(manifest("server.a", waived=("server.a",)), [record("server.a")]))
    assert "J. Doe" not in render(build(manifest("server.a"), [record("server.a")]))


@pytest.mark.parametrize("file", ["report.html", "report.md"])
def test_a_report_says_how_long_the_server_was_waited_for(file: str) -> None:
    waiting = replace(record("server.a"), duration_s=40.0, waited_s=38.5)
    assert "38.5 s" in renderers()[file](build(manifest("server.a"), [waiting]))
    assert "until the server was ready" not in renderers()[file](build(manifest("server.a"), [record("server.a")]))


def test_a_case_of_junit_took_what_the_check_took() -> None:
    waiting = replace(record("server.a"), duration_s=40.0, waited_s=38.5)
    (case,) = [
        one for one in suite_of(build(manifest("server.a"), [waiting])).findall("testcase") if one.get("name") == "server.a"
    ]
    assert case.get("time") == "1.500"


@pytest.mark.parametrize("file", ["report.html", "report.md"])
def test_a_report_begins_with_its_waivers_and_shows_the_policy(file: str) -> None:
    text = renderers()[file](build(manifest("server.a", "server.b", waived=("server.a",)), [record("server.b")]))
    first = "1 of 2 demanded checks is waived (50.0 %; the policy allows 5 %):"
    assert text.index("INCOMPLETE") < text.index(first) < text.index("Verdicts")
    assert "for 90 days at most, and never spec.\\*" in text or "for 90 days at most, and never spec.*, server.auth" in text


def test_junit_of_a_narrowed_run_is_not_green_although_all_its_checks_pass() -> None:
    report = build(manifest("server.a", partial=("--limit 5",)), [record("server.a")])
    assert problems(suite_of(report)) == {"decision": ("error", "PARTIAL")}


def test_junit_of_a_rejected_run_fails() -> None:
    assert problems(suite_of(report_of("rejected")))["decision"] == ("failure", "REJECTED")


def test_junit_carries_the_numbers() -> None:
    suite = suite_of(report_of("accepted"))
    case = next(case for case in suite.findall("testcase") if case.get("name") == "evals.gsm8k")
    told = {item.get("name"): item.get("value") for item in case.findall("properties/property")}
    assert told["exact_match"] == "0.942"
    assert told["exact_match.n"] == "1319"
    assert told["exact_match.target"] == "≥ 0.9"
    assert float(told["exact_match.low"] or "") < 0.942 < float(told["exact_match.high"] or "")


NASTY = "a\x00b\x1b[31mred\x1b[0m \ud800 \uffff ]]> <script>|`*[x](y)\n# no heading\n\n---"


def nasty_report() -> Report:
    evidence = Evidence(
        name=NASTY,
        value=NASTY,
        unit=NASTY,
        verdict=Verdict.FAIL,
        reason=NASTY,
        target=Target(relation="==", limit=NASTY, tier=NASTY, source=NASTY),
        interval=Interval(low=0, high=1),
    )
    told = record(NASTY, Verdict.FAIL, evidence, reason=NASTY, log=NASTY, nodeid=NASTY)
    return build(
        manifest(NASTY, NASTY + "2", partial=(NASTY,)), [told], environment={NASTY: NASTY}, launch_plan={"command": NASTY}
    )


def test_junit_survives_what_xml_cannot_hold() -> None:
    suite = suite_of(nasty_report())
    assert "red" in (suite.findall("testcase")[1].findtext("system-out") or "")


def test_every_format_can_be_written_as_utf_8() -> None:
    for render in renderers().values():
        render(nasty_report()).encode("utf-8")


def test_markdown_keeps_every_value_in_its_cell() -> None:
    text = render_markdown(nasty_report())
    assert not [line for line in text.splitlines() if "<script>" in line and not line.startswith("    ")]
    assert "\x1b" not in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    for line in tables:
        assert len(re.findall(r"(?<!\\)\|", line)) in (3, 8)
    assert "\n# no heading" not in text


def test_markdown_says_what_was_decided_and_why() -> None:
    text = render_markdown(report_of("rejected"))
    assert text.startswith("# Llama-3.3-70B on t3k: REJECTED\n")
    assert "**REJECTED** (exit code 1). 3 checks failed in this run" in text
    assert "- evals.ifeval: FAIL - exact_match 0.812" in text
    for title in ("Environment and spec", "Server API", "Accuracy", "Performance", "Other checks", "Manifest"):
        assert f"<details><summary><b>{title}</b>" in text
    assert "| **FAIL** | evals.ifeval | exact_match | 0.812" in text
    assert "packages: 180 entries, in report.json" in text


def test_markdown_begins_with_what_decides_and_folds_the_rest() -> None:
    """Short: the front has no row of a check that passed without a number to look for, and each fold closes."""
    text = render_markdown(report_of("rejected"))
    front, _, folded = text.partition("<details>")
    assert front.strip() == render_front(report_of("rejected")).strip()
    assert "| evals.mmlu_pro | exact_match | 0.671" in front
    assert "spec.python" not in front
    assert "spec.python" in folded
    assert len(front.splitlines()) < 45
    assert text.count("<details>") == text.count("</details>") == 8
    assert folded.index("**ERROR** | server.echo") < folded.index("**PASS** | server.version"), "red first"
    assert "<b>Server API</b>: 3 checks, 1 not accepted" in folded


@pytest.mark.parametrize("name", RUNS)
def test_a_badge_says_outcome_tier_and_day_in_its_colour(name: str) -> None:
    report = report_of(name)
    image = ET.fromstring(render_badge(report))
    said = [text.text for text in image.iter("{http://www.w3.org/2000/svg}text")]
    assert said == ["hallmark", f"{report.decision.title}, 2026-03-02"]
    assert (report.decision.title == "ACCEPTED at tier complete") == (name == "accepted")
    fills = [part.get("fill") for part in image.iter("{http://www.w3.org/2000/svg}rect")]
    assert ("#17694a" in fills, "#a8201a" in fills) == (name == "accepted", name == "rejected")
    right = [
        float(text.get("x") or 0) + float(text.get("textLength") or 0) for text in image.iter("{http://www.w3.org/2000/svg}text")
    ]
    assert right[1] < float(image.get("width") or 0)
    assert "http" not in render_badge(report).replace("http://www.w3.org/2000/svg", ""), "it loads nothing"


def test_annotations_name_what_is_red_and_no_more_than_are_shown() -> None:
    told = [str(one) for one in annotations_of(report_of("rejected"))]
    assert told[0] == "::error title=Llama-3.3-70B on t3k%3A REJECTED::3 checks failed in this run; the release is rejected."
    assert any(line.startswith("::error title=Llama-3.3-70B on t3k%3A evals.ifeval::FAIL: exact_match 0.812") for line in told)
    assert not any("spec.python" in line for line in told)
    many = [record(f"server.a{place}", Verdict.FAIL, reason=f"reason {place}") for place in range(30)]
    shown = annotations_of(build(manifest(*(one.check for one in many)), many))
    assert len(shown) == 10
    assert (shown[-1].level, shown[-1].title) == ("error", "22 more")


def test_annotations_of_a_good_run_are_none_and_a_waiver_that_is_not_needed_is_a_notice() -> None:
    assert annotations_of(build(manifest("server.a"), [record("server.a")])) == []
    (notice,) = annotations_of(build(manifest("server.a", waived=("server.a",)), [record("server.a")]))
    assert notice.level == "notice"
    assert "not needed any more" in notice.message


@pytest.mark.parametrize(("reason", "told"), [("-m evals", 0), ("--limit 5", 1)])
def test_what_was_left_out_on_purpose_is_not_annotated(reason: str, told: int) -> None:
    found = annotations_of(build(manifest("server.a", "server.b", partial=(reason,)), [record("server.a")]))
    assert [one.level for one in found] == ["warning"] * (1 + told)
    assert sum("server.b" in one.title for one in found) == told


def test_an_annotation_is_one_line_whatever_is_in_it() -> None:
    for one in annotations_of(nasty_report()):
        assert not set("\r\n") & set(str(one))
        assert str(one).count("::") >= 2
        title = str(one).removeprefix(f"::{one.level} title=").partition("::")[0]
        assert not set(":,\n") & set(title)


def test_markdown_lists_what_is_missing() -> None:
    text = render_markdown(report_of("incomplete"))
    assert "5 of 11 demanded checks were not measured:\n\n- evals.gsm8k\n" in text
    assert "**INCONCLUSIVE** (not measured)" in text
