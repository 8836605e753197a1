"""What a person needs to see why: the exchanges of a failed check, wrong items of an eval, the run before, and provenance."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.exchanges import EXCHANGES_FILE, append_exchanges, digest_of, lines_of
from hallmark.core.files import write_json
from hallmark.core.records import RECORDS_FILE, Evidence, Manifest, Record, RecordLog, to_plain
from hallmark.core.redact import MASK, Redactor
from hallmark.core.verdict import Verdict
from hallmark.report.build import load
from hallmark.report.previous import with_previous
from hallmark.report.render_html import render_html
from hallmark.report.render_json import read_json, render_json
from selftests.evals.test_failed_items import generated
from selftests.report.samples import CELL, ENVIRONMENT, SCRIPT, accepted_run, manifest, record, rejected_run
from selftests.report.test_html import Page

NAME = f"-{CELL}-release"


def exchange(status: int, said: str, **more: Any) -> dict[str, Any]:
    request = {
        "method": "POST",
        "url": "http://127.0.0.1:8000/v1/completions",
        "headers": {},
        "body": {"text": '{"prompt": "hi"}'},
    }
    return {"about": True, "request": request, "answer": {"status": status, "headers": {}, "body": {"text": said}}} | more


def kept_run(folder: Path, run: tuple[Manifest, tuple[Record, ...]], *, ends: bool = True, **manifest_fields: Any) -> Path:
    """A folder as a run leaves it, with its chain."""
    folder.mkdir(parents=True)
    write_json(folder / "manifest.json", to_plain(replace(run[0], chained=True, **manifest_fields)))
    write_json(folder / "runtime_environment.json", ENVIRONMENT)
    log = RecordLog(folder / RECORDS_FILE, Redactor())
    log.begin(hallmark="1.2.3", files=["manifest.json"], operator="jane@bench-7")
    for one in run[1]:
        log.append(one)
    if ends:
        log.end({}, rendered=(), may_grow=(), interrupted=False)
    return folder


def failed_with(folder: Path, *exchanges: dict[str, Any]) -> Page:
    lines = lines_of("server.a", exchanges, Redactor(["a known secret"]))
    failed = record("server.a", Verdict.FAIL, reason="answered 500", exchanges=tuple(map(digest_of, lines)))
    kept_run(folder, (manifest("server.a"), (failed,)))
    append_exchanges(folder, ["{}", *lines, "half a line"])
    report = load(folder)
    assert read_json(render_json(report)) == report
    return Page(render_html(report))


def test_a_failed_check_shows_what_was_sent_and_answered_as_text_and_redacted(tmp_path: Path) -> None:
    first = exchange(500, f"{SCRIPT} a known secret")
    second = exchange(200, '{"choices": []}', about=False)
    page = failed_with(tmp_path / "run", first, second, {"about": False, "request": first["request"], "lost": "no answer in 9 s"})
    told = "POST /v1/completions → 500 the check failed by this one · exchanges.jsonl , line 2"
    assert f"3 exchanges with the server {told}" in page.text
    assert f"{SCRIPT} {MASK}" in page.text
    assert "POST /v1/completions → no answer, no answer in 9 s · exchanges.jsonl , line 4" in page.text
    assert '{ "prompt": "hi" }' in page.text
    assert ("a", EXCHANGES_FILE) in [(tag, attrs.get("href")) for tag, attrs in page.tags]


def test_a_long_exchange_says_where_it_was_cut(tmp_path: Path) -> None:
    cut = exchange(200, "beginningend")
    cut["answer"]["body"] |= {"cut_after": 9, "left_out": 1234}
    assert "beginning … 1,234 characters left out … end" in failed_with(tmp_path / "a", cut).text
    assert "x … 3,000 more characters in the raw file" in failed_with(tmp_path / "b", exchange(200, "x" * 5000)).text


@pytest.mark.parametrize("line", ["", "null", "[]", '{"request": 1}', '{"request": {"body": 3, "url": 4}, "answer": "x"}'])
def test_whatever_stands_in_the_file_of_exchanges_there_is_a_report(tmp_path: Path, line: str) -> None:
    failed = record("server.a", Verdict.FAIL, reason="answered 500", exchanges=(digest_of(line),))
    kept_run(tmp_path / "run", (manifest("server.a"), (failed,)))
    append_exchanges(tmp_path / "run", [line])
    assert "answered 500" in Page(render_html(load(tmp_path / "run"))).text


def test_an_eval_that_is_not_accepted_shows_its_wrong_items(tmp_path: Path) -> None:
    detail = {"few_shot": 0, "items_of_task": 30}
    for name, verdict in (("bad", Verdict.FAIL), ("good", Verdict.PASS)):
        score = Evidence(name="exact_match,none", value=0.2, n=30, verdict=verdict, detail=detail)
        run = manifest(f"evals.{name}", kind="evals"), (record(f"evals.{name}", verdict, score, kind="evals"),)
        folder = kept_run(tmp_path / name, run)
        (folder / "evals").mkdir()
        rows = [generated(number, SCRIPT, score=0) for number in range(30)]
        samples = folder / "evals" / f"{name}.samples.jsonl"
        samples.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        text = Page(render_html(load(folder))).text
        assert ("30 of 30 items not right The first 20; all of them stand in evals/bad.samples.jsonl" in text) == (name == "bad")
        assert (f"Item 19 : exact_match 0 · line 20 19+40= expected 133 answered {SCRIPT}" in text) == (name == "bad")
        assert "Item 20" not in text


def before_and_after(folder: Path, **older: Any) -> tuple[Path, Path]:
    """An accepted run, and one after it that is rejected."""
    before = kept_run(folder / f"20260301T080000Z{NAME}", accepted_run(), started_at="2026-03-01T08:00:00Z", **older)
    return before, kept_run(folder / f"20260302T080000Z{NAME}", rejected_run())


def since(folder: Path) -> str:
    """What the page of the run says of the one before; empty where it says nothing."""
    text = Page(render_html(with_previous(load(folder), folder))).text
    return text.partition("Since the run before 2026")[2].partition("Accuracy at a glance")[0]


def test_the_run_before_is_compared_worst_first(tmp_path: Path) -> None:
    before, after = before_and_after(tmp_path)
    text = since(after)
    told = "ACCEPTED at tier complete: 5 worse, 1 changed, 3 undecided. The most important 6; all of them: hallmark compare"
    assert f"{told} {before.name} {after.name}" in text
    assert "Outcome: outcome" in text.partition("✕ worse")[2].partition("✕ worse")[0]
    assert text.index("✕ worse Verdicts: server.echo") < text.index("≠ changed Verdicts: server.custom_probe")
    assert "? undecided" not in text, "what may be chance is counted alone"
    assert since(before) == ""
    (before / "report.html").write_text("", encoding="utf-8")
    page = Page(render_html(with_previous(load(after), after)))
    assert f"../{before.name}/report.html" in [attrs.get("href") for _, attrs in page.tags]


def test_only_a_finished_whole_run_of_the_same_cell_is_one_to_compare_with(tmp_path: Path) -> None:
    for name, fields in (
        ("another cell", {"cell": "another"}),
        ("narrowed", {"partial": ("-k chat",)}),
        ("later", {"started_at": "2026-03-03T08:00:00Z"}),
        ("under way", {"ends": False}),
    ):
        fields = {"started_at": "2026-03-01T08:00:00Z"} | fields
        kept_run(tmp_path / name / f"20260301T080000Z{NAME}", accepted_run(), **fields)
        assert since(kept_run(tmp_path / name / f"20260302T080000Z{NAME}", rejected_run())) == "", name


def test_a_broken_folder_beside_it_breaks_no_report(tmp_path: Path) -> None:
    """And the one before that is compared with."""
    before, after = before_and_after(tmp_path)
    whole = (before / "manifest.json").read_bytes()
    for hour, files in enumerate(
        (
            {},
            {"manifest.json": b"\xff"},
            {"manifest.json": b"[" * 100_000},
            {"manifest.json": whole, "records.jsonl": b"\x00\n"},
            {
                "manifest.json": whole.replace(b'"chained": true', b'"chained": false'),
                "records.jsonl": b"{}\n",
            },
        ),
        start=9,
    ):
        broken = tmp_path / f"20260301T{hour:02}0000Z{NAME}"
        broken.mkdir()
        for name, content in files.items():
            (broken / name).write_bytes(content)
    (tmp_path / f"20260301T230000Z{NAME}").write_text("a file", encoding="utf-8")
    (tmp_path / f"20260301T233000Z{NAME}").symlink_to(tmp_path / "nowhere")
    assert before.name in since(after)


def test_provenance_says_what_was_measured_by_whom_and_how_to_verify_it(tmp_path: Path) -> None:
    folder = kept_run(tmp_path / "a run", accepted_run(), spec={"spec_file": "specs/llama.yaml"}, valid_days=90)
    subject = {"name": "weights:Llama", "kind": "weights", "digest": {"sha256": "ab" * 32}, "taken_from": "files", "told": SCRIPT}
    subjects = {"format": 1, "subjects": [subject | {"detail": {}}], "unknown": {"engine-commit": "the wheel does not tell"}}
    (folder / "subjects.json").write_text(json.dumps(subjects), encoding="utf-8")
    page = Page(render_html(load(folder)))
    text = page.text.partition("Provenance What was measured")[2]
    assert "Spec specs/llama.yaml" in text
    assert re.search(r"Counts until 2026-\d\d-\d\d ", text)
    assert re.search(r"hallmark 1\.2\.3, (commit [0-9a-f]{40}, )?code sha256:[0-9a-f]{16} ", text)
    assert "Operator jane@bench-7" in text
    assert f"weights:Llama sha256:{'ab' * 8} files {SCRIPT}" in text
    assert "Not known: engine-commit: the wheel does not tell" in text
    assert f"hallmark verify '{folder}'" in text
    assert "records.jsonl" in [attrs.get("href") for _, attrs in page.tags]
    for content in ("[]", '{"subjects": 3}', "nope", '{"subjects": [{"digest": 3}], "unknown": 4}'):
        (folder / "subjects.json").write_text(content, encoding="utf-8")
        assert "How to verify" in Page(render_html(load(folder))).text
    unfinished = kept_run(tmp_path / "other", accepted_run(), ends=False)
    assert "Nothing stands for the raw files of this run" in Page(render_html(load(unfinished))).text
