"""What was sent and answered where a check failed is kept, shown and covered, and a verdict by a rule follows from it again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hallmark import cli
from hallmark.core.exchanges import EXCHANGES_FILE, digest_of
from selftests.once import alone_in, shared_folder
from selftests.plugin.altering import Change, forged, record_of, removed, rows_of, text_of
from selftests.plugin.conftest import Place

pytestmark = pytest.mark.e2e
FAILED = "server.bad-request.invalid-json"


@pytest.fixture(scope="session")
def ended_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose server accepts what it should refuse: made once, and copied by whoever alters it."""
    shared = shared_folder(tmp_path_factory, "exchanged")
    kept = shared / "run"
    with alone_in(shared):
        if not kept.exists():
            place = Place(shared / "place")
            place.spec(faults="accepts-bad-requests")
            place.release().end().must_end(1, "REJECTED").folder.rename(kept)
    return kept


@pytest.fixture
def folder(ended_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ended_folder, tmp_path / "run"))


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / EXCHANGES_FILE).read_text(encoding="utf-8").splitlines()]


def verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    capsys.readouterr()
    code = cli.main(["verify", str(folder)])
    return code, [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_each_failed_check_keeps_its_exchanges_and_no_other_does(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    red = {row["check"] for row in report["rows"] if row["verdict"] != "PASS" and row["kind"] == "server"}
    assert {FAILED, "server.stop-chat"} <= red, "failed, and inconclusive"
    assert {row["check"] for row in rows(folder)} == red
    (row,) = [row for row in rows(folder) if row["check"] == FAILED and row["about"]]
    assert row["answer"]["status"] == 200
    assert "refused" in row["rule"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "the check failed by this one" in page


def test_a_verdict_by_a_rule_is_derived_from_the_kept_answer_and_of_the_others_it_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = verified(folder, capsys)
    assert (code, lines[0].partition(" - ")[0]) == (1, "VERIFIED: REJECTED"), lines
    derived, left = (
        lines.index(title) for title in ("derived anew from the raw rows, by the gates that judged them:", "not derived:")
    )
    assert [
        line for line in lines[derived:left] if line.startswith(f"{FAILED}: {EXCHANGES_FILE} row ") and "answered 200" in line
    ]
    assert any("what was sent and answered is not kept" in line for line in lines[left:]), "those that passed"


@pytest.mark.long
def test_several_workers_keep_them_in_one_file(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.spec(faults="accepts-bad-requests")
    ended = place.release("--", "-n", "2").end().must_end(1, "REJECTED")
    code, lines = verified(ended.folder, capsys)
    assert (code, lines[0].partition(" - ")[0]) == (1, "VERIFIED: REJECTED"), lines
    assert [line for line in lines if line.startswith(f"{FAILED}: {EXCHANGES_FILE} row ")]


@pytest.mark.long
def test_the_next_run_tells_what_changed_since(place: Place) -> None:
    """And one that is broken beside it changes nothing."""
    place.spec()
    first = place.release().end().folder
    (place.artifacts / first.name.replace("T", "T9", 1)).mkdir()
    place.spec(faults="accepts-bad-requests")
    second = place.release().end().must_end(1, "REJECTED").folder
    previous = json.loads((second / "report.json").read_text(encoding="utf-8"))["previous"]
    assert (previous["folder"], previous["differences"][0]["effect"]) == (first.name, "worse")
    assert f"../{first.name}/report.html" in (second / "report.html").read_text(encoding="utf-8")


def accepted_after_all(line: str) -> str:
    row = json.loads(line)
    row["answer"]["status"], row["answer"]["body"] = 400, {"text": '{"error": {"message": "no"}}'}
    return json.dumps(row)


def refused_after_all(folder: Path) -> None:
    """Whoever has the folder can write every digest anew, and then the answer contradicts the verdict."""
    lines = (folder / EXCHANGES_FILE).read_text(encoding="utf-8").splitlines()
    place = next(at for at, line in enumerate(lines) if json.loads(line)["check"] == FAILED and json.loads(line)["about"])
    old, lines[place] = digest_of(lines[place]), accepted_after_all(lines[place])
    (folder / EXCHANGES_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def with_digest(record: dict[str, Any]) -> None:
        record["exchanges"] = [digest_of(lines[place]) if one == old else one for one in record["exchanges"]]

    record_of(FAILED, with_digest)(folder)


ALTERED: dict[str, tuple[Change, str]] = {
    "an answer": (text_of(EXCHANGES_FILE, '"status": 200', '"status": 400'), f"{EXCHANGES_FILE}: row "),
    "an answer, sealed": (forged(text_of(EXCHANGES_FILE, '"status": 200', '"status": 400')), "belongs to no record"),
    "an exchange removed, sealed": (forged(rows_of(EXCHANGES_FILE, lambda rows: rows.pop(0))), "exchange that is not in"),
    "all removed": (removed(EXCHANGES_FILE), f"{EXCHANGES_FILE}: is missing"),
    "all removed, sealed": (forged(removed(EXCHANGES_FILE)), f"not in {EXCHANGES_FILE}"),
    "an exchange added, sealed": (forged(rows_of(EXCHANGES_FILE, lambda rows: rows.append(b"{}\n"))), "belongs to no record"),
    "another check's, sealed": (
        forged(record_of(FAILED, lambda record: record.update(check="server.model"))),
        "which is of another check",
    ),
    "an answer and all digests": (forged(refused_after_all), f"that {FAILED} failed by"),
}


@pytest.mark.parametrize("name", ALTERED)
def test_what_is_altered_is_named(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, found = ALTERED[name]
    change(folder)
    code, lines = verified(folder, capsys)
    assert (code, any(found in line for line in lines)) == (5, True), "\n".join(lines)
