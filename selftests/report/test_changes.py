"""What is said to have changed between two runs: each effect on its cause, and nothing on its twin without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.files import write_json
from hallmark.core.load import Load, Place
from hallmark.core.records import Evidence, Manifest, Record, RecordLog, to_plain
from hallmark.core.redact import Redactor
from hallmark.core.verdict import Verdict
from hallmark.perf.core_speed import NAME as CORE_SPEED
from hallmark.perf.series import Line, PointSeries
from hallmark.report.build import build
from hallmark.report.changes.document import Change, Changes, Effect, Topic
from hallmark.report.changes.find import changes_between
from hallmark.report.changes.kept_run import KeptRun, read_run
from hallmark.report.changes.render_html import render_html
from hallmark.report.changes.render_markdown import render_markdown
from hallmark.report.changes.render_text import render_text
from hallmark.report.changes.speeds import speeds_section
from hallmark.report.changes.verdicts import outcome_section, verdicts_section
from hallmark.report.document import Report
from selftests.report.samples import (
    ENVIRONMENT,
    LAUNCH_PLAN,
    SCRIPT,
    STARTED,
    WAIVER,
    accepted_run,
    manifest,
    record,
    rejected_run,
    release_manifest,
    speed,
)

# pydantic has doubts about a whole number in `float | str`; the files hold it well all the same.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
POINT = "isl128-osl128-c1"
ANSWERED = Evidence(name="requests", value=128, n=128)


def kept(
    folder: Path,
    run: tuple[Manifest, Sequence[Record]],
    *,
    environment: dict[str, Any] | None = None,
    plan: dict[str, Any] | None = None,
) -> KeptRun:
    """The run as its folder tells it."""
    folder.mkdir()
    write_json(folder / "manifest.json", to_plain(run[0]))
    log = RecordLog(folder / "records.jsonl", Redactor())
    for item in run[1]:
        log.append(item)
    write_json(folder / "runtime_environment.json", ENVIRONMENT if environment is None else environment)
    write_json(folder / "launch_plan.json", LAUNCH_PLAN if plan is None else plan)
    return read_run(folder)


def of(changes: Changes, topic: Topic) -> tuple[Change, ...]:
    return next(section.changes for section in changes.sections if section.topic == topic)


def one_check(verdict: Verdict, *, measured: bool = True, **fields: Any) -> Report:
    return build(manifest("server.a", **fields), [record("server.a", verdict, measured=measured)])


def test_a_run_beside_itself_has_no_difference(tmp_path: Path) -> None:
    run = kept(tmp_path / "a", accepted_run())
    found = changes_between(run, run)
    assert (found.headline, found.worse, found.subjects) == ("no difference between A and B", False, ())
    assert not any(section.changes for section in found.sections)
    text = render_text([found])
    assert "Verdicts: no difference (11 compared)" in text


def test_a_rejected_run_is_worse_and_says_in_what(tmp_path: Path) -> None:
    found = changes_between(kept(tmp_path / "a", accepted_run()), kept(tmp_path / "b", rejected_run()))
    assert found.worse
    assert found.headline.startswith("B is worse than A: 1 outcome, 4 verdicts")
    (outcome,) = of(found, "outcome")
    assert (outcome.before, outcome.after, outcome.effect) == ("ACCEPTED at tier complete", "REJECTED", Effect.WORSE)
    text = render_text([found]).splitlines()
    assert text[0] == found.headline
    assert any(line.strip().startswith("worse      evals.ifeval: PASS -> FAIL; ") for line in text)
    back = changes_between(kept(tmp_path / "c", rejected_run()), kept(tmp_path / "d", accepted_run()))
    assert not back.worse
    assert back.headline.startswith("B is better than A: 1 outcome, 4 verdicts")


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        (Verdict.PASS, Verdict.FAIL, Effect.WORSE),
        (Verdict.PASS, Verdict.INCONCLUSIVE, Effect.WORSE),
        (Verdict.FAIL, Verdict.PASS, Effect.BETTER),
        (Verdict.VOID, Verdict.PASS, Effect.BETTER),
    ],
)
def test_a_verdict_that_moves(before: Verdict, after: Verdict, effect: Effect) -> None:
    (change,) = verdicts_section(one_check(before), one_check(after)).changes
    assert (change.name, change.before, change.after, change.effect) == ("server.a", before, after, effect)


def test_a_waiver_makes_nothing_better() -> None:
    failed = one_check(Verdict.FAIL)
    waived = one_check(Verdict.FAIL, waived=("server.a",))
    (change,) = verdicts_section(failed, waived).changes
    assert (change.after, change.effect) == ("CONDITIONAL", Effect.CHANGED)
    (change,) = verdicts_section(waived, failed).changes
    assert change.effect is Effect.WORSE


def test_what_is_not_measured_any_more_is_worse_unless_less_was_asked() -> None:
    measured = one_check(Verdict.PASS)
    (change,) = verdicts_section(measured, build(manifest("server.a"), [])).changes
    assert (change.after, change.effect) == ("not measured", Effect.WORSE)
    narrowed = build(manifest("server.a", partial=("-k x",)), [])
    (change,) = verdicts_section(measured, narrowed).changes
    assert (change.after, change.effect, change.reason) == ("not measured", Effect.CHANGED, "not asked of both runs")
    (outcome,) = outcome_section(measured, narrowed).changes
    assert outcome.effect is Effect.CHANGED


def test_what_the_server_does_not_offer_any_more_is_worse() -> None:
    offered = build(manifest("server.a"), [record("server.a"), record("server.extra")])
    absent = record("server.extra", offered=False, measured=False, reason="404")
    gone = build(manifest("server.a"), [record("server.a"), absent])
    (change,) = verdicts_section(offered, gone).changes
    assert (change.after, change.effect, change.reason) == ("not offered", Effect.WORSE, "404")
    (change,) = verdicts_section(gone, offered).changes
    assert (change.before, change.effect) == ("not offered", Effect.CHANGED)
    only = build(manifest("server.a"), [record("server.a")])
    (change,) = verdicts_section(offered, only).changes
    assert (change.after, change.effect) == ("not demanded", Effect.CHANGED)


def point(share: float = 1.0, *more: Evidence, requests: Evidence = ANSWERED, **fields: Any) -> Report:
    measured = speed(POINT, share=share)
    changed = replace(measured, evidence=(requests, *measured.evidence, *more), **fields)
    return build(manifest(f"perf.{POINT}", kind="perf"), [changed])


def effects(before: Report, after: Report, **options: float) -> dict[str, Effect]:
    section = speeds_section(before, after, **options)
    return {change.name.rpartition(" ")[2]: change.effect for change in section.changes if "mean" in change.name}


def test_a_speed_is_worse_where_both_intervals_show_it() -> None:
    assert effects(point(1.0), point(0.8)) == {"ttft_mean_ms": Effect.WORSE}
    assert effects(point(0.8), point(1.0)) == {"ttft_mean_ms": Effect.BETTER}
    assert effects(point(1.0), point(1.0)) == {}
    section = speeds_section(point(1.0), point(0.8))
    named = next(change for change in section.changes if change.name.endswith("ttft_mean_ms"))
    assert named.reason == "+25.0 % (+15.4 to +35.4 %)"
    assert named.difference is not None
    assert named.difference.value == pytest.approx(-0.25), "a latency that grew is a loss"


def test_a_speed_that_changed_by_less_than_the_margin_did_not_change() -> None:
    assert effects(point(1.0), point(0.97)) == {}
    assert effects(point(1.0), point(0.93)) == {"ttft_mean_ms": Effect.UNDECIDED}
    assert effects(point(1.0), point(0.8), margin=0.2) == {"ttft_mean_ms": Effect.UNDECIDED}


def test_what_the_machine_may_have_done_decides_nothing() -> None:
    slower = Evidence(name=CORE_SPEED, value=-0.3)
    assert effects(point(1.0), point(0.8, slower)) == {"ttft_mean_ms": Effect.UNDECIDED}
    assert effects(point(1.0), point(0.6, slower)) == {"ttft_mean_ms": Effect.WORSE}
    times = {"server_s": 0.0, "own_s": 0.1, "others_s": 0.0, "steal_s": 0.0, "idle_s": 1.0, "waited_s": 0.0}
    client = {"client_waited_s": 0.0, "client_late_s": 0.0, "client_late_most_s": 0.0}
    elsewhere = Load(seconds=1.0, cores=2, server=Place.ELSEWHERE, **times, **client)
    assert effects(point(1.0), point(0.8, slower, load=elsewhere)) == {"ttft_mean_ms": Effect.WORSE}
    void = point(0.8, Evidence(name="client", value=1, verdict=Verdict.VOID))
    assert effects(point(1.0), void) == {"ttft_mean_ms": Effect.UNDECIDED}


def test_a_throughput_is_as_sure_as_its_slices_are_alike() -> None:
    def measured(value: float, spread: float) -> Report:
        slices = tuple(value * (1 + spread * (-1) ** place) for place in range(60))
        at_s = tuple(float(place) for place in range(60))
        lines = {"tokens_per_s": Line(at_s=at_s, values=slices)}
        series = PointSeries(point=POINT, seconds=60.0, devices=1, lines=lines)
        evidence = (ANSWERED, Evidence(name="tokens_per_s", value=value, unit="tokens/s", n=100))
        run = build(manifest(f"perf.{POINT}", kind="perf"), [replace(speed(POINT), evidence=evidence)])
        return replace(run, series=(series,))

    def effect(before: Report, after: Report) -> Effect:
        (change,) = speeds_section(before, after).changes
        return change.effect

    assert effect(measured(1000, 0.01), measured(800, 0.01)) is Effect.WORSE
    assert effect(measured(800, 0.01), measured(1000, 0.01)) is Effect.BETTER
    assert effect(replace(measured(1000, 0.01), series=()), measured(800, 0.01)) is Effect.UNDECIDED


def test_a_point_whose_requests_failed_decides_nothing() -> None:
    failed = replace(ANSWERED, value=127, verdict=Verdict.FAIL)
    (change,) = (c for c in speeds_section(point(1.0), point(0.8, requests=failed)).changes if "ttft_mean" in c.name)
    assert (change.effect, change.reason.rpartition("; ")[2]) == (Effect.UNDECIDED, "not all requests were answered")


def test_arguments_environment_and_spec_are_told_by_value(tmp_path: Path) -> None:
    plan = {**LAUNCH_PLAN, "values": [{"name": "max-num-seqs", "value": "64", "origin": "spec", "overrode": ""}]}
    environment = {**ENVIRONMENT, "driver_version": "2.5.0", "installed_packages": ["vllm==0.33.0"]}
    before = kept(tmp_path / "a", accepted_run(), environment={**ENVIRONMENT, "installed_packages": ["vllm==0.32.0"]})
    waived = (release_manifest(), accepted_run()[1])
    entries = tuple(replace(entry, waiver=WAIVER) for entry in waived[0].entries)
    after = kept(tmp_path / "b", (replace(waived[0], entries=entries), waived[1]), environment=environment, plan=plan)
    found = changes_between(before, after)
    assert not found.worse
    assert found.headline == "nothing got worse from A to B"
    told = {change.name: (change.before, change.after) for change in of(found, "arguments")}
    assert told == {"MESH_DEVICE": ("T3K", "none"), "max-num-seqs": ("32", "64")}
    told = {change.name: (change.before, change.after) for change in of(found, "environment")}
    assert told == {"driver_version": ("none", "2.5.0"), "packages.vllm": ("0.32.0", "0.33.0")}
    assert any(change.name == "waivers.server.echo" and "J. Doe" in change.after for change in of(found, "spec"))


def test_of_an_environment_that_was_not_kept_nothing_is_said(tmp_path: Path) -> None:
    before = kept(tmp_path / "a", accepted_run())
    after = kept(tmp_path / "b", accepted_run())
    (after.folder / "runtime_environment.json").unlink()
    told = render_text([changes_between(before, read_run(after.folder))])
    assert "  Environment: nothing to compare\n    (b: this run wrote no runtime_environment.json)\n" in told


def test_runs_of_different_subjects_say_so_first(tmp_path: Path) -> None:
    before = kept(tmp_path / "a", accepted_run())
    other = replace(release_manifest(), model="other", device="n150")
    found = changes_between(before, kept(tmp_path / "b", (other, accepted_run()[1])))
    assert found.subjects == ("the models differ: Llama-3.3-70B and other", "the devices differ: t3k and n150")
    text = render_text([found]).splitlines()
    assert text.index("  the models differ: Llama-3.3-70B and other") < text.index("  Outcome: no difference")
    assert STARTED[:10] in "\n".join(text)


def test_the_page_obeys_nothing_that_a_model_wrote(tmp_path: Path) -> None:
    told = replace(accepted_run()[1][0], verdict=Verdict.FAIL, reason=f"it said {SCRIPT} | `x`")
    after = kept(tmp_path / "b", (release_manifest(), (told, *accepted_run()[1][1:])))
    found = changes_between(kept(tmp_path / "a", accepted_run()), after)
    page = render_html([found])
    assert "<script" not in page
    assert "&lt;script&gt;alert" in page
    assert "default-src 'none'" in page
    markdown = render_markdown([found])
    assert "<script" not in markdown
    assert r"\| \`x\`" in markdown


def test_each_format_tells_all_of_several_runs(tmp_path: Path) -> None:
    good = kept(tmp_path / "a", accepted_run())
    bad = kept(tmp_path / "b", rejected_run())
    found = [changes_between(good, good), changes_between(good, bad, letters="AC")]
    for page in (render_text(found), render_markdown(found), render_html(found)):
        for one in found:
            assert one.headline in page
            for section in one.sections:
                assert section.line in page
                assert all(change.name in page.replace("<wbr>", "") for change in section.changes)


def test_what_no_side_is_better_in_is_folded_where_it_is_long(tmp_path: Path) -> None:
    packages = [f"package-{place}==1.0" for place in range(40)]
    before = kept(tmp_path / "a", accepted_run(), environment={**ENVIRONMENT, "installed_packages": packages})
    after = kept(tmp_path / "b", accepted_run())
    found = changes_between(before, after)
    assert "<details><summary><b>40 more</b></summary>" in render_markdown([found])
    assert "    and 28 more: --format markdown tells them all" in render_text([found]).splitlines()
