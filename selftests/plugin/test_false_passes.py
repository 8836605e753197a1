"""Nothing false passes: each whole run here has one thing wrong with it, and ends not accepted with that thing named."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from hallmark.serving.listener import listeners
from hallmark.serving.ports import free_port
from selftests.faulty import running
from selftests.plugin.commands import Ended, wait_for
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import DEVICE, IMPL, MODEL, POINT, WEIGHTS, eval_target, perf_point

pytestmark = pytest.mark.e2e

CELL = f"id_{IMPL}_{MODEL}_{DEVICE}"
EVAL, PERF = "evals.addition", f"perf.{POINT}"
NO_FEATURES = {"features": []}
BEFORE_EVALS = 1
"""Completions that a server without features is asked for before the first eval: one to see that it is ready."""


def test_the_clean_twin_is_accepted(clean: Ended) -> None:
    clean.must_end(0, "ACCEPTED")
    report = clean.report
    demanded = json.loads((clean.folder / "manifest.json").read_text(encoding="utf-8"))["entries"]
    assert report["demanded"] == len(demanded)
    assert {entry["check"] for entry in demanded} <= clean.rows.keys()
    told = len(report["rows"]) + len(report["not_offered"])
    assert told == len(clean.records), "what is offered besides is told, too, and what is not"
    assert not report["missing"]
    assert not report["partial"]
    assert {EVAL, PERF, "server.chat", "spec.device"} <= clean.rows.keys()
    assert clean.rows[EVAL]["evidence"][0]["value"] == 1.0
    assert clean.out.splitlines()[-1].startswith("verdict: ")


# -- the server is lost or never there -------------------------------------------------------------------------------


@pytest.mark.real_evals
@pytest.mark.long
def test_a_server_that_dies_in_the_middle_of_an_eval(place: Place) -> None:
    target = eval_target(num_concurrent=1)
    place.whole_spec(evals=[target], impl=NO_FEATURES, faults=f"die-after={BEFORE_EVALS + 2}")
    ended = place.release().end().must_end(1, "REJECTED")
    assert ended.bad == {EVAL: "FAIL", PERF: "INCONCLUSIVE"}
    assert "the server died (exit code 17)" in ended.rows[EVAL]["reason"]
    assert "dies on purpose" in ended.rows[EVAL]["log"]
    assert ended.rows[PERF]["reason"] == f"server lost (see {EVAL})"
    assert PERF in ended.report["missing"]


def test_a_server_that_dies_at_start(place: Place) -> None:
    place.whole_spec(faults="exit-at-start=3")
    ended = place.release().end().must_end(3, "ERROR")
    assert "the server died (exit code 3) before it was ready" in ended.causes
    told = [row for row in ended.rows.values() if "cannot start, on purpose" in row["log"]]
    assert len(told) == 1, "the first check tells the cause with the server's log, the others point there"
    assert all(
        row["reason"] == f"same cause as {told[0]['check']}" for c, row in ended.rows.items() if c in ended.bad and row != told[0]
    )


def test_a_server_that_hangs_at_start(place: Place) -> None:
    place.whole_spec(faults="hang-at-start", startup_timeout_s=2)
    ended = place.release().end().must_end(3, "ERROR")
    assert "the server was not ready after 2 s" in ended.causes
    assert {EVAL, PERF, "server.health"} <= set(ended.report["missing"])


@pytest.mark.long
def test_a_point_of_which_every_request_fails(place: Place) -> None:
    place.spec(perf=[perf_point()], impl=NO_FEATURES, faults=f"error-after={BEFORE_EVALS}")
    ended = place.release().end().must_end(1, "REJECTED")
    assert ended.bad == {"spec.targets": "INCONCLUSIVE", PERF: "FAIL"}
    told = r"0 of 8 requests were answered in full; [56] failed; .*; [23] were not sent: those that failed decide it"
    assert re.search(told, ended.rows[PERF]["reason"])
    assert "500" in ended.causes


@pytest.mark.long
def test_a_server_that_closes_every_connection_after_its_answer_is_no_worse(place: Place) -> None:
    """A moment later and without a word, as the next request is on its way."""
    place.whole_spec(faults="closes=3")
    ended = place.release().end().must_end(0, "ACCEPTED")
    assert "were sent again" in ended.rows[PERF]["reason"]


@pytest.mark.long
def test_a_point_whose_answers_are_wrong_while_it_is_measured(place: Place) -> None:
    """Quick and complete, and right when asked alone."""
    place.spec(perf=[perf_point()], faults="large-batches-break=1")
    ended = place.release().end().must_end(1, "REJECTED")
    assert ended.bad[PERF] == "FAIL"
    assert "token 1 is '#', alone it is" in ended.rows[PERF]["reason"]
    verdicts = {item["name"]: item["verdict"] for item in ended.rows[PERF]["evidence"]}
    assert {verdicts[name] for name in ("requests", "answer_length", "cached_answers")} == {"PASS"}


# -- evals -----------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.real_evals
def test_lm_eval_itself_raises(place: Place) -> None:
    place.whole_spec(task={"output_type": "no_such_type"})
    ended = place.release().end().must_end(3, "ERROR")
    assert ended.bad == {EVAL: "ERROR"}
    assert "lm-eval failed" in ended.causes
    assert "no_such_type" in ended.rows[EVAL]["reason"] + ended.rows[EVAL]["log"]


@pytest.mark.long
def test_an_eval_scored_on_too_few_samples(place: Place) -> None:
    place.whole_spec(evals=[eval_target(tolerance=0.02)])
    ended = place.release().end().must_end(4, "INCONCLUSIVE")
    assert ended.bad == {EVAL: "INCONCLUSIVE"}
    assert "samples are needed to tell" in ended.causes


@pytest.mark.long
def test_old_results_in_the_artifacts_folder_count_for_nothing(place: Place, clean: Ended) -> None:
    """A whole accepted run lies there already, also under every name that this run could give its own folder."""
    now = datetime.now(UTC)
    names = [f"{now + timedelta(seconds=s):%Y%m%dT%H%M%SZ}-{CELL}-release" for s in range(90)]
    for name in names:
        shutil.copytree(clean.folder, place.artifacts / name)
    for stale in ("report.json", "records.jsonl"):
        shutil.copy(clean.folder / stale, place.artifacts / stale)
    shutil.copytree(clean.folder / "evals", place.artifacts / "evals")
    place.whole_spec(faults="wrong-answers=0.9")
    ended = place.release().end()
    ended.must_end(1, "REJECTED")
    assert ended.folder.name.endswith("-release-2")
    assert ended.bad[EVAL] == "FAIL"
    assert "is below the floor" in ended.causes
    old = place.artifacts / names[0] / "records.jsonl"
    assert old.read_bytes() == (clean.folder / "records.jsonl").read_bytes()


# -- checks that did not run -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forgotten", "checks"),
    [
        ("server/test_identity.py", {f"server.{name}" for name in ("health", "version", "model", "architecture")}),
        ("evals/test_accuracy.py", {EVAL}),
    ],
)
@pytest.mark.long
def test_a_check_of_the_manifest_that_no_test_makes(place: Place, forgotten: str, checks: set[str]) -> None:
    place.whole_spec()
    checkout = place.checkout()
    (checkout / "tests" / forgotten).unlink()
    ended = place.pytest(cwd=checkout).end().must_end(1, "INCOMPLETE")
    assert set(ended.report["missing"]) == checks
    assert "no record of it" in ended.causes
    assert min(checks) in (ended.folder / "report.md").read_text(encoding="utf-8")


@pytest.mark.long
def test_a_check_that_is_deselected(place: Place) -> None:
    place.whole_spec()
    ended = place.release("--", "-k", "not test_health").end().must_end(4, "PARTIAL")
    assert ended.report["missing"] == ["server.health"]
    assert "narrowed: -k 'not test_health'" in ended.causes


@pytest.mark.long
def test_a_limit_on_samples(place: Place) -> None:
    place.whole_spec(evals=[eval_target(tolerance=0.6)])
    ended = place.release("--limit=30").end().must_end(4, "PARTIAL")
    assert not ended.bad
    assert ended.rows[EVAL]["evidence"][0]["n"] == 30
    assert "narrowed: --limit 30" in ended.causes


@pytest.mark.long
def test_a_test_that_is_skipped_as_it_runs(place: Place) -> None:
    place.spec()
    skips = (
        "import pytest\ndef pytest_runtest_setup(item):\n    if 'max_tokens' in item.name:\n        pytest.skip('not today')\n"
    )
    ended = place.release("--", "-p", place.plugin("skips_one", skips)).end().must_end(4, "INCOMPLETE")
    assert ended.report["missing"] == ["server.max-tokens"]
    assert "server.max-tokens: not measured - skipped: not today" in ended.causes


@pytest.mark.parametrize(("kept", "outcomes"), [("stand-in-a", ["INCONCLUSIVE", "INCOMPLETE"]), ("no cell", ["INCOMPLETE"] * 2)])
def test_a_cell_that_a_conftest_leaves_no_test_of(place: Place, kept: str, outcomes: list[str]) -> None:
    place.spec(models=("stand-in-a", "stand-in-b"), impl=NO_FEATURES)
    checkout = place.checkout()
    (checkout / "tests" / "conftest.py").write_text(
        f"def pytest_collection_modifyitems(items):\n    items[:] = [i for i in items if {kept!r} in i.name or 'own' in i.name]\n"
    )
    (checkout / "tests" / "test_own.py").write_text("def test_own():\n    pass\n")
    ended = place.pytest(cwd=checkout, model="stand-in-*").end()
    assert ended.code == 1, ended.said
    reports = [json.loads((folder / "report.json").read_text(encoding="utf-8")) for folder in ended.folders]
    assert [report["model"] for report in reports] == ["stand-in-a", "stand-in-b"]
    assert [report["decision"]["outcome"] for report in reports] == outcomes


@pytest.mark.long
def test_a_test_that_is_expected_to_fail_and_not_run(place: Place) -> None:
    place.spec()
    marks = (
        "import pytest\ndef pytest_collection_modifyitems(items):\n    for item in items:\n"
        "        if 'max_tokens' in item.name:\n            item.add_marker(pytest.mark.xfail(run=False, reason='known'))\n"
    )
    ended = place.release("--", "-p", place.plugin("expects_one", marks)).end().must_end(4, "INCOMPLETE")
    assert ended.report["missing"] == ["server.max-tokens"]
    assert "known" in ended.rows["server.max-tokens"]["reason"]


@pytest.mark.long
def test_a_failure_that_was_expected_is_one(place: Place) -> None:
    place.spec(faults="no-stop")
    marks = (
        "import pytest\ndef pytest_collection_modifyitems(items):\n    for item in items:\n"
        "        item.add_marker(pytest.mark.xfail(reason='known'))\n"
    )
    ended = place.release("--", "-p", place.plugin("expects_all", marks)).end().must_end(1, "REJECTED")
    assert ended.bad["server.stop"] == "FAIL"


# -- what is served, and what is asked of it -------------------------------------------------------------------------


def attached(place: Place, *faults: str, environ: dict[str, str] | None = None, **options: object) -> Ended:
    """A run against a server that somebody started, by default exactly as the spec says."""
    place.spec(perf=[perf_point()])
    asked = {"model": WEIGHTS, "served_model_name": MODEL, "ttft_ms": 2, "max_model_len": 512, "max_num_seqs": 8, **options}
    with running(*faults, environ=place.environ if environ is None else environ, **asked) as server:
        return place.release(f"--server-url={server.base_url}").end()


@pytest.mark.long
def test_another_model_and_another_version_under_the_url(place: Place) -> None:
    ended = attached(place, "wrong-model-name", "wrong-version=0.31.9").must_end(1, "REJECTED")
    assert "server.version: FAIL - the server runs vllm 0.31.9, the spec says ==0.32.0" in ended.causes
    assert "server.model: FAIL - the server serves some-other-model, the spec says stand-in" in ended.causes


@pytest.mark.long
def test_a_right_server_under_the_url_is_seen_to_run_here(place: Place) -> None:
    """By the program that listens; test_testbed.py has the near end of a tunnel."""
    ended = attached(place).must_end(4, "INCONCLUSIVE")
    assert ended.bad == {"spec.targets": "INCONCLUSIVE"}, ended.causes


@pytest.mark.parametrize(
    ("options", "verdict", "reason"),
    [
        ({"ttft_ms": 3}, "FAIL", "it has ttft_ms=3, the spec says 2"),
        ({"quantization": "fp8"}, "INCONCLUSIVE", "it has quantization=fp8, the spec does not"),
        ({"model": "/models/another"}, "FAIL", "weights is '/models/another'"),
    ],
)
@pytest.mark.long
def test_an_attached_server_that_was_started_otherwise(
    place: Place, options: dict[str, object], verdict: str, reason: str
) -> None:
    ended = attached(place, **options)
    assert ended.bad == {"spec.targets": "INCONCLUSIVE", "server.model": verdict}
    assert reason in ended.rows["server.model"]["reason"]


@pytest.mark.long
def test_an_attached_server_with_other_variables(place: Place) -> None:
    """The spec's are those of the process that serves, not what hallmark would have set."""
    ended = attached(place, environ={}).must_end(1, "REJECTED")
    assert ended.bad == {"spec.targets": "INCONCLUSIVE", "spec.env.PYTHONPATH": "FAIL"}


