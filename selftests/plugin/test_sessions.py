"""What a session does around its checks: its folder, header, workers, secrets, and what it leaves alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hallmark import ModelSpec
from hallmark.specs.catalogue import load_catalogue
from hallmark.specs.foreign.convert import Completion, convert
from selftests.plugin.commands import Ended
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import POINT, ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.long]

FOLDER = {
    "manifest.json",
    "records.jsonl",
    "runtime_environment.json",
    "report.json",
    "report.md",
    "report.html",
    "junit.xml",
    "badge.svg",
    "server.log",
    "launch_plan.json",
    "load.jsonl",
    "answers_seen.json",
    "subjects.json",
    "hallmark.log",
    "row_digests.json",
    "certificate.json",
    "certificate.test-result.json",
    "certificate.svr.json",
    "evals",
    "perf",
}


# -- one run ---------------------------------------------------------------------------------------------------------


def test_the_folder_of_a_run_is_complete(clean: Ended) -> None:
    assert {path.name for path in clean.folder.iterdir()} == FOLDER
    assert {path.name for path in (clean.folder / "evals").iterdir()} >= {"addition.samples.jsonl"}
    kept = ("json", "csv", "samples.jsonl", "schedule.jsonl", "series.json", "vllm-bench.json", "window.json")
    assert {path.name for path in (clean.folder / "perf").iterdir()} == {f"{POINT}.{ending}" for ending in kept}
    assert all(path.stat().st_size for path in clean.folder.rglob("*") if path.is_file() and path.name != "lm_eval.log")


def test_the_log_of_a_run_tells_what_was_done_and_when(clean: Ended) -> None:
    lines = (clean.folder / "hallmark.log").read_text(encoding="utf-8").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) \S", line) for line in lines)
    assert [line[:24] for line in lines] == sorted(line[:24] for line in lines)
    told = "\n".join(lines)
    for said in ("INFO hallmark 0", "starting the server of", "the server is ready after", "lm-eval: ", f"perf {POINT}: "):
        assert said in told
    measured = [record["check"] for record in clean.records if record["offered"]]
    assert {f"check {check}: PASS" for check in measured} <= {line[30:].split(" - ")[0] for line in lines}
    assert "its server has been stopped" in told
    assert "the report is written" in lines[-2]
    assert clean.report["decision"]["headline"] in lines[-1]


def test_the_spec_that_a_run_wrote_down_is_one(clean: Ended) -> None:
    """Read by name, and converted to a spec file that holds all of it."""
    path = clean.folder / "runtime_environment.json"
    spec = ModelSpec.from_json(path)
    assert (spec.model_id, spec.to_dict()) == (clean.report["cell"], json.loads(path.read_text())["tt_model_spec"])
    (converted,) = convert(path, load_catalogue([ROOT / "model_specs"]), Completion())
    assert converted.family == spec.family_spec
    assert converted.left == ()


def test_the_header_tells_effective_values_and_their_origins(place: Place) -> None:
    place.spec()
    ended = place.pytest("--collect-only", "-q", HALLMARK_PORT="8123").end()
    assert ended.code == 0, ended.said
    loud = place.pytest("--collect-only", HALLMARK_PORT="8123").end()
    for shown in ("model=stand-in (command line)", "port=8123 (environment)", "server=local (default)"):
        assert shown in loud.out
    assert "hallmark 0" in loud.out
    bare = place.start(["pytest", "--collect-only"]).end()
    assert "model=hallmark-tiny (ini)" in bare.out
    assert "device=cpu (ini)" in bare.out


def test_collecting_leaves_no_folder(place: Place) -> None:
    place.whole_spec()
    ended = place.pytest("--collect-only").end()
    assert ended.code == 0
    assert "test_score_reaches_its_target[id_stand-in-server_stand-in_cpu-addition]" in ended.out
    assert not place.artifacts.exists()


def test_pytest_benchmark_books_the_perf_points(clean: Ended, clean_folder: Path) -> None:
    book = json.loads((clean_folder / "benchmark.json").read_text(encoding="utf-8"))
    (booked,) = book["benchmarks"]
    assert booked["params"] == {"cell": clean.report["cell"], "point": POINT}
    assert booked["stats"]["rounds"] == 8, "one round for each request"
    measured = {item["name"]: item["value"] for item in clean.rows[f"perf.{POINT}"]["evidence"]}
    assert booked["extra_info"]["ttft_mean_ms"] == pytest.approx(measured["ttft_mean_ms"])
    assert booked["stats"]["mean"] * 1000 == pytest.approx(measured["e2e_mean_ms"], rel=0.05)


@pytest.mark.real_evals
def test_secrets_are_in_no_file_and_on_no_screen(place: Place) -> None:
    """The server, the harness and a failing test each try to give them away."""
    token, key = "canary-of-the-hub-1234567890", "canary-of-the-api-0987654321"
    leaky = "import os\nfrom selftests.faulty.server import main\nprint(sorted(os.environ.items()), flush=True)\nmain()\n"
    place.plugin("leaky_server", leaky)
    place.whole_spec(faults="no-stop", impl={"engine": {"name": "vllm", "version": "==0.32.0", "module": "leaky_server"}})
    checkout = place.checkout()
    (checkout / "tests" / "test_leak.py").write_text(
        "import os\n"
        "def test_leak(cell, server, check):\n"
        "    print(os.environ['HF_TOKEN'])\n"
        "    check.observe('environment', str(dict(os.environ)))\n"
        "    assert os.environ['HF_TOKEN'] == 'x', 'it is ' + os.environ['HALLMARK_API_KEY']\n",
        encoding="utf-8",
    )
    ended = place.pytest(cwd=checkout, HF_TOKEN=token, HALLMARK_API_KEY=key).end().must_end(1, "REJECTED")
    assert "[redacted]" in (ended.folder / "server.log").read_text(encoding="utf-8"), "else the server gave nothing away"
    assert "[redacted]" in ended.out
    for secret in (token, key):
        assert secret not in ended.said
        leaks = [path for path in place.artifacts.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
        assert not leaks


def test_a_secret_that_is_a_word_of_every_record_spoils_no_run(place: Place) -> None:
    """And what the command line says of an engine argument is no place for a secret either."""
    place.whole_spec()
    ended = place.release("--", "-k", "not canary-of-the-door", DOOR_SECRET="server", HF_TOKEN="canary-of-the-door").end()
    ended.must_end(4, "PARTIAL")
    assert not ended.bad
    assert "canary-of-the-door" not in "".join(p.read_text(errors="replace") for p in ended.folder.rglob("*") if p.is_file())


# -- several cells, several workers ----------------------------------------------------------------------------------


def test_two_cells_of_one_session_get_two_folders_and_two_reports(place: Place) -> None:
    place.whole_spec(models=("stand-in-a", "stand-in-b"))
    ended = place.release(model="stand-in-*").end()
    assert ended.code == 0, ended.said
    reports = [json.loads((folder / "report.json").read_text(encoding="utf-8")) for folder in ended.folders]
    assert [report["model"] for report in reports] == ["stand-in-a", "stand-in-b"]
    assert {report["decision"]["outcome"] for report in reports} == {"ACCEPTED"}
    assert all({path.name for path in folder.iterdir()} == FOLDER for folder in ended.folders)
    verdicts = [line for line in ended.out.splitlines() if line.startswith("verdict: ")]
    assert len(verdicts) == 2


def essence(ended: Ended, *, kinds: tuple[str, ...]) -> dict[str, Any]:
    return {
        record["check"]: (record["verdict"], record["nodeid"], record["measured"], [item["name"] for item in record["evidence"]])
        for record in ended.records
        if record["kind"] in kinds
    }


def test_workers_of_xdist_record_the_same_and_refuse_perf(place: Place) -> None:
    place.whole_spec()
    alone = place.release().end().must_end(0, "ACCEPTED")
    ended = place.release("--", "-n", "2").end().must_end(4, "INCOMPLETE")
    kinds = ("spec", "server", "evals")
    assert essence(ended, kinds=kinds) == essence(alone, kinds=kinds)
    assert ended.report["missing"] == [f"perf.{POINT}"]
    assert "performance cannot be measured under pytest-xdist" in ended.causes
    assert (ended.folder / "server.log").read_text(encoding="utf-8").count("stand-in for selftests: stand-in on") == 1
    place.require_nobody_left()


def test_workers_that_stop_at_the_first_failure_were_not_interrupted(place: Place) -> None:
    place.spec()
    ended = place.release("--", "-n", "2", "-x").end().must_end(4, "INCOMPLETE")
    assert "extra.interrupted" not in ended.rows
    assert "spec.targets" not in ended.report["missing"], "the one that stopped it"


def test_workers_of_xdist_take_a_cell_each(place: Place) -> None:
    place.spec(models=("stand-in-a", "stand-in-b"), impl={"features": []})
    ended = place.release("--", "-n", "2", model="stand-in-*").end()
    assert ended.code == 4, "without targets there is nothing to certify against"
    reports = [json.loads((folder / "report.json").read_text(encoding="utf-8")) for folder in ended.folders]
    assert [report["decision"]["outcome"] for report in reports] == ["INCONCLUSIVE", "INCONCLUSIVE"]
    assert all(not report["missing"] for report in reports)


# -- nothing to do with us, or not the machine for it ----------------------------------------------------------------


def test_a_project_without_specs_is_left_alone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    pytester.makepyfile(
        test_own="""
        import signal, sys

        def test_own(cell):
            assert cell == 1

        def test_signal_and_imports():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
            assert not {"httpx", "pydantic", "lm_eval", "torch"} & set(sys.modules)
        """,
        conftest="""
        import pytest

        @pytest.fixture
        def cell():
            return 1
        """,
    )
    result = pytester.runpytest_subprocess("-p", "hallmark.plugin.plugin", "-p", "no:anyio", "-p", "no:hypothesispytest")
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*hallmark 0*")
    assert not (pytester.path / "artifacts").exists()


@pytest.mark.skipif(Path("/dev/tenstorrent").exists(), reason="this machine has a Tenstorrent device")
def test_a_t3k_that_is_not_here_is_void_in_seconds(place: Place) -> None:
    argv = ["hallmark.checkout", "--workflow=release", "--model=Llama-3.3-70B", "--device=t3k", f"--artifacts={place.artifacts}"]
    ended = place.start(argv).end().must_end(3, "VOID")
    assert "spec.device: VOID, not measured - no t3k here" in ended.causes
    for place_looked_at in ("tt-smi", "/dev/tenstorrent", "0x1e52"):
        assert place_looked_at in ended.causes
    assert all(row["verdict"] == "VOID" for row in ended.rows.values() if row["kind"] not in ("spec", "extra"))
    assert ended.rows["spec.weights"]["verdict"] == "PASS", "what needs no device is judged"
    assert "is not built, because its device is not here" in ended.rows["spec.environment"]["reason"]
    path = ended.folder / "runtime_environment.json"
    assert f"the environment is on record in {path}" in ended.err
    assert json.loads(path.read_text(encoding="utf-8"))["gpu_models"] == "Unknown"


def test_a_part_that_passed_ends_0_and_is_no_release(place: Place) -> None:
    place.whole_spec()
    ended = place.release(workflow="benchmarks").end().must_end(0, "PARTIAL")
    assert ended.rows[f"perf.{POINT}"]["verdict"] == "PASS"
    assert "checks were not asked for" in ended.causes
    told = "All 1 check asked for were measured and passed; a part of a release certifies nothing."
    assert ended.out.splitlines()[-1] == f"verdict: PARTIAL - {told}"
    assert told in (ended.folder / "report.html").read_text(encoding="utf-8")


def test_a_mark_expression_narrows_a_part_further(place: Place) -> None:
    place.spec()
    ended = place.release("--", "-m", "not perf", workflow="spec").end().must_end(4, "PARTIAL")
    assert "narrowed: -m 'not perf'" in ended.causes
    assert {row["kind"] for row in ended.rows.values() if row["measured"]} == {"spec"}
