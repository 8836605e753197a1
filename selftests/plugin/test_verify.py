"""`hallmark verify`: what is altered is found and named, and no folder that is as its run left it is accused."""

from __future__ import annotations

import json
import os
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hallmark import cli
from hallmark.core.file_digests import files_below
from hallmark.report.certificate.files import CERTIFICATE_FILES
from selftests.faulty import running
from selftests.once import alone_in, shared_folder
from selftests.plugin.alterations import ALTERATIONS, Alteration, better_score, subject_of
from selftests.plugin.altering import certify_anew, forged, json_of, record_of, seal
from selftests.plugin.broken_runs import cut_log
from selftests.plugin.commands import wait_for
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import WEIGHTS, eval_target, perf_point

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="session")
def ended_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an accepted run: made once, and copied by whoever alters it."""
    shared = shared_folder(tmp_path_factory, "verified")
    kept = shared / "run"
    with alone_in(shared):
        if not kept.exists():
            place = Place(shared / "place")
            place.whole_spec()
            place.release().end().must_end(0, "ACCEPTED").folder.rename(kept)
    return kept


@pytest.fixture
def folder(ended_folder: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(ended_folder, tmp_path / "run"))


def verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """(exit code, lines)"""
    capsys.readouterr()
    code = cli.main(["verify", str(folder)])
    return code, capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("alteration", ALTERATIONS, ids=lambda one: one.name.replace(" ", "-"))
def test_what_is_altered_is_named(alteration: Alteration, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alteration.change(folder)
    code, lines = verified(folder, capsys)
    assert code == 5, lines
    assert lines[0].startswith("ALTERED: ")
    assert [line for line in lines if alteration.found in line], "\n".join(lines)


def test_the_alterations_are_many_and_each_another() -> None:
    assert len({alteration.name for alteration in ALTERATIONS}) == len(ALTERATIONS) >= 40


def test_a_folder_that_nobody_touched_is_not_accused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = verified(folder, capsys)
    assert (code, lines[0].partition(" - ")[0]) == (0, "VERIFIED: ACCEPTED at tier complete"), lines


def test_a_run_writes_its_certificate_and_says_that_nobody_signed_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, lines = verified(folder, capsys)
    assert "  certificate.json: UNSIGNED: it tells of changes, and not of who made it" in lines
    assert "UNSIGNED: it tells of changes" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.long
def test_a_run_signs_its_certificate_with_the_key_that_its_environment_names(
    place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["keygen", str(tmp_path / "key")]) == 0
    place.whole_spec()
    signed = place.release(HALLMARK_SIGNING_KEY=str(tmp_path / "key")).end().must_end(0, "ACCEPTED").folder
    assert cli.main(["verify", str(signed), "--key", str(tmp_path / "key.pub")]) == 0
    assert "signed by key" in (signed / "report.html").read_text(encoding="utf-8")


def test_a_run_that_is_to_sign_and_cannot_does_not_begin(place: Place, tmp_path: Path) -> None:
    place.spec()
    ended = place.release(HALLMARK_SIGNING_KEY=str(tmp_path / "none")).end()
    assert (ended.code, f"{tmp_path / 'none'}: cannot be read" in ended.said) == (2, True), ended.said


def test_writing_all_digests_anew_alters_nothing_by_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else the forged ones would be found for another reason than theirs."""
    seal(folder)
    certify_anew(folder)
    assert verified(folder, capsys)[0] == 0


def test_what_follows_from_the_raw_rows_is_told_and_what_does_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, lines = verified(folder, capsys)
    derived = lines.index("derived anew from the raw rows, by the gates that judged them:")
    left = lines.index("not derived:")
    assert [line.strip() for line in lines[derived + 1 : left]] == ["evals.addition: 60 items", "perf.isl16-osl8-c2: 8 requests"]
    assert any("what was sent and answered is not kept" in line for line in lines[left:])


def test_another_judge_decides_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A hallmark that judges by other code than the run's may come to something else, and accuses nobody of it."""

    def of_another(begins: dict[str, Any]) -> None:
        begins["code"] = "0" * 64

    forged(record_of("begins", of_another), subject_of("suite", lambda suite: suite.update(code="0" * 64)))(folder)
    assert verified(folder, capsys)[0] == 0
    forged(record_of("evals.addition", better_score))(folder)
    code, lines = verified(folder, capsys)
    assert code == 4
    assert lines[0].startswith("NOT DECIDED: ")
    assert any("exact_match,none is 0.999 there, and 1.0" in line for line in lines)