@pytest.mark.long
def test_an_attached_server_that_somebody_started_anew(place: Place) -> None:
    """Quicker than anybody looks: each check is answered, but by two servers."""
    place.spec(perf=[perf_point()], engine_args={"ttft_ms": 100})
    environ = place.environ | {"STAND_IN_FAULTS": "reuse-port"}
    asked = {"model": WEIGHTS, "served_model_name": MODEL, "ttft_ms": 100, "port": free_port("127.0.0.1"), "environ": environ}
    with running(**asked) as first:
        command = place.release(f"--server-url={first.base_url}")
        records = command.folder() / "records.jsonl"
        wait_for(lambda: records.exists() and "server.bad-request" in records.read_text(), "record of a server check")
        with running(**asked):
            wait_for(lambda: len(listeners(first.port)) == 2, "second server")
            first.process.kill()
            first.process.wait()
            ended = command.end()
    ended.must_end(1, "REJECTED")
    assert f"perf.{POINT}: FAIL - the server is gone (another process answers in its place)" in ended.causes


@pytest.mark.long
def test_without_its_interpreter_an_attached_servers_machine_and_environment_are_unknown(place: Place) -> None:
    place.spec(perf=[perf_point()])
    with running(model=WEIGHTS, served_model_name=MODEL) as server:
        options = [f"--model={MODEL}", "--device=cpu", f"--spec-dir={place.specs}", f"--artifacts={place.artifacts}"]
        command = place.start(["hallmark.checkout", "--workflow=release", *options, f"--server-url={server.base_url}"])
        ended = command.end().must_end(4, "INCONCLUSIVE")
    unknown = {check for check in ended.rows if check.startswith(("spec.device", "spec.environment", "spec.python", "spec.env"))}
    assert unknown <= set(ended.bad)
    assert {ended.bad[check] for check in unknown} == {"INCONCLUSIVE"}


