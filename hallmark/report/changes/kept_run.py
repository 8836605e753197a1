"""A finished run's folder, as far as runs are compared: its report, its waivers, and where its raw rows are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.core.records import Manifest, read_manifest
from hallmark.report.build import load
from hallmark.report.changes.document import Side
from hallmark.report.document import Report

_HINT = "name the folder of a run, such as artifacts/20261121T014500Z-id_vllm-cpu_hallmark-tiny_cpu-release"
_OTHER_KINDS = {"comparison.json": "ab", "capacity.json": "capacity"}
"""File -> the command whose folder has it."""


@dataclass(frozen=True, kw_only=True)
class KeptRun:
    """One run, read back."""

    folder: Path
    manifest: Manifest
    report: Report

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
            title=report.decision.title,
            partial=report.partial,
        )

    def hallmark_version(self) -> str:
        """Of the hallmark that wrote the folder's report.json; empty where there is none."""
        try:
            told = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        return str(told.get("hallmark_version", "")) if isinstance(told, dict) else ""


def read_run(folder: Path) -> KeptRun:
    """The run in `folder`; UsageError where it is none, of another command, or cannot be read."""
    where = str(folder)
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
