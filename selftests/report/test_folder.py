"""A run's folder in, the same bytes out, as often as one likes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hallmark.core.errors import InfrastructureError
from hallmark.core.files import write_json
from hallmark.core.records import Manifest, Record, RecordLog, to_plain
from hallmark.core.redact import MASK, Redactor
from hallmark.core.verdict import Verdict
from hallmark.report.build import build, load
from hallmark.report.document import Provenance
from hallmark.report.render import renderers, write_all
from selftests.report.samples import ENVIRONMENT, LAUNCH_PLAN, accepted_run, manifest, record, rejected_run


def write_run(folder: Path, run: tuple[Manifest, tuple[Record, ...]]) -> Path:
    write_json(folder / "manifest.json", to_plain(run[0]))
    log = RecordLog(folder / "records.jsonl", Redactor())
    for item in run[1]:
        log.append(item)
    write_json(folder / "runtime_environment.json", ENVIRONMENT)
    write_json(folder / "launch_plan.json", LAUNCH_PLAN)
    return folder


# pydantic has doubts about a whole number in `float | str`; the files hold it well all the same.
quiet = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")


@quiet
@pytest.mark.parametrize("run", [accepted_run(), rejected_run()], ids=["accepted", "rejected"])
def test_rendering_again_is_byte_identical(tmp_path: Path, run: tuple[Manifest, tuple[Record, ...]]) -> None:
    folder = write_run(tmp_path, run)
    first = {path.name: path.read_bytes() for path in write_all(load(folder), folder)}
    second = {path.name: path.read_bytes() for path in write_all(load(folder), folder)}
    assert first == second
    assert set(first) == set(renderers()) == {"report.json", "report.md", "report.html", "junit.xml", "badge.svg"}


@quiet
def test_the_folder_says_what_the_records_said(tmp_path: Path) -> None:
    run = rejected_run()
    report = replace(load(write_run(tmp_path, run)), provenance=Provenance())
    assert report == build(*run, environment=ENVIRONMENT, launch_plan=LAUNCH_PLAN)


def test_without_records_nothing_was_measured(tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", to_plain(manifest("server.a")))
    report = load(tmp_path)
    assert (report.decision.outcome, report.decision.exit_code, report.missing) == ("INCOMPLETE", 4, ("server.a",))
    assert report.environment.absent == "this run wrote no runtime_environment.json"
    assert report.launch_plan.absent == "this run wrote no launch_plan.json"
    assert load(tmp_path, interrupted=True).decision.outcome == "INTERRUPTED"


def test_a_run_from_before_waivers_had_a_policy_is_rendered_again(tmp_path: Path) -> None:
    """Its waivers had `expires` in the place of days and an issue; they hold as they did."""
    plain = to_plain(manifest("server.a", waived=("server.a",), waiver_limits=None))
    (entry,) = plain["entries"]
    entry["waiver"] = {"owner": "J. Doe", "expires": "2026-03-31", "reason": "memory of the mesh"}
    write_run(tmp_path, (manifest("server.a"), (record("server.a", Verdict.FAIL, reason="32768 instead of 65536"),)))
    write_json(tmp_path / "manifest.json", plain)
    report = load(tmp_path)
    assert (report.decision.outcome, [row.verdict for row in report.rows]) == ("ACCEPTED", [Verdict.CONDITIONAL])
    assert [one.line for one in report.waived] == [
        "server.a waived by J. Doe until 2026-03-31 (memory of the mesh): the check missed, which is accepted"
    ]
    assert {path.name for path in write_all(report, tmp_path)} == set(renderers())
    del entry["waiver"]["owner"]
    write_json(tmp_path / "manifest.json", plain)
    with pytest.raises(InfrastructureError, match=r"not a manifest: entries\.0\.waiver\.owner"):
        load(tmp_path)


@pytest.mark.parametrize("content", ["{not json", "[]", "\udce9".encode("utf-8", "surrogateescape").decode("latin-1"), "null"])
def test_a_document_that_cannot_be_read_is_absent_with_its_reason(tmp_path: Path, content: str) -> None:
    write_json(tmp_path / "manifest.json", to_plain(manifest("server.a")))
    (tmp_path / "runtime_environment.json").write_text(content, encoding="latin-1")
    assert load(tmp_path).environment.absent.startswith("runtime_environment.json ")


def test_a_folder_without_a_manifest_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="not a manifest"):
        load(tmp_path)


def test_a_record_cut_short_is_named_and_never_skipped(tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", to_plain(manifest("server.a")))
    whole = json.dumps(to_plain(record("server.a")))
    (tmp_path / "records.jsonl").write_text(f"{whole}\n{whole[:40]}\n")
    with pytest.raises(InfrastructureError, match=r"records\.jsonl:2"):
        load(tmp_path)


def test_what_looks_like_a_token_is_not_written(tmp_path: Path) -> None:
    report = build(manifest("server.a"), [record("server.a", reason="sent hf_abcdefghijklmnopqrstuv")])
    for path in write_all(report, tmp_path):
        text = path.read_text(encoding="utf-8")
        assert "hf_abcdefghijklmnopqrstuv" not in text
        assert MASK in text or path.name in ("junit.xml", "report.md", "badge.svg")


def test_when_and_how_long(tmp_path: Path) -> None:
    report = build(*accepted_run())
    assert (report.finished_at, report.duration_s) == ("2026-03-02T08:20:12Z", 1212.0)
    clockless = build(manifest("server.a"), [record("server.a", started_at="some day", duration_s=2.5)])
    assert (clockless.finished_at, clockless.duration_s) == ("", 2.5)
