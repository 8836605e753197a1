"""What the two runs were of: engine arguments, environment, spec and code, value by value. Pure, but for a report's version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hallmark.report.changes.document import Change, Effect, Section, Topic
from hallmark.report.changes.kept_run import KeptRun
from hallmark.report.layout import leaves, plan_of

_OF_THE_MACHINE = (
    "python_version", "gpu_models", "cuda_version", "driver_version", "system_info", "accelerators", "cpu", "memory_limit",
    "versions", "gcc_version", "kernel", "glibc",
)  # fmt: skip
"""Of runtime_environment.json what says where the server ran; the rest is spec, code, or how the facts were found."""
_OF_EVERY_RUN = frozenset({"artifacts"})
"""Options that differ by their nature."""
_NONE = "none"
"""As `leaves` shows it."""


_OF_SUBJECTS: Mapping[Topic, Sequence[str]] = {
    "arguments": ("arguments",),
    "environment": ("environment", "device"),
    "spec": ("spec", "weights"),
    "code": ("engine", "suite"),
}
"""Topic -> the kinds of subjects that tell of it."""


def arguments_section(before: KeptRun, after: KeptRun) -> Section:
    return _by_digest("arguments", before, after) or _section("arguments", _arguments(before), _arguments(after))


def environment_section(before: KeptRun, after: KeptRun) -> Section:
    whole = _by_digest("environment", before, after) or _absent("environment", before, after)
    return whole or _section("environment", _environment(before), _environment(after))


def spec_section(before: KeptRun, after: KeptRun) -> Section:
    return _by_digest("spec", before, after) or _absent("spec", before, after) or _section("spec", _spec(before), _spec(after))


def code_section(before: KeptRun, after: KeptRun) -> Section:
    return _by_digest("code", before, after) or _section("code", _code(before), _code(after))


def _by_digest(topic: Topic, before: KeptRun, after: KeptRun) -> Section | None:
    """Where one side is a certificate: what that tells of the topic is whether it was the same, and no more."""
    if not (before.certificate or after.certificate):
        return None
    old, new = ({kind: run.subjects[kind] for kind in _OF_SUBJECTS[topic] if kind in run.subjects} for run in (before, after))
    common = [kind for kind in old if kind in new]
    found = _section(topic, {kind: old[kind] for kind in common}, {kind: new[kind] for kind in common})
    unknown = [kind for kind in _OF_SUBJECTS[topic] if kind not in common]
    untold = f"; not told of both: {', '.join(unknown)}" if unknown else ""
    return replace(found, note=f"a certificate tells of it by digest alone{untold}")


def _absent(topic: Topic, *runs: KeptRun) -> Section | None:
    """Where a run kept no environment, which tells its spec, too, nothing of it is known to have changed."""
    whys = [f"{run.folder.name}: {run.report.environment.absent}" for run in runs if run.report.environment.absent]
    return Section(topic=topic, note="; ".join(whys)) if whys else None


def _section(topic: Topic, before: Mapping[str, str], after: Mapping[str, str]) -> Section:
    """What one of the two does not have is as if it were none there."""
    names = list(dict.fromkeys([*before, *after]))
    pairs = ((name, before.get(name, _NONE), after.get(name, _NONE)) for name in names)
    changes = [Change(name=name, before=old, after=new, effect=Effect.CHANGED) for name, old, new in pairs if old != new]
    return Section(topic=topic, changes=tuple(changes), same=len(names) - len(changes))


def _arguments(run: KeptRun) -> dict[str, str]:
    """What the server was started with, and what was asked of the run."""
    plan = {row.name: row.value for row in plan_of(run.report.launch_plan.content).values}
    options = {f"option {name}": value for name, value in run.settings.items() if name not in _OF_EVERY_RUN}
    return {"workflow": run.report.workflow, **plan, **options}


def _environment(run: KeptRun) -> dict[str, str]:
    content = run.report.environment.content
    machine = {name: content[name] for name in _OF_THE_MACHINE if name in content}
    served = _served(content)
    found = {**machine, "variables": content.get("environment", {}), "served": served, "packages": _packages(content)}
    return _values(found)


def _served(content: Mapping[str, Any]) -> dict[str, Any]:
    """Of what the server said of itself, and of its weights, what is the same each time it is asked."""
    served = _mapping(content.get("served"))
    models = _listed(_mapping(served.get("models")).get("data"))
    weights = _mapping(served.get("weights"))
    return {
        "max_model_len": [model.get("max_model_len") for model in models if isinstance(model, dict)],
        "config": _mapping(weights.get("config")),
        "tokenizer": _mapping(weights.get("tokenizer")),
    }


def _packages(content: Mapping[str, Any]) -> dict[str, str]:
    split = (str(line).partition("==") for line in _listed(content.get("installed_packages")))
    return {name: version for name, _, version in split}


def _spec(run: KeptRun) -> dict[str, str]:
    """The spec of the run as it was expanded for its cell, and its waivers as the manifest holds them."""
    waivers = {entry.check: str(entry.waiver) for entry in run.manifest.entries if entry.waiver}
    device = _mapping(run.report.environment.content.get("tt_model_spec")).get("device_spec", {})
    return _values({**run.family, "device": device, "waivers": waivers})


def _code(run: KeptRun) -> dict[str, str]:
    content = run.report.environment.content
    version = _mapping(_mapping(content.get("served")).get("version")).get("version", "")
    builds = {}
    for build in _listed(content.get("builds")):
        if isinstance(build, dict) and (names := _listed(build.get("names"))):
            builds[str(names[-1])] = {what: build.get(what) for what in ("version", "commit", "tags", "changed")}
    return _values({"hallmark": run.hallmark_version(), "engine": version, "builds": builds})


def _values(document: Mapping[str, Any]) -> dict[str, str]:
    return dict(_named(leaves(document, prefix="", by_name=True)))


def _named(facts: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Names told apart where a list has one twice."""
    seen: dict[str, int] = {}
    for name, value in facts:
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name} ({seen[name]})"), value


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