@pytest.mark.long
def test_an_eval_that_ended_early_by_its_reference_is_derived_again(
    place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place.spec(evals=[eval_target(tolerance=0.1)], items=100)
    first = place.release(workflow="evals").end()
    assert place.start(["hallmark", "reference", "record", str(first.folder)]).end().code == 0
    ended = place.release(workflow="evals").end()
    code, lines = verified(ended.folder, capsys)
    assert code == 0, lines
    assert "  evals.addition: 80 items" in lines

    shutil.copytree(ended.folder, altered := tmp_path / "altered")
    (altered / "evals" / "reference.json.gz").write_bytes(b"none")
    code, lines = verified(altered, capsys)
    assert (code, any(line.startswith("  evals/reference.json.gz: was changed") for line in lines)) == (5, True), lines


@pytest.mark.long
def test_a_point_that_ended_early_is_derived_again(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a busy machine makes of it: that it is VOID is derived, too."""
    traffic = {"arrivals": {"kind": "constant", "rate": 100}, "objectives": {"quantiles": {"ttft_p90_ms": 5}}}
    place.spec(perf=[perf_point(requests=150, concurrency=50, **traffic)], engine_args={"ttft_ms": 50})
    ended = place.release(workflow="benchmarks").end()
    (path,) = ended.folder.glob("perf/*.window.json")
    assert json.loads(path.read_text())["result"]["curtailed"] == "objective ttft_p90_ms", ended.said
    assert ended.bad[f"perf.{path.name.removesuffix('.window.json')}"] in ("FAIL", "VOID")
    _, lines = verified(ended.folder, capsys)
    assert lines[0].startswith("VERIFIED: "), lines
    assert any(line.startswith("  perf.isl16-osl8-") and "requests" in line for line in lines), lines

    def whole(window: dict[str, Any]) -> None:
        window["result"]["curtailed"] = ""

    forged(json_of(f"perf/{path.name}", whole))(ended.folder)
    code, lines = verified(ended.folder, capsys)
    assert (code, any(": requests has the verdict " in line for line in lines)) == (5, True), lines


def test_a_report_that_is_rendered_again_is_not_accused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert cli.main(["run", "--workflow", "reports", "--run", str(folder)]) == 0
    assert verified(folder, capsys)[0] == 0


def test_a_folder_in_another_place_is_not_accused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / ".DS_Store").write_bytes(b"as a desktop leaves it")
    with (folder / "server.log").open("a", encoding="utf-8") as log:
        log.write("what ended the server was slow\n")
    assert verified(folder.rename(folder.with_name("sent-by-mail")), capsys)[0] == 0


def test_the_records_of_another_run_do_not_belong_to_the_folder(
    folder: Path, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.spec()
    other = place.release(workflow="spec").end().folder
    shutil.copy(other / "records.jsonl", folder)
    code, lines = verified(folder, capsys)
    assert code == 5
    assert any("manifest.json: was changed" in line for line in lines)


def test_a_run_made_before_there_were_chains(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = (folder / "records.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "records.jsonl").write_bytes(b"".join(row for row in rows if not row.startswith(b'{"chain"')))
    manifest = (folder / "manifest.json").read_text(encoding="utf-8")
    (folder / "manifest.json").write_text(manifest.replace('"chained": true', '"chained": false'), encoding="utf-8")
    code, lines = verified(folder, capsys)
    assert (code, len(lines)) == (6, 1)
    assert lines[0].endswith("made before hallmark recorded chains: nothing can be verified")


def test_what_is_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", str(tmp_path)]) == 2
    said = f"{tmp_path}: holds no run (no manifest.json) - name a folder below artifacts/"
    assert capsys.readouterr().err == f"hallmark verify: {said}\n"


HOSTILE = (
    b"",
    b"\x00\xff",
    b"null",
    b"[]",
    b"{}",
    b'"text"',
    b"[" * 100_000,
    b'{"chain": "ends", "files": {"../../x": 1}}\n',
    b"1e999\n",
)


@pytest.mark.long
@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_a_stranger_puts_into_a_folder_ends_in_lines(
    content: bytes, folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In the place of each file: never accepted with the digests as they were, and no crash where they are made to fit, too."""
    for file in files_below(folder):
        altered = Path(shutil.copytree(folder, tmp_path / file.replace("/", "-")))
        (altered / file).write_bytes(content)
        code, lines = verified(altered, capsys)
        assert code in (4, 5), (file, lines)
        assert lines[0].startswith(("ALTERED", "INCOMPLETE", "NOT DECIDED")), (file, lines)
        if file != "records.jsonl":
            seal(altered)
            code, lines = verified(altered, capsys)
            assert code in (0, 4, 5), (file, lines)
        shutil.rmtree(altered)


@pytest.mark.long
def test_a_rejected_run_is_verified_as_that(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.whole_spec(evals=[eval_target(tolerance=0.05)], faults="wrong-answers")
    ended = place.release().end().must_end(1, "REJECTED")
    code, lines = verified(ended.folder, capsys)
    assert (code, lines[0].partition(" - ")[0]) == (1, "VERIFIED: REJECTED"), lines


@pytest.mark.long
def test_a_run_of_several_workers_has_one_chain(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.spec(evals=[eval_target()])
    ended = place.release("--", "-n", "2").end()
    code, lines = verified(ended.folder, capsys)
    assert (code, lines[0].partition(" - ")[0]) == (ended.code, f"VERIFIED: {ended.report['decision']['outcome']}"), lines


@pytest.mark.long
def test_a_run_that_was_interrupted_is_verified_as_that(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.whole_spec(engine_args={"ttft_ms": 50})
    command = place.release()
    written = command.folder() / "records.jsonl"
    wait_for(lambda: written.exists() and written.read_bytes().count(b"\n") > 5, "record")
    command.signal_all(signal.SIGINT)
    command.end().must_end(130, "INTERRUPTED")
    code, lines = verified(written.parent, capsys)
    assert (code, lines[0].partition(" - ")[0]) == (130, "VERIFIED: INTERRUPTED"), lines
    assert cli.main(["run", "--workflow", "reports", "--run", str(written.parent)]) == 130
    assert verified(written.parent, capsys)[0] == 130


@pytest.mark.long
def test_a_part_of_a_run_is_verified_as_that(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.whole_spec()
    ended = place.release(workflow="evals").end().must_end(0, "PARTIAL")
    code, lines = verified(ended.folder, capsys)
    assert (code, lines[0].partition(" - ")[0]) == (0, "VERIFIED: PARTIAL"), lines


@pytest.mark.long
@pytest.mark.parametrize("records", [1, 2, 4, 7, 9])
def test_a_run_that_is_killed_is_an_incomplete_one(place: Place, records: int, capsys: pytest.CaptureFixture[str]) -> None:
    place.whole_spec(engine_args={"ttft_ms": 50})
    command = place.release()
    written = command.folder() / "records.jsonl"
    wait_for(lambda: written.exists() and written.read_bytes().count(b"\n") > records, "record")
    for pid in place.processes():
        os.kill(pid, signal.SIGKILL)
    command.end()
    code, lines = verified(written.parent, capsys)
    assert (code, lines[0].partition(":")[0]) == (4, "INCOMPLETE"), lines
    assert not any("changed" in line or "missing" in line for line in lines), lines


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.77, 0.98])
def test_wherever_a_kill_cuts_the_records_nobody_is_accused(
    folder: Path, share: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before its end there is no report, and after it everything is there."""
    for name in ("report.json", "report.html", "report.md", "junit.xml", "row_digests.json", *CERTIFICATE_FILES):
        (folder / name).unlink(missing_ok=True)
    rows = (folder / "records.jsonl").read_bytes().splitlines(keepends=True)
    measured = b"".join(rows[:-2])
    (folder / "records.jsonl").write_bytes(measured[: int(len(measured) * share)])
    cut_log(folder)
    code, lines = verified(folder, capsys)
    assert (code, lines[0].partition(":")[0]) == (4, "INCOMPLETE"), lines


def test_a_run_whose_days_have_ended_is_no_longer_accepted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier = f"{datetime.now(UTC) - timedelta(days=100):%Y-%m-%dT%H:%M:%S+00:00}"
    forged(json_of("manifest.json", lambda manifest: manifest.update(started_at=earlier)))(folder)
    code, lines = verified(folder, capsys)
    assert (code, lines[0].partition(":")[0], lines[1].partition(":")[0]) == (7, "ENDED", "VERIFIED"), lines


def test_a_run_is_held_against_the_server_of_today(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running() as server:
        assert cli.main(["verify", str(folder), "--against", server.base_url]) == 4  # a name is no model
        assert cli.main(["verify", str(folder), "--against", server.base_url, "--against-weights", str(WEIGHTS)]) == 0
    with running(version="0.33.0") as server:
        capsys.readouterr()
        assert cli.main(["verify", str(folder), "--against", server.base_url]) == 7
    assert capsys.readouterr().out.startswith("STALE: engine version 0.33.0 runs there, 0.32.0 was measured\nVERIFIED: ")
    assert cli.main(["verify", str(folder), "--against-weights", str(WEIGHTS)]) == 2
