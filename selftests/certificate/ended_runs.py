"""The folder of a run that has ended, chained as hallmark writes it, and made in no time: of records that were made up."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hallmark.core.file_digests import digest_folder
from hallmark.core.files import write_json
from hallmark.core.records import Manifest, Record, RecordLog, to_plain
from hallmark.core.redact import Redactor
from hallmark.core.subjects import Kind, Subjects, spec_detail, subject, write_subjects
from hallmark.report.build import load
from hallmark.report.render import renderers, write_all
from selftests.report.samples import accepted_run

Run = tuple[Manifest, tuple[Record, ...]]
KINDS: tuple[Kind, ...] = ("weights", "environment", "engine", "spec", "device")


def of_today(run: Run) -> Run:
    """The same run, begun an hour ago."""
    began = datetime.now(UTC) - timedelta(hours=1)
    manifest = replace(run[0], started_at=began.isoformat(timespec="seconds"), chained=True)
    at = (began + timedelta(minutes=1)).isoformat(timespec="seconds")
    entries = tuple(_waived_now(entry, began) for entry in manifest.entries)
    return replace(manifest, entries=entries), tuple(replace(record, started_at=at) for record in run[1])


def _waived_now(entry: Any, began: datetime) -> Any:
    if entry.waiver is None:
        return entry
    days = {"made_on": f"{began:%Y-%m-%d}", "ends_on": f"{began + timedelta(days=30):%Y-%m-%d}"}
    return replace(entry, waiver=replace(entry.waiver, **days))


def subjects(**other: str) -> dict[Kind, str]:
    """What a run was about: of each kind its name, or what `other` has in its place."""
    return {kind: other.get(kind, kind) for kind in KINDS}


def _document(manifest: Manifest, known: dict[Kind, str]) -> Subjects:
    details: dict[Kind, dict[str, Any]] = {kind: {"of": name} for kind, name in known.items()}
    digest = hashlib.sha256(known["weights"].encode()).hexdigest()
    details["weights"] = {"resources": [{"name": "model.safetensors", "digest": digest}]}
    details["spec"] = spec_detail(to_plain(manifest))
    made = (subject(kind, name, details[kind], taken_from="files", told="made up") for kind, name in known.items())
    return Subjects(subjects=tuple(made), unknown={"engine-commit": "the engine does not tell it"})


def write_ended(folder: Path, run: Run | None = None, *, known: dict[Kind, str] | None = None) -> Path:
    """`folder` with all that a run leaves but its certificate; `known` stands in its `subjects.json`."""
    manifest, records = of_today(run or accepted_run())
    if known:
        manifest = replace(manifest, spec={"of": known["spec"]})
    folder.mkdir(parents=True)
    write_json(folder / "manifest.json", to_plain(manifest))
    (folder / "evals").mkdir()
    rows = [{"doc_hash": hashlib.sha256(str(place).encode()).hexdigest(), "exact_match": 1.0} for place in range(5)]
    (folder / "evals" / "gsm8k.samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if known:
        write_subjects(folder, _document(manifest, known))
    log = RecordLog(folder / "records.jsonl", Redactor())
    log.begin(hallmark="1.0", files=["manifest.json"])
    for record in records:
        log.append(record)
    rendered = renderers()
    files = digest_folder(folder, without={*rendered, "records.jsonl"})
    log.end(files, rendered=rendered, may_grow=(), interrupted=False)
    log.reported(path.name for path in write_all(load(folder), folder))
    return folder


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))
