"""What a run tells outside of its folder: GitHub's summary and annotations, a summary elsewhere, pytest's own JUnit file."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from selftests.plugin.conftest import Place, place

__all__ = ["place"]
pytestmark = pytest.mark.e2e
STOPS = "server.stop-several"


@pytest.mark.long
def test_on_github_a_red_run_has_a_summary_and_annotations(place: Place) -> None:
    place.spec(faults="first-stop-only")
    summary = place.folder / "summary.md"
    summary.write_text("# a step before\n")
    ended = place.release(workflow="tests", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary)).end()
    assert ended.code == 1
    lines = [line for line in ended.out.splitlines() if line.startswith("::")]
    assert any(line.startswith("::error title=stand-in on cpu%3A REJECTED::") for line in lines)
    assert any(line.startswith(f"::error title=stand-in on cpu%3A {STOPS}::FAIL: ") for line in lines)
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("# a step before\n# stand-in on cpu: REJECTED\n")
    assert f"All of it: `{ended.folder}`" in text
    assert (ended.folder / "report.md").read_text(encoding="utf-8") in text


@pytest.mark.long
def test_elsewhere_an_option_names_the_summary_and_there_are_no_annotations(place: Place) -> None:
    place.spec()
    github = place.folder / "github.md"
    ended = place.release(f"--summary={place.folder}/own/summary.md", workflow="tests", GITHUB_STEP_SUMMARY=str(github)).end()
    assert ended.code == 0, ended.said
    assert (place.folder / "own" / "summary.md").read_text(encoding="utf-8").startswith("# stand-in on cpu: PARTIAL\n")
    assert not github.exists()
    assert not [line for line in ended.out.splitlines() if line.startswith("::")]


@pytest.mark.long
def test_a_summary_that_cannot_be_written_is_told_and_decides_nothing(place: Place) -> None:
    place.spec()
    ended = place.release(f"--summary={place.folder}", workflow="tests").end()
    assert "hallmark: the job summary was not written: " in ended.said
    assert ended.code == 0, ended.said
    assert (ended.folder / "badge.svg").is_file()


@pytest.mark.parametrize("workers", [(), pytest.param(("-n2",), marks=pytest.mark.long)], ids=["plain", "xdist"])
@pytest.mark.long
def test_pytest_s_own_junit_file_has_what_was_measured(place: Place, workers: tuple[str, ...]) -> None:
    place.spec(faults="first-stop-only")
    path = place.folder / "own.xml"
    place.pytest("-m", "server", f"--junitxml={path}", *workers).end()
    (suite,) = ET.parse(path).getroot()
    about = {one.get("name"): one.get("value") for one in suite.findall("properties/property")}
    assert about["cell"] == "id_stand-in-server_stand-in_cpu"
    assert about["partial"] == "-m 'server'"
    cases = {}
    for case in suite.findall("testcase"):
        told = {one.get("name"): one.get("value") for one in case.findall("properties/property")}
        cases[told.get("check")] = told
    assert cases[STOPS]["verdict"] == "FAIL"
    assert (
        cases["server.version"] | {"verdict": "PASS", "engine version": "0.32.0", "engine version.n": "1"}
        == cases["server.version"]
    ), cases["server.version"]


@pytest.mark.long
def test_a_summary_that_github_would_refuse_for_its_length_has_no_details(place: Place) -> None:
    place.spec(faults="first-stop-only")
    summary = place.folder / "summary.md"
    summary.write_text("x" * 999_000 + "\n")
    ended = place.release(f"--summary={summary}", workflow="tests").end()
    text = summary.read_text(encoding="utf-8")
    assert "# stand-in on cpu: REJECTED\n" in text
    assert "<details>" not in text
    assert "<details>" in (ended.folder / "report.md").read_text(encoding="utf-8")


@pytest.mark.long
def test_the_start_of_the_server_is_the_duration_of_no_check(place: Place) -> None:
    place.spec(faults="slow-start=1.5")
    ended = place.release(workflow="tests").end()
    assert ended.code == 0, ended.said
    (first,) = [row for row in ended.rows.values() if row["waited_s"] > 0]
    assert first["waited_s"] >= 1.5
    assert first["duration_s"] < first["waited_s"]
    records = [json.loads(line) for line in (ended.folder / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    (whole,) = [one["duration_s"] for one in records if one.get("waited_s", 0) > 0]
    assert whole == pytest.approx(first["duration_s"] + first["waited_s"])