@pytest.mark.long
@pytest.mark.parametrize(("status", "code", "outcome"), [("complete", 1, "REJECTED"), ("functional", 0, "ACCEPTED")])
def test_a_point_that_meets_a_lower_tier(place: Place, status: str, code: int, outcome: str) -> None:
    """400 ms to the first token: functional is up to 1,600 ms, complete up to 16 ms. No busy machine explains so much."""
    factors = {"functional": 0.005, "complete": 0.5, "target": 1.0}
    point = perf_point(targets={"ttft_mean_ms": 8})
    place.whole_spec(perf=[point], status=status, impl={"tier_factors": factors}, engine_args={"ttft_ms": 400})
    ended = place.release().end().must_end(code, outcome)
    if outcome == "REJECTED":
        assert ended.bad == {PERF: "FAIL"}
        assert "tier complete" in ended.causes
        assert "tier reached: functional" in ended.causes


# -- tests of somebody's own -----------------------------------------------------------------------------------------


def with_test(place: Place, source: str) -> Ended:
    place.whole_spec()
    checkout = place.checkout()
    (checkout / "tests" / "test_own.py").write_text(source, encoding="utf-8")
    return place.pytest(cwd=checkout).end()


@pytest.mark.parametrize(
    ("body", "outcome", "reason"),
    [
        ("pass", "INCONCLUSIVE", "the test recorded no evidence"),
        ("assert cell.model == 'another', 'my own demand'", "REJECTED", "my own demand"),
        ("raise OSError('my own bug')", "ERROR", "my own bug"),
    ],
)
@pytest.mark.long
def test_a_test_of_somebodys_own(place: Place, body: str, outcome: str, reason: str) -> None:
    ended = with_test(place, f"def test_mine(cell, check):\n    {body}\n").must_end(1, outcome)
    (extra,) = ended.bad
    assert extra == "extra.tests/test_own.py::test_mine"
    assert reason in ended.causes


