"""A finished run -> a reference: what `hallmark reference record` does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hallmark.core.errors import HarnessError, UsageError
from hallmark.core.records import Evidence, Record, read_manifest, read_records
from hallmark.core.verdict import Verdict
from hallmark.evals.fingerprints import kept_fingerprint, recorded_fingerprint
from hallmark.evals.items import SEVERAL, read_items
from hallmark.evals.paired import Compared
from hallmark.evals.reference import FOLDER, SUFFIX, EvalReference, Reference
from hallmark.evals.weights_mark import weights_mark
from hallmark.specs.model import EvalTarget, FamilySpec
from hallmark.specs.model_spec import ModelSpec
from hallmark.stats.fingerprint import Fingerprint


def recorded(
    run: Path, again: Path | None = None, *, adapters: Mapping[str, Path] | None = None
) -> tuple[Reference, Path, tuple[str, ...]]:
    """The reference of the run in that folder, the place beside its spec, and a line for each eval that it leaves out.

    `again` is another run of the same server: what differs between the two is what differs by chance. `adapters`: runs of it
    with an adapter merged or always on, by the adapter's name.

    UsageError where the run is none, or has no eval that was asked whole and passed.
    """
    manifest, records = read_manifest(run / "manifest.json"), read_records(run / "records.jsonl")
    environment = _json(run / "runtime_environment.json")
    spec = ModelSpec.from_json(run / "runtime_environment.json")
    family = spec.family_spec
    if family is None or not spec.spec_file:
        raise UsageError("does not tell the spec that was run", where=str(run), hint="name the folder of a run of hallmark's own")
    spec_file = Path(spec.spec_file)
    found: dict[str, EvalReference] = {}
    left: list[str] = []
    by_check = {record.check: record for record in records}
    for target in family.evals.get(manifest.model, ()):
        try:
            one = _eval(target, by_check.get(f"evals.{target.name}"), run)
            found[target.name] = with_discordance(one, target, again) if again else one
        except (UsageError, HarnessError) as exc:
            left.append(exc.message)
    if not found:
        why = "; ".join(left) or "its spec has no evals"
        raise UsageError(f"gives no reference: {why}", where=str(run), hint="a whole run that passed does")
    reference = Reference(
        model=manifest.model,
        weights=weights_mark(family.weights[0], spec_file),
        cell=manifest.cell,
        engine=_engine(family, environment),
        dtype=_dtype(run, family),
        recorded_at=manifest.started_at,
        evals=found,
        fingerprint=recorded_fingerprint(run, again),
        adapters={name: _sign(name, folder) for name, folder in (adapters or {}).items()},
    )
    return reference, spec_file.parent / FOLDER / f"{manifest.model}{SUFFIX}", tuple(left)


def _sign(adapter: str, run: Path) -> Fingerprint:
    if found := kept_fingerprint(run / "evals"):
        return found
    raise UsageError(f"has no fingerprint of the adapter {adapter}", where=str(run), hint="name a run of evals.fingerprint")


def _eval(target: EvalTarget, record: Record | None, run: Path) -> EvalReference:
    name = f"evals.{target.name}"
    if record is None or not record.measured:
        raise UsageError(f"{name} was not measured")
    if record.verdict is not Verdict.PASS:
        raise UsageError(f"{name} is {record.verdict}, and a reference is of a good server")
    detail = next((evidence.detail for evidence in record.evidence if _tells_how(evidence)), None)
    if detail is None:
        raise UsageError(f"{name} does not tell how it was asked: its run is of an older hallmark")
    samples = run / "evals" / f"{target.name}.samples.jsonl"
    items = read_items(samples, SEVERAL.join(target.metrics), cluster=target.cluster)
    if len(items) != detail["items_of_task"]:
        raise UsageError(f"{name} was asked {len(items)} of its {detail['items_of_task']} items")
    return EvalReference.of(
        target,
        items,
        few_shot=int(detail["few_shot"]),
        lm_eval=str(detail["lm_eval"]),
        subtasks=detail.get("subtasks"),
    )


def with_discordance(one: EvalReference, target: EvalTarget, again: Path) -> EvalReference:
    """`one` with the share of its items that the run `again` has otherwise right or wrong; UsageError where it asked a part."""
    samples = again / "evals" / f"{target.name}.samples.jsonl"
    other = Compared.read(one, samples, few_shot=one.few_shot, title="")
    if len(other.items) != one.n:
        raise UsageError(f"evals.{target.name} was asked {len(other.items)} of its {one.n} items in {again}")
    return replace(one, discordance=round(other.pairs.discordance, 5)) if one.is_simple else one


def _tells_how(evidence: Evidence) -> bool:
    return {"few_shot", "lm_eval", "items_of_task"} <= evidence.detail.keys()


def _engine(family: FamilySpec, environment: dict[str, Any]) -> str:
    version = environment.get("served", {}).get("version")
    stated = version.get("version", "") if isinstance(version, dict) else ""
    return f"{family.impls[0].engine.name} {stated}".strip()


def _dtype(run: Path, family: FamilySpec) -> str:
    """What the server was started with, which need not be what the spec says; of one that ran already the spec's."""
    values = _json(run / "launch_plan.json").get("values", [])
    (entry,) = family.impls[0].devices.values()
    stated = str(entry.engine_args.get("dtype", ""))
    return next((str(value["value"]) for value in values if value["name"] == "dtype"), stated)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise UsageError(f"cannot be read: {exc}", where=str(path), hint="name the folder of a whole run") from exc
    return value if isinstance(value, dict) else {}
