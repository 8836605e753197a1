"""A finished run as far as runs are compared: its report, its waivers, where its raw rows are; or what a certificate states."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.core.records import Manifest, read_manifest
from hallmark.report.build import build, load
from hallmark.report.certificate.as_run import as_run
from hallmark.report.certificate.files import Certificate, NoCertificate, read_certificate
from hallmark.report.certificate.made import known_subjects
from hallmark.report.changes.document import Side
from hallmark.report.document import Attachment, Report

_HINT = "name the folder of a run, such as artifacts/20261121T014500Z-id_vllm-cpu_hallmark-tiny_cpu-release"
_OTHER_KINDS = {"comparison.json": "ab", "capacity.json": "capacity", "matrix.json": "matrix", "merged.json": "matrix --merge"}
"""File -> the command whose folder has it."""


@dataclass(frozen=True, kw_only=True)
class KeptRun:
    """One run, read back."""

    folder: Path
    manifest: Manifest
    report: Report
    certificate: Certificate | None = None
    """Where that is all that there is; `folder` is then its file."""

    @property
    def subjects(self) -> dict[str, str]:
        """What was measured, by its kind: names and digests."""
        if self.certificate:
            kinds = {one.name: one.kind for one in self.certificate.predicate.subjects}
            listed = [(kinds.get(one.name, ""), one.name, one.sha256) for one in self.certificate.statement.subjects]
        else:
            listed = [(one.kind, one.name, one.sha256) for one in known_subjects(self.folder, self.manifest).subjects]
        found: dict[str, str] = {}
        for kind, name, sha256 in sorted(listed):
            found[kind] = ", ".join(filter(None, (found.get(kind, ""), f"{name} (sha256:{sha256[:12]})")))
        return found

    @property
    def settings(self) -> dict[str, str]:
        """Option -> what it was."""
        stated = self.manifest.settings.items()
        return {name: str(value.get("value", "")) if isinstance(value, dict) else str(value) for name, value in stated}

    @property
    def family(self) -> Mapping[str, Any]:
        """The spec that was run, as the environment tells it; empty where it does not."""
        spec = self.report.environment.content.get("tt_model_spec", {})
        family = spec.get("family_spec") if isinstance(spec, dict) else None
        return family if isinstance(family, dict) else {}

    def side(self, letter: str) -> Side:
        report = self.report
        return Side(
            letter=letter,
            folder=str(self.folder),
            cell=report.cell,
            model=report.model,
            device=report.device,
            impl=report.impl,
            started_at=report.started_at,
            outcome=report.decision.outcome,
            title=report.decision.title + (f" (a certificate, {self.certificate.state})" if self.certificate else ""),
            partial=report.partial,
        )

    def hallmark_version(self) -> str:
        """Of the hallmark that wrote the folder's report.json; empty where there is none."""
        if self.certificate:
            return self.certificate.predicate.judge.version
        try:
            told = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        return str(told.get("hallmark_version", "")) if isinstance(told, dict) else ""


def read_run(folder: Path) -> KeptRun:
    """The run in `folder`, or that a certificate is of; UsageError where it is none, of another command, or cannot be read."""
    where = str(folder)
    if folder.is_file():
        return _certified_run(folder)
    if not folder.is_dir():
        raise UsageError("is no folder", where=where, hint=_HINT)
    if not (folder / "manifest.json").is_file():
        made_by = next((command for name, command in _OTHER_KINDS.items() if (folder / name).is_file()), "")
        what = f"is a folder of hallmark {made_by}, not of a run" if made_by else "holds no run (no manifest.json)"
        raise UsageError(what, where=where, hint=_HINT)
    try:
        return KeptRun(folder=folder, manifest=read_manifest(folder / "manifest.json"), report=load(folder))
    except InfrastructureError as exc:
        raise UsageError(exc.message, where=exc.where, hint=exc.hint) from exc


def _certified_run(path: Path) -> KeptRun:
    """Who signed the certificate is not looked at here; `hallmark verify --key` does that."""
    try:
        certificate = read_certificate(path)
        manifest, records = as_run(certificate.predicate)
    except (NoCertificate, ValueError) as exc:
        raise UsageError(f"is neither the folder of a run nor a certificate: it {exc}", where=str(path), hint=_HINT) from exc
    absent = Attachment(absent="a certificate holds none")
    report = replace(build(manifest, records), environment=absent, launch_plan=absent)
    return KeptRun(folder=path, manifest=manifest, report=report, certificate=certificate)