def test_a_module_that_cannot_be_collected_is_no_interruption(place: Place) -> None:
    ended = with_test(place, "import no_such_module\n").must_end(2, "INCOMPLETE")
    assert set(ended.report["missing"]) == set(ended.rows)


def test_a_plugin_that_was_switched_off_is_not_the_servers_fault(place: Place) -> None:
    place.spec(perf=[perf_point()], impl=NO_FEATURES)
    ended = place.release("--", "-p", "no:benchmark").end().must_end(3, "ERROR")
    assert ended.bad == {"spec.targets": "INCONCLUSIVE", PERF: "ERROR"}


@pytest.mark.long
def test_a_record_that_could_not_be_written_is_missed(place: Place) -> None:
    """The last one, of a check that nobody demands: without it all the others would make an accepted run."""
    place.whole_spec()
    checkout = place.checkout()
    (checkout / "tests" / "test_own.py").write_text("def test_mine(cell, check):\n    assert False, 'my own demand'\n")
    full = (
        "from hallmark.core import records\nfrom hallmark.core.errors import InfrastructureError\n"
        "append = records.RecordLog.append\n"
        "def once(self, record):\n    if 'test_mine' in record.check:\n"
        "        raise InfrastructureError('No space left on device')\n"
        "    append(self, record)\nrecords.RecordLog.append = once\n"
    )
    ended = place.pytest("-p", place.plugin("full_once", full), cwd=checkout).end().must_end(3, "ERROR")
    assert "No space left on device" in ended.causes
    again = place.start(["hallmark.checkout", "--workflow=reports", f"--run={ended.folder}"]).end()
    assert again.code == 3


@pytest.mark.long
def test_a_test_of_no_cell_cannot_fail_unnoticed(place: Place, clean: Ended) -> None:
    """It says nothing about the cell, so the report stands; but pytest is not happy, and neither is the command."""
    ended = with_test(place, "def test_mine():\n    assert False, 'my own demand'\n")
    assert ended.code == 1
    assert "my own demand" in ended.out
