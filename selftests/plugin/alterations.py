"""Ways to alter the folder of a run that has ended, each with the sentence that `hallmark verify` must find for it.

The next one is one entry. `forged` ones also write the chain and all digests anew, as whoever has the folder can: those are
found because what the folder holds contradicts itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hallmark.core.subjects import detail_digest
from selftests.plugin.altering import (
    Change,
    added,
    cut,
    forged,
    forged_but_for_its_certificate,
    json_of,
    record_of,
    removed,
    rows_of,
    swap,
    text_of,
)

SAMPLES = "evals/addition.samples.jsonl"
PERF = "perf/isl16-osl8-c2"


@dataclass(frozen=True, kw_only=True)
class Alteration:
    """One way to alter a folder."""

    name: str
    change: Change
    found: str
    """A part of the one sentence that names it."""


# -- what is changed -----------------------------------------------------------------------------------------------------


def better_score(record: dict[str, Any]) -> None:
    record["evidence"][0]["value"] = 0.999


def waived(manifest: dict[str, Any]) -> None:
    entry = next(entry for entry in manifest["entries"] if entry["check"] == "server.model")
    days = {"made_on": "2026-01-01", "ends_on": "2099-01-01"}
    entry["waiver"] = {"owner": "nobody", "reason": "it is late", "issue": "LATE-1", **days}


def without_a_check(manifest: dict[str, Any]) -> None:
    manifest["entries"] = [entry for entry in manifest["entries"] if entry["check"] != "evals.addition"]


def ended_early(window: dict[str, Any]) -> None:
    window["result"]["curtailed"] = "objective ttft_p99_ms"


def more_tolerant(manifest: dict[str, Any]) -> None:
    (targets,) = manifest["spec"]["family_spec"]["evals"].values()
    targets[0]["tolerance"] = 0.9


def lower_floor(manifest: dict[str, Any]) -> None:
    (targets,) = manifest["spec"]["family_spec"]["evals"].values()
    targets[0]["reference"] = 0.5


def slower_target(manifest: dict[str, Any]) -> None:
    (device,) = manifest["spec"]["family_spec"]["impls"][0]["devices"].values()
    device["perf"][0]["targets"]["ttft_mean_ms"] = 50_000


def better_speed(record: dict[str, Any]) -> None:
    next(item for item in record["evidence"] if item["name"] == "tokens_per_s")["value"] *= 2


def wrong_instead(rows: list[bytes]) -> None:
    """The third item is no longer right."""
    item = json.loads(rows[2])
    item["exact_match"] = 0.0
    rows[2] = json.dumps(item).encode() + b"\n"


def sooner(rows: list[bytes]) -> None:
    """The first token of the third request."""
    request = json.loads(rows[2])
    request["first_token"] = (request["start"] + request["first_token"]) / 2
    rows[2] = json.dumps(request).encode() + b"\n"


def another_leaf(ends: dict[str, Any]) -> None:
    ends["files"][SAMPLES]["root"] = "0" * 64


def subject_of(kind: str, change_it: Callable[[dict[str, Any]], object], *, fitting: bool = True) -> Change:
    """Change the detail of a subject, and its digest so that it fits, if it is to be `fitting`."""

    def change(document: dict[str, Any]) -> None:
        found = next(one for one in document["subjects"] if one["kind"] == kind)
        change_it(found["detail"])
        if fitting:
            found["digest"]["sha256"] = detail_digest(found["kind"], found["detail"])

    return json_of("subjects.json", change)


def other_weights(detail: dict[str, Any]) -> None:
    detail["resources"][0]["digest"] = "0" * 64


def other_package(detail: dict[str, Any]) -> None:
    next(iter(detail["packages"].values()))["version"] = "0.0.0"


ALTERATIONS = (
    # records
    Alteration(name="a score", change=record_of("evals.addition", better_score), found="(evals.addition): was changed: line"),
    Alteration(
        name="a verdict",
        change=record_of("server.model", lambda record: record.update(verdict="FAIL")),
        found="(server.model): was changed: line",
    ),
    Alteration(
        name="a record removed",
        change=rows_of("records.jsonl", lambda rows: rows.pop(5)),
        found="records.jsonl: record 6 is missing, between 5 (",
    ),
    Alteration(
        name="two records removed",
        change=rows_of("records.jsonl", lambda rows: rows.__delitem__(slice(5, 7))),
        found="records.jsonl: records 6 to 7 are missing, between 5 (",
    ),
    Alteration(
        name="two records swapped",
        change=rows_of("records.jsonl", lambda rows: swap(rows, 3, 4)),
        found="is record 4 and stands behind record 5 (",
    ),
    Alteration(
        name="a record twice",
        change=rows_of("records.jsonl", lambda rows: rows.insert(4, rows[3])),
        found="is record 4, of which there are 2: one was added",
    ),
    Alteration(
        name="a record made up",
        change=rows_of("records.jsonl", lambda rows: rows.insert(4, b'{"check": "server.model", "verdict": "PASS"}\n')),
        found="line 5 (server.model): is no line that hallmark writes",
    ),
    Alteration(
        name="a line of no JSON",
        change=rows_of("records.jsonl", lambda rows: rows.__setitem__(4, b"\x00\n")),
        found="line 5 (no record): is no line that hallmark writes",
    ),
    Alteration(
        name="the first line removed",
        change=rows_of("records.jsonl", lambda rows: rows.pop(0)),
        found="does not begin with the line that says what was demanded",
    ),
    Alteration(name="all records removed", change=added("records.jsonl", ""), found="the records were taken away"),
    Alteration(
        name="the end removed",
        change=rows_of("records.jsonl", lambda rows: rows.__delitem__(slice(-2, None))),
        found="tells neither of the run's end nor of a report: it was cut",
    ),
    Alteration(
        name="the records cut",
        change=cut("records.jsonl", 0.5),
        found="tells neither of the run's end nor of a report: it was cut",
    ),
    Alteration(
        name="half a line added",
        change=lambda folder: (folder / "records.jsonl").open("ab").write(b'{"check": "server.mo'),
        found="ends within a line, which stands behind a report",
    ),
    Alteration(
        name="a name twice in a record",
        change=text_of("records.jsonl", r'"verdict": "PASS"', '"verdict": "PASS", "verdict": "PASS"'),
        found="has the name 'verdict' twice",
    ),
    # what was demanded
    Alteration(
        name="a date", change=text_of("manifest.json", r'"started_at": "2', '"started_at": "3'), found="manifest.json: was"
    ),
    Alteration(name="a waiver added", change=json_of("manifest.json", waived), found="manifest.json: was changed"),
    Alteration(name="a check not demanded", change=json_of("manifest.json", without_a_check), found="manifest.json: was changed"),
    Alteration(name="a tolerance", change=json_of("manifest.json", more_tolerant), found="manifest.json: was changed"),
    Alteration(name="no manifest", change=removed("manifest.json"), found="manifest.json: is missing"),
    # what was measured, and where
    Alteration(
        name="the environment",
        change=text_of("runtime_environment.json", r'"architecture": "[^"]+"', '"architecture": "riscv64"'),
        found="runtime_environment.json: row ",
    ),
    Alteration(
        name="the plan",
        change=text_of("launch_plan.json", '"origin": "spec"', '"origin": "default"'),
        found="launch_plan.json: row ",
    ),
    Alteration(
        name="an answer",
        change=rows_of(SAMPLES, lambda rows: rows.__setitem__(2, rows[2].replace(b'"exact_match": 1', b'"exact_match": 0'))),
        found=f"{SAMPLES}: row 3 was changed",
    ),
    Alteration(name="a sample removed", change=rows_of(SAMPLES, lambda rows: rows.pop(2)), found=f"{SAMPLES}: row 3 is missing"),
    Alteration(
        name="a sample added",
        change=rows_of(SAMPLES, lambda rows: rows.insert(2, rows[0])),
        found=f"{SAMPLES}: row 3 was added",
    ),
    Alteration(
        name="two samples swapped",
        change=rows_of(SAMPLES, lambda rows: swap(rows, 2, 7)),
        found=f"{SAMPLES}: rows 3, 8 stand in another order",
    ),
    Alteration(
        name="samples cut",
        change=rows_of(SAMPLES, lambda rows: rows.__setitem__(slice(53, None), [rows[53][:40]])),
        found=f"{SAMPLES}: row 54 was changed; rows 55 to 60 are missing",
    ),
    Alteration(name="samples removed", change=removed(SAMPLES), found=f"{SAMPLES}: is missing; it had 60 rows"),
    Alteration(
        name="a request's time",
        change=text_of(f"{PERF}.json", r'"ttft_ms": [0-9.]+', '"ttft_ms": 0.001'),
        found=f"{PERF}.json: row 2 was changed",
    ),
    Alteration(name="a table", change=rows_of(f"{PERF}.csv", lambda rows: rows.pop()), found=f"{PERF}.csv: row 9 is missing"),
    Alteration(
        name="a file added", change=added("evals/other.samples.jsonl", "{}\n"), found="evals/other.samples.jsonl: was added"
    ),
    Alteration(name="the server's log", change=cut("server.log", 0.5), found="server.log: was changed in its first "),
    Alteration(
        name="hallmark's log", change=text_of("hallmark.log", "INFO", "WARN"), found="hallmark.log: was changed in its first "
    ),
    Alteration(
        name="a name twice",
        change=text_of("runtime_environment.json", r'"architecture": ', '"architecture": "riscv64", "architecture": '),
        found="runtime_environment.json: has the name 'architecture' twice",
    ),
    Alteration(
        name="the digests of rows",
        change=text_of("row_digests.json", '": "[A-Za-z0-9]{4}', '": "AAAA'),
        found="row_digests.json: was changed (of the same length)",
    ),
    Alteration(name="a leaf", change=record_of("ends", another_leaf), found="(ends): was changed: "),
    Alteration(
        name="the root",
        change=record_of("ends", lambda ends: ends.update(root="0" * 64)),
        found="(ends): was changed: its root is not that of the files",
    ),
    Alteration(
        name="a subject",
        change=subject_of("weights", other_weights),
        found="subjects.json: row",
    ),
    Alteration(name="no subjects", change=removed("subjects.json"), found="subjects.json: is missing"),
    # the report
    Alteration(
        name="the outcome",
        change=json_of("report.json", lambda report: report["decision"].update(outcome="SMOKE PASSED")),
        found="report.json: its outcome is SMOKE PASSED, and the records give ACCEPTED",
    ),
    Alteration(
        name="a row of the report",
        change=json_of("report.json", lambda report: report["rows"][0].update(verdict="CONDITIONAL")),
        found="its verdict is CONDITIONAL, and its record gives PASS",
    ),
    Alteration(
        name="a row that is not there",
        change=json_of("report.json", lambda report: report["rows"].pop(0)),
        found="stands in records.jsonl alone",
    ),
    Alteration(name="the page", change=text_of("report.html", "ACCEPTED", "REJECTED"), found="report.html: was changed"),
    Alteration(name="no page", change=removed("report.html"), found="report.html: is missing"),
    Alteration(name="JUnit", change=text_of("junit.xml", "<testcase", "<testcase "), found="junit.xml: was changed"),
    # the certificate; `selftests/certificate/alterations.py` has those of one that is signed
    Alteration(
        name="a certificate of former records",
        change=forged_but_for_its_certificate(record_of("server.model", lambda record: record.update(reason="well"))),
        found="certificate.json: is of another run: of ",
    ),
    Alteration(
        name="no certificate",
        change=removed("certificate.json"),
        found="certificate.json: is missing, and certificate.test-result",
    ),
    Alteration(
        name="no summary for others", change=removed("certificate.svr.json"), found="certificate.svr.json: is missing, and"
    ),
    # all digests anew
    Alteration(
        name="forged: a check before the run",
        change=forged(record_of("server.model", lambda record: record.update(started_at="2020-01-01T00:00:00+00:00"))),
        found="(server.model): began at 2020-01-01T00:00:00Z, before the run did",
    ),
    Alteration(
        name="forged: a run of tomorrow",
        change=forged(text_of("manifest.json", r'"started_at": "2', '"started_at": "3')),
        found="manifest.json: says that the run began in the future",
    ),
    Alteration(
        name="forged: a waiver",
        change=forged(json_of("manifest.json", waived)),
        found="waiver of server.model: is not in the spec that the manifest holds",
    ),
    Alteration(
        name="forged: a record the report does not know",
        change=forged(record_of("server.model", lambda record: record.update(verdict="FAIL", reason="no")), rendered=False),
        found="report.json, server.model: its verdict is PASS, and its record gives FAIL",
    ),
    Alteration(
        name="forged: a waiver for too long",
        change=forged(json_of("manifest.json", waived)),
        found="waiver of server.model: holds for 26663 days, and the manifest's own policy allows 90",
    ),
    Alteration(
        name="forged: a check not demanded",
        change=forged(json_of("manifest.json", without_a_check)),
        found="manifest.json: does not demand evals.addition, which the spec in it does",
    ),
    Alteration(
        name="forged: a score",
        change=forged(record_of("evals.addition", better_score)),
        found="records.jsonl, evals.addition: exact_match,none is 0.999 there, and 1.0, by its 60 items",
    ),
    Alteration(
        name="forged: an answer",
        change=forged(rows_of(SAMPLES, wrong_instead)),
        found="records.jsonl, evals.addition: exact_match,none is 1.0 there, and 0.98",
    ),
    Alteration(
        name="forged: a sample removed",
        change=forged(rows_of(SAMPLES, lambda rows: rows.pop())),
        found="records.jsonl, evals.addition: exact_match,none rests on n = 60 there, and 59",
    ),
    Alteration(
        name="forged: a floor",
        change=forged(json_of("manifest.json", lower_floor)),
        found="records.jsonl, evals.addition: exact_match,none is held against 0.8 there, and 0.3",
    ),
    Alteration(
        name="forged: a speed",
        change=forged(record_of("perf.isl16-osl8-c2", better_speed)),
        found="records.jsonl, perf.isl16-osl8-c2: tokens_per_s is ",
    ),
    Alteration(
        name="forged: a target of speed",
        change=forged(json_of("manifest.json", slower_target)),
        found="records.jsonl, perf.isl16-osl8-c2: ttft_mean_ms is held against 10000.0 there, and 100000.0",
    ),
    Alteration(
        name="forged: a time",
        change=forged(rows_of(f"{PERF}.samples.jsonl", sooner)),
        found="records.jsonl, perf.isl16-osl8-c2: ttft_mean_ms is ",
    ),
    Alteration(
        name="forged: a request removed",
        change=forged(rows_of(f"{PERF}.samples.jsonl", lambda rows: rows.pop())),
        found="records.jsonl, perf.isl16-osl8-c2: requests is 8 there, and 7",
    ),
    Alteration(
        name="forged: an early end",
        change=forged(json_of(f"{PERF}.window.json", ended_early)),
        found="records.jsonl, perf.isl16-osl8-c2: requests has the verdict PASS there, and INCONCLUSIVE",
    ),
    Alteration(
        name="forged: no samples",
        change=forged(removed(SAMPLES), record_of("evals.addition", better_score)),
        found=f"evals.addition: was measured, and {SAMPLES}, which each such run keeps, is not there",
    ),
    Alteration(
        name="forged: no window",
        change=forged(removed(f"{PERF}.window.json"), record_of("perf.isl16-osl8-c2", better_speed)),
        found=f"perf.isl16-osl8-c2: was measured, and {PERF}.window.json, which each such run keeps, is not there",
    ),
    Alteration(
        name="forged: weights",
        change=forged(subject_of("weights", other_weights, fitting=False)),
        found="subjects.json, weights:stand-in: its digest is not that of its detail",
    ),
    Alteration(
        name="forged: a digest",
        change=forged(json_of("subjects.json", lambda found: found["subjects"][1]["digest"].update(sha256="0" * 64))),
        found="subjects.json, environment:packages: its digest is not that of its detail",
    ),
    Alteration(
        name="forged: another spec",
        change=forged(subject_of("spec", lambda detail: detail.update(model_spec_sha256="0" * 64))),
        found="its model_spec_sha256 is not what manifest.json tells",
    ),
    Alteration(
        name="forged: another device",
        change=forged(subject_of("device", lambda detail: detail.update(driver="999.1"))),
        found="subjects.json, device:cpu: its driver is not what runtime_environment.json tells",
    ),
    Alteration(
        name="forged: another package",
        change=forged(subject_of("environment", other_package)),
        found="is not what runtime_environment.json tells",
    ),
    Alteration(
        name="forged: another engine",
        change=forged(subject_of("engine", lambda detail: detail.update(version="0.33.0"))),
        found="subjects.json, engine:vllm: its version is not what runtime_environment.json tells",
    ),
    Alteration(
        name="forged: other arguments",
        change=forged(subject_of("arguments", lambda detail: detail["values"].update(max_num_seqs="1"))),
        found="subjects.json, arguments:vllm: its values is not what launch_plan.json tells",
    ),
    Alteration(
        name="forged: another suite",
        change=forged(subject_of("suite", lambda detail: detail.update(code="0" * 64))),
        found="subjects.json, suite:hallmark: its code is not the one that the first record tells",
    ),
    Alteration(
        name="forged: subjects of another form",
        change=forged(json_of("subjects.json", lambda found: found["subjects"].append({}))),
        found="subjects.json: holds no subjects",
    ),
)
