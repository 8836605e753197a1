"""`--smoke`: green on a clean server, red on a fault of each kind, and never a certificate."""

from __future__ import annotations

import pytest

from selftests.faulty import running
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import DEVICE, MODEL, POINT, WEIGHTS, perf_point

pytestmark = [pytest.mark.e2e, pytest.mark.long]
EVAL = "evals.addition"


def test_a_clean_server_passes_and_nothing_calls_it_accepted(place: Place) -> None:
    place.whole_spec(perf=[perf_point(), perf_point(isl=64, osl=32, concurrency=4)])
    ended = place.pytest("--smoke").end().must_end(0, "SMOKE PASSED")
    assert "hallmark: SMOKE PASSED" in ended.out
    assert "Smoke passed; certifies nothing." in ended.out
    assert {row["kind"] for row in ended.report["rows"]} == {"spec", "server", "evals", "perf"}
    assert [check for check in ended.rows if check.startswith("perf.")] == [f"perf.{POINT}"], "the lightest point alone"
    assert ended.rows[f"perf.{POINT}"]["evidence"][0]["n"] == 4
    assert ended.rows[EVAL]["evidence"][0]["n"] == 16
    assert "narrowed: --smoke" in ended.causes
    written = "".join((ended.folder / f"report.{kind}").read_text(encoding="utf-8") for kind in ("json", "md", "html"))
    for text in (ended.said, written):
        assert "ACCEPTED" not in text


def test_a_score_that_few_samples_cannot_judge_is_told_and_spoils_nothing(place: Place) -> None:
    place.whole_spec(faults="wrong-answers=0.3")
    ended = place.release("--smoke").end().must_end(0, "SMOKE PASSED")
    assert ended.bad == {EVAL: "INCONCLUSIVE"}
    assert "1 not judged, none failed" in ended.out
    assert f"{EVAL}: INCONCLUSIVE - not judged on so few samples: " in ended.causes
    assert "= FAILURES =" not in ended.out
    assert "Traceback" not in ended.out
    assert "1 inconclusive" in ended.out
    assert ended.out.splitlines()[-1] == "smoke passed; certifies nothing"


@pytest.mark.parametrize(
    ("changes", "bad"),
    [
        ({"impl": {"python_deps": {"no-such-package": "==1"}}}, "spec"),
        ({"faults": "no-usage"}, "server"),
        ({"faults": "wrong-answers=1"}, "evals"),
        ({"faults": "short-output"}, "perf"),  # no busy machine excuses answers that are too short
    ],
    ids=["spec", "server", "evals", "perf"],
)
def test_a_fault_of_each_kind_is_red(place: Place, changes: dict[str, object], bad: str) -> None:
    place.whole_spec(**changes)
    ended = place.release("--smoke").end().must_end(1, "REJECTED")
    assert "FAIL" in {row["verdict"] for row in ended.report["rows"] if row["kind"] == bad}


def test_a_smoke_run_that_is_narrowed_further_is_partial(place: Place) -> None:
    place.whole_spec()
    place.release("--smoke", "--", "-k", "test_health").end().must_end(4, "PARTIAL")


def test_a_check_that_did_not_run_spoils_a_smoke_run(place: Place) -> None:
    place.whole_spec()
    skips = (
        "import pytest\ndef pytest_runtest_setup(item):\n    if 'max_tokens' in item.name:\n        pytest.skip('not today')\n"
    )
    place.release("--smoke", "--", "-p", place.plugin("skips_one", skips)).end().must_end(4, "INCOMPLETE")


def test_a_server_that_runs_already_passes_though_its_environment_is_unseen(place: Place) -> None:
    """Several checks share that one cause; none of them is a failure."""
    place.whole_spec()
    model, cell = f"--model={MODEL}", f"--device={DEVICE}"
    options = [model, cell, f"--spec-dir={place.specs}", f"--artifacts={place.artifacts}"]
    with running(model=WEIGHTS, served_model_name=MODEL, ttft_ms=2, max_model_len=512) as server:
        ended = place.start(["hallmark.checkout", "--smoke", *options, f"--server-url={server.base_url}"]).end()
    ended.must_end(0, "SMOKE PASSED")
    assert {verdict for check, verdict in ended.bad.items()} == {"INCONCLUSIVE"}
    assert len(ended.bad) > 2
    assert "the environment of an attached server is not known" in ended.causes
    assert ended.out.splitlines()[-1] == "smoke passed; certifies nothing"
