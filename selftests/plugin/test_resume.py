"""`--resume FOLDER`: a run that broke off is gone on with where all is as it was, and comes to what it would have come to."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hallmark import cli
from hallmark.core.files import Hold
from hallmark.core.subjects import detail_digest
from selftests.once import alone_in, shared_folder
from selftests.plugin.alterations import Alteration
from selftests.plugin.break_alterations import OF_A_BREAK
from selftests.plugin.broken_runs import (
    AGAIN,
    Whole,
    broken,
    broken_off,
    content_of,
    lines_of,
    refused,
    report_of,
    resume,
    rewritten,
    verdicts_of,
    whole,
)
from selftests.plugin.commands import wait_for
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import MODEL

__all__ = ["broken", "whole"]
pytestmark = pytest.mark.e2e

KEPT = "server.bad-request.invalid-json"
"""A check that is not seen again."""


@pytest.fixture(scope="session")
def gone_on_folder(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that broke off, was gone on with, and came to its end; made once, and copied by whoever alters it."""
    shared = shared_folder(tmp_path_factory, "gone-on")
    kept = shared / "run"
    with alone_in(shared):
        if not kept.exists():
            count = sum("check" in line for line in lines_of(whole.folder))
            folder = broken_off(whole.folder, shared / "made", records=2 * count // 3)
            ended = resume(whole.place, folder)
            assert ended.code == 0, ended.said
            folder.rename(kept)
    return kept


@pytest.fixture
def gone_on(gone_on_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(gone_on_folder, tmp_path / "run"))


def verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """(exit code, lines)"""
    capsys.readouterr()
    code = cli.main(["verify", str(folder)])
    return code, capsys.readouterr().out.splitlines()


def often(folder: Path) -> Counter[str]:
    """How many records each check has."""
    return Counter(line["check"] for line in lines_of(folder) if "check" in line)


# -- it comes to what it would have come to -----------------------------------------------------------------------------


def test_a_run_that_was_killed_comes_to_what_its_twin_came_to(whole: Whole, gone_on: Path) -> None:
    report = report_of(gone_on)
    assert (report["decision"]["outcome"], report["decision"]["tier"]) == ("ACCEPTED", "complete")
    assert verdicts_of(gone_on) == verdicts_of(whole.folder)
    (manifest, same) = ((folder / "manifest.json").read_bytes() for folder in (gone_on, whole.folder))
    assert manifest == same


def test_what_was_measured_is_not_measured_again(whole: Whole, gone_on: Path) -> None:
    lines = lines_of(gone_on)
    place = next(place for place, line in enumerate(lines) if line.get("chain") == "resumed")
    assert lines[:place] == lines_of(whole.folder)[:place], "what stood there stays"
    before = {line["check"] for line in lines[1:place]}
    again = {line["check"] for line in lines[place:] if "check" in line} & before
    assert again == {check for check in before if check.startswith("spec.") or check in AGAIN}
    assert KEPT in before - again
    (told,) = report_of(gone_on)["breaks"]
    assert told["measured"] == len(before)
    assert told["why"] == "its process was killed"


def test_it_is_told_everywhere(gone_on: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (told,) = report_of(gone_on)["breaks"]
    line = f"; {told['measured']} of {told['demanded']} checks were measured before it"
    for name in ("report.md", "report.html", "junit.xml"):
        assert line in (gone_on / name).read_text(encoding="utf-8"), name
    assert "goes on with" in (gone_on / "hallmark.log").read_text(encoding="utf-8")
    code, lines = verified(gone_on, capsys)
    assert (code, lines[0].partition(" - ")[0]) == (0, "VERIFIED: ACCEPTED at tier complete"), lines
    assert lines[1].startswith("the run was gone on with after a break of ")
    assert lines[1].endswith(line)


@pytest.mark.long
@pytest.mark.parametrize("records", [0, 1, 4, 9, 14, -6, -3, -2, -1])
def test_wherever_it_was_killed_it_comes_to_the_same(whole: Whole, records: int, tmp_path: Path) -> None:
    folder = broken_off(whole.folder, tmp_path / "run", records=records)
    ended = resume(whole.place, folder)
    assert ended.code == 0, ended.said
    assert not ended.folders, "it goes on in that very folder"
    assert verdicts_of(folder) == verdicts_of(whole.folder)


@pytest.mark.long
def test_a_failure_before_the_break_stays(whole: Whole, broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else whoever kills a run that failed could have it measured until it passes."""

    def failed(lines: list[dict[str, Any]]) -> None:
        next(line for line in lines if line.get("check") == KEPT).update(verdict="FAIL", reason="as planted")

    rewritten(broken, failed)
    ended = resume(whole.place, broken)
    assert ended.code == 1, ended.said
    assert "1 check failed in this run; the release is rejected." in ended.out
    assert often(broken)[KEPT] == 1
    assert verified(broken, capsys)[0] == 1


@pytest.mark.long
def test_a_failure_that_an_error_of_its_teardown_hides_stays(whole: Whole, broken: Path) -> None:
    """Planted in a run that was gone on with and killed again."""
    hides = """
import os
import pytest

def pytest_runtest_call(item):
    assert "invalid-json" not in item.nodeid, "planted"

@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    if "invalid-json" in item.nodeid:
        raise OSError("planted, too")

def pytest_runtest_logfinish(nodeid):
    if "invalid-json" in nodeid:
        os.kill(os.getpid(), 9)
"""
    place = next(place for place, line in enumerate(lines_of(broken)) if line.get("check") == KEPT)
    folder = broken_off(broken, broken.parent / "hidden", records=place - 1)
    resume(whole.place, folder, "--", "-p", whole.place.plugin("hides_a_failure", hides))
    (hidden,) = [line for line in lines_of(folder) if line.get("check") == KEPT]
    assert (hidden["verdict"], hidden["reason"]) == ("ERROR", "OSError: planted, too; and it failed: planted")
    ended = resume(whole.place, folder)
    assert ended.code == 1, ended.said
    assert often(folder)[KEPT] == 1
    assert report_of(folder)["decision"]["outcome"] == "REJECTED"


@pytest.mark.long
@pytest.mark.parametrize("check", ["server.model", "spec.device"])
def test_a_failure_of_what_is_seen_again_stays_too(whole: Whole, broken: Path, check: str) -> None:
    def failed(lines: list[dict[str, Any]]) -> None:
        next(line for line in lines if line.get("check") == check).update(verdict="FAIL", reason="as planted")

    rewritten(broken, failed)
    ended = resume(whole.place, broken)
    assert ended.code == 1, ended.said
    assert often(broken)[check] == 2
    (row,) = [row for row in report_of(broken)["rows"] if row["check"] == check]
    assert (row["verdict"], row["reason"]) == ("FAIL", "as planted (worst of 2 records)")


@pytest.mark.long
@pytest.mark.parametrize(
    ("verdict", "measured", "records"),
    [("VOID", True, 2), ("VOID", False, 2), ("ERROR", False, 2), ("INCONCLUSIVE", False, 2), ("INCONCLUSIVE", True, 1)],
)
def test_what_showed_nothing_is_measured_again(whole: Whole, broken: Path, verdict: str, measured: bool, records: int) -> None:
    def spoilt(lines: list[dict[str, Any]]) -> None:
        planted = {"verdict": verdict, "reason": "as planted", "measured": measured, "evidence": [], "server_lost": False}
        next(line for line in lines if line.get("check") == KEPT).update(planted)

    rewritten(broken, spoilt)
    resume(whole.place, broken)
    assert often(broken)[KEPT] == records
    report = report_of(broken)
    (row,) = [row for row in report["rows"] if row["check"] == KEPT]
    if records == 2:
        assert row["reason"] == f"(run again after a break; before it {verdict}: as planted)"
        assert report["decision"]["outcome"] == "ACCEPTED"
    else:
        assert (row["verdict"], report["decision"]["outcome"]) == ("INCONCLUSIVE", "INCONCLUSIVE")


# -- it is refused, and then nothing in the folder is changed --------------------------------------------------------------


def test_a_run_that_came_to_its_end_is_not_gone_on_with(whole: Whole) -> None:
    assert "cannot be gone on with: the run came to its end - begin a new run" in refused(whole.place, whole.folder)


def test_another_spec_is_refused(whole: Whole, broken: Path) -> None:
    """The tolerance of its eval, changed in between."""
    (spec,) = whole.place.specs.glob("*.yaml")
    others = broken.parent / "specs"
    others.mkdir()
    text = spec.read_text(encoding="utf-8").replace("../tasks", str(whole.place.folder / "tasks"))
    assert "tolerance: 0.2" in text
    (others / spec.name).write_text(text.replace("tolerance: 0.2", "tolerance: 0.9"), encoding="utf-8")
    line = refused(whole.place, broken, f"--spec-dir={others}")
    assert "tolerance is 0.9, it was 0.2 - what was measured before is of something else" in line


def of_another_server(folder: Path) -> None:
    text = (folder / "runtime_environment.json").read_text(encoding="utf-8")
    (folder / "runtime_environment.json").write_text(text.replace('"pytest==9', '"pytest==8'), encoding="utf-8")


def before_its_server(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """Of a run that broke off before its server was ready: no subjects tell that its other documents were changed."""

    def changed(folder: Path) -> None:
        (folder / "subjects.json").unlink(missing_ok=True)
        change(folder)

    return changed


def of_another_kernel(folder: Path) -> None:
    import re

    text = (folder / "runtime_environment.json").read_text(encoding="utf-8")
    (folder / "runtime_environment.json").write_text(re.sub('"kernel": "[^"]+"', '"kernel": "2.4"', text), encoding="utf-8")


def of_another_argument(folder: Path) -> None:
    text = (folder / "launch_plan.json").read_text(encoding="utf-8")
    (folder / "launch_plan.json").write_text(text.replace('"value": "8"', '"value": "9"', 1), encoding="utf-8")


def altered_record(folder: Path) -> None:
    records = folder / "records.jsonl"
    records.write_text(records.read_text(encoding="utf-8").replace('"verdict": "PASS"', '"verdict": "FAIL"', 1), encoding="utf-8")


def without_its_last_record(folder: Path) -> None:
    """Whoever wants that measured again."""
    rows = (folder / "records.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "records.jsonl").write_bytes(b"".join(rows[:-1]))


def of_begins(**said: str) -> Callable[[Path], None]:
    return lambda folder: rewritten(folder, lambda lines: lines[0].update(said))


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (before_its_server(of_another_server), "the server's pytest is 9"),
        (before_its_server(of_another_kernel), "the machine's kernel is"),
        (before_its_server(of_another_argument), "the server's max_num_seqs is 8, it was 9"),
        (altered_record, "it was altered: records.jsonl line "),
        (without_its_last_record, "it was altered: records.jsonl: hallmark.log tells of 1 record of "),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "not a manifest"),
        (of_begins(code="0" * 64), "hallmark's own code is "),
        (of_begins(tests="0" * 64), "the code of the tests is "),
        (of_begins(weights="sha256:" + "0" * 64), "the mark of the weights is "),
        (lambda folder: (folder / "records.jsonl").unlink(), "nothing is on record there"),
        (lambda folder: (folder / "manifest.json").unlink(), "holds no run"),
    ],
    ids=["package", "kernel", "argument", "record", "cut", "manifest", "code", "tests", "weights", "no records", "no manifest"],
)
def test_what_is_not_as_it_was_is_refused(whole: Whole, broken: Path, change: Callable[[Path], object], told: str) -> None:
    change(broken)
    before = content_of(broken)
    ended = resume(whole.place, broken)
    assert ended.code in (2, 3), ended.said
    assert told in ended.said
    assert content_of(broken) == before


def test_a_folder_that_is_still_written_is_refused(whole: Whole, broken: Path) -> None:
    held = Hold(broken)
    try:
        assert "another process writes there still - wait for its end" in refused(whole.place, broken)
    finally:
        held.release()


def of_another(kind: str, folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a subject of the folder, and its digest with it."""
    path = folder / "subjects.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    (one,) = [one for one in document["subjects"] if one["kind"] == kind]
    change(one["detail"])
    one["digest"]["sha256"] = detail_digest(kind, one["detail"])
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.long
def test_other_weights_are_refused(whole: Whole, broken: Path) -> None:
    of_another("weights", broken, lambda detail: detail["resources"][0].update(digest="0" * 64))
    assert "cannot be gone on with: weights:stand-in is " in refused(whole.place, broken)


@pytest.mark.long
def test_what_turns_out_to_be_another_thing_accepts_nothing(
    whole: Whole, broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By what is known only once the server is ready: what was measured before is of something else."""
    of_another("suite", broken, lambda detail: detail.update(another="suite"))
    ended = resume(whole.place, broken)
    assert ended.code == 3, ended.said
    assert "before the run was gone on with: what was measured before it is of something else" in ended.said
    assert verified(broken, capsys)[0] == 3


# -- whatever ends it, it can be gone on with ---------------------------------------------------------------------------


@pytest.mark.long
def test_a_run_that_was_interrupted_is_gone_on_with(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.whole_spec(engine_args={"ttft_ms": 50})
    command = place.release()
    folder = command.folder()
    wait_for(lambda: (folder / "records.jsonl").exists() and often(folder).total() > 8, "record")
    command.signal_all(signal.SIGINT)
    command.end().must_end(130, "INTERRUPTED")
    ended = resume(place, folder)
    assert ended.code == 0, ended.said
    (told,) = report_of(folder)["breaks"]
    assert told["why"] == "it was interrupted"
    code, lines = verified(folder, capsys)
    assert (code, lines[0].partition(" - ")[0]) == (0, "VERIFIED: ACCEPTED at tier complete"), lines


@pytest.mark.long
@pytest.mark.parametrize("records", [2, 6, 11, 16])
def test_a_run_that_is_killed_over_and_over_comes_to_its_end(
    place: Place, records: int, capsys: pytest.CaptureFixture[str]
) -> None:
    place.whole_spec(engine_args={"ttft_ms": 50})
    command = place.release()
    folder = command.folder()
    for more in (records, 4, 7):
        before = len(lines_of(folder)) if (folder / "records.jsonl").exists() else 0
        until = max(before, 1) + more
        wait_for(
            lambda most=until: (
                (folder / "records.jsonl").exists() and (folder / "records.jsonl").read_bytes().count(b"\n") >= most
            ),
            "record",
        )
        for pid in place.processes():
            os.kill(pid, signal.SIGKILL)
        command.end()
        place.require_nobody_left()
        code, lines = verified(folder, capsys)
        assert (code, lines[0].partition(":")[0]) == (4, "INCOMPLETE"), lines
        command = place.start(["hallmark.checkout", f"--resume={folder}"])
    ended = command.end()
    assert ended.code == 0, ended.said
    assert len(report_of(folder)["breaks"]) == 3
    repeated = {check for check, count in often(folder).items() if count > 1}
    assert all(check.startswith("spec.") or check in AGAIN for check in repeated), repeated
    assert verified(folder, capsys)[0] == 0


@pytest.mark.long
def test_a_disk_that_is_full_when_it_is_gone_on_with_loses_nothing(whole: Whole, broken: Path) -> None:
    before = content_of(broken)
    limit = len(before["records.jsonl"]) + 100
    full = f"""
import resource
import signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def pytest_sessionstart():
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
"""
    ended = resume(whole.place, broken, "--", "-p", whole.place.plugin("full_when_gone_on", full))
    assert ended.code == 3, ended.said
    assert content_of(broken)["records.jsonl"] == before["records.jsonl"]
    assert resume(whole.place, broken).code == 0
    assert verdicts_of(broken) == verdicts_of(whole.folder)


@pytest.mark.long
def test_pytest_goes_on_as_well(whole: Whole, broken: Path) -> None:
    ended = whole.place.start(["pytest", f"--resume={broken}"]).end()
    assert ended.code == 0, ended.said
    assert "gone on with after a break of " in ended.out
    assert report_of(broken)["model"] == MODEL
    assert verdicts_of(broken) == verdicts_of(whole.folder)


# -- what is altered is found --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "alteration",
    [pytest.param(one, marks=() if one.quick else pytest.mark.long, id=one.name.replace(" ", "-")) for one in OF_A_BREAK],
)
def test_what_is_altered_of_a_break_is_named(alteration: Alteration, gone_on: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alteration.change(gone_on)
    code, lines = verified(gone_on, capsys)
    assert code == 5, lines
    assert [line for line in lines if alteration.found in line], "\n".join(lines)
