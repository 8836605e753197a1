"""Gathers what a run is about, by digest: from the run's own documents, from the files of the weights, and from the processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

import hallmark
from hallmark.core.extensions import extensions
from hallmark.core.file_digests import FileDigest
from hallmark.core.files import object_at
from hallmark.core.own_code import code_digest
from hallmark.core.records import MANIFEST_FILE
from hallmark.core.subjects import (
    Source,
    Subject,
    Subjects,
    arguments_detail,
    device_detail,
    engine_commit_unknown,
    engine_detail,
    packages_of,
    served_version,
    spec_detail,
    subject,
)
from hallmark.core.wording import plural
from hallmark.environment.document import ENVIRONMENT_FILE
from hallmark.environment.process_files import OpenFiles
from hallmark.environment.weights_manifest import WeightsManifest
from hallmark.specs.cell import Cell

PLAN_FILE = "launch_plan.json"
_NO_SERVER = "no server was started or reached in this run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of the server besides what the documents of the run tell."""

    weights: WeightsManifest | None = None
    weights_unknown: str = _NO_SERVER
    """Why there is none."""
    adapters: Mapping[str, WeightsManifest] = field(default_factory=dict)
    """Of each LoRA adapter that lies in a folder of this machine."""
    served: bool = False
    """Whether a server was ready."""
    attached: bool = False
    here: bool = True
    """Whether the server's machine is this one."""
    open_files: OpenFiles = field(default_factory=OpenFiles)
    installed_files: Mapping[str, str] = field(default_factory=dict)
    """Distribution -> digest of its RECORD."""
    package_folders: tuple[str, ...] = ()
    image: Mapping[str, Any] = field(default_factory=dict)
    """Of a container."""


def gather(folder: Path, cell: Cell, seen: Seen, redact: Callable[[str], str]) -> Subjects:
    """What is known of each subject by now, and why no more of the others."""
    made = partial(subject, redact=redact)
    found: list[Subject] = []
    unknown: dict[str, str] = {}
    told = _Told.of(folder, cell, seen)
    for part in (_weights, _environment, _engine, _arguments, _spec, _suite, _device):
        for one in part(told):
            if isinstance(one, _Unknown):
                unknown[one.what] = redact(one.why)
            else:
                found.append(made(one.kind, one.of, one.detail, taken_from=one.taken_from, told=one.told))
    return Subjects(subjects=tuple(found), unknown=unknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unknown:
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    kind: Any
    of: str
    detail: Mapping[str, Any]
    taken_from: Source
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What there is to take subjects from."""

    cell: Cell
    seen: Seen
    environment: Mapping[str, Any]
    plan: Mapping[str, Any]
    manifest: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path, cell: Cell, seen: Seen) -> _Told:
        documents = {name: object_at(folder / name) for name in (ENVIRONMENT_FILE, PLAN_FILE, MANIFEST_FILE)}
        environment, plan, manifest = documents.values()
        return cls(cell=cell, seen=seen, environment=environment, plan=plan, manifest=manifest)


_Found = Iterator[_Known | _Unknown]


def _weights(told: _Told) -> _Found:
    weights, seen = told.seen.weights, told.seen
    if weights is None:
        yield _Unknown(what="weights", why=seen.weights_unknown)
        return
    source, how = _weights_source(weights, seen)
    inside = " of the container" if weights.states is None else ""
    hub = f"; {plural(weights.of_hub, 'file')} of a hub, held against the digests that name them" if weights.of_hub else ""
    if weights.corrupt:
        yield _Unknown(what="weights-whole", why=f"a hub's files are not what it says: {'; '.join(weights.corrupt)}")
    if weights.states is None:
        yield _Unknown(what="weights-unchanged", why="they lie in the server's container, which is gone when it has ended")
    if weights.changed:
        yield _Unknown(what="weights-unchanged", why=f"files in {weights.folder} changed while the server had them")
    yield _Known(
        kind="weights",
        of=told.cell.model,
        detail=weights.detail(),
        taken_from=source,
        told=f"all {plural(len(weights.resources), 'file')} in {weights.folder}{inside}{hub}; {how}",
    )
    yield from _adapters(told)


def _adapters(told: _Told) -> _Found:
    for adapter in told.cell.lora:
        found = told.seen.adapters.get(adapter.name)
        if found is None:
            why = f"it is {adapter.repo}" if adapter.repo else f"its folder {adapter.path} was not read"
            yield _Unknown(what=f"adapter {adapter.name}", why=f"{why}, whose files were not digested")
            continue
        said = f"all {plural(len(found.resources), 'file')} in {found.folder}, from which the server is told to load the adapter"
        yield _Known(kind="weights", of=adapter.name, detail=found.detail(), taken_from="spec", told=said)


def _weights_source(weights: WeightsManifest, seen: Seen) -> tuple[Source, str]:
    if not seen.here:
        return "spec", "that an attached server reads these is the spec's word: its process is not seen here"
    if open_now := seen.open_files.among(weights.real_paths):
        return "process", f"the server's process had {plural(open_now, 'file')} of them open or mapped once it was ready"
    why = "the server's process had none of them open any more once it was ready"
    if not seen.open_files.processes:
        why = "what the server's process has open is not seen" if seen.served else _NO_SERVER
    return "spec", f"{why}, so that it read these is the word of the spec and of the arguments that it was started with"


def _environment(told: _Told) -> _Found:
    image = told.seen.image
    if image.get("id"):
        kept = {key: image[key] for key in ("id", "digests") if key in image}
        yield _Known(
            kind="environment", of="image", detail=kept, taken_from="machine", told="the image, as the Docker engine names it"
        )
        return
    packages = packages_of(told.environment)
    if not packages:
        why = str(dict(told.environment.get("unknown", {})).get("installed_packages", ""))
        yield _Unknown(what="environment", why=why or "the environment is not on record: the server's interpreter was not asked")
        return
    records = told.seen.installed_files
    detail = {
        "python": told.environment.get("python_version", ""),
        "packages": {name: {"version": v, "files": records.get(canonicalize_name(name), "")} for name, v in packages.items()},
    }
    source, how = _environment_source(told.seen)
    with_files = sum(bool(one["files"]) for one in detail["packages"].values())
    interpreter = told.environment.get("collected_by", "")
    files = f"{with_files} with the digest of their files" if records else "whose files were not digested"
    said = f"{plural(len(packages), 'distribution')} as {interpreter} has them, {files}"
    yield _Known(kind="environment", of="packages", detail=detail, taken_from=source, told=f"{said}; {how}")


def _environment_source(seen: Seen) -> tuple[Source, str]:
    if not seen.served:
        return "files", _NO_SERVER
    libraries = seen.open_files.libraries
    elsewhere = seen.open_files.elsewhere(seen.package_folders)
    if elsewhere:
        return "files", f"the server's process has libraries that lie elsewhere: {', '.join(elsewhere[:3])}"
    if libraries:
        return "process", f"{plural(len(libraries), 'shared object')} of packages in the server's process lie in there"
    return "files", "the server's process has no library of a package mapped by which that could be seen"


def _engine(told: _Told) -> _Found:
    if not told.environment:
        yield _Unknown(what="engine", why="the environment is not on record")
        return
    detail = engine_detail(told.environment)
    name = told.cell.impl.engine.name
    version = served_version(told.environment)
    if not version:
        yield _Unknown(what="engine-version", why="the server does not tell it" if told.seen.served else _NO_SERVER)
    if why := engine_commit_unknown(told.environment):
        yield _Unknown(what="engine-commit", why=why)
    places = [str(build.get("source")) for build in told.environment.get("builds", ()) if build.get("commit") != "Unknown"]
    said = f"the version is the server's own word ({version})" if version else "no version was read back"
    commits = f"; commits by {', '.join(dict.fromkeys(places))}" if places else "; no place tells a commit"
    yield _Known(kind="engine", of=name, detail=detail, taken_from="server" if version else "files", told=said + commits)


def _arguments(told: _Told) -> _Found:
    if not told.plan:
        yield _Unknown(what="arguments", why="no start of a server was planned")
        return
    detail = arguments_detail(told.plan)
    if told.seen.attached:
        source: Source = "process" if told.seen.here else "spec"
        said = "held against the words of the server's process" if told.seen.here else "the spec's word: somebody else started it"
    else:
        source, said = "process", "what hallmark started the server with; where it listens and its weights lie is left out"
    if not told.seen.served:
        source, said = "spec", f"what a server would be started with: {_NO_SERVER}"
    yield _Known(kind="arguments", of=told.cell.impl.engine.name, detail=detail, taken_from=source, told=said)


def _spec(told: _Told) -> _Found:
    if not told.manifest.get("spec"):
        yield _Unknown(what="spec", why="the run has no manifest with a spec")
        return
    said = f"the cell as {MANIFEST_FILE} holds it, with the paths in it relative to the spec's folder"
    yield _Known(kind="spec", of=told.cell.id, detail=spec_detail(told.manifest), taken_from="spec", told=said)


def _suite(told: _Told) -> _Found:
    detail = suite_detail()
    said = f"hallmark {hallmark.__version__}: its code that judges, and {plural(len(detail['tests']), 'file')} of its suites"
    yield _Known(kind="suite", of="hallmark", detail=detail, taken_from="files", told=said)


def suite_detail() -> dict[str, Any]:
    """Which hallmark measures: its version, the digest of its code that judges, and that of each file of its suites."""
    tests: dict[str, str] = {}
    for suite in extensions().answers("checks"):
        files = (path for ending in ("*.py", "*.txt", "*.yaml") for path in suite.folder.rglob(ending))
        for path in files:
            tests[f"{suite.folder.name}/{path.relative_to(suite.folder).as_posix()}"] = FileDigest.of_file(path)[0].sha256
    return {"version": hallmark.__version__, "code": code_digest(), "tests": tests}


def _device(told: _Told) -> _Found:
    if not told.environment:
        yield _Unknown(what="device", why="the environment is not on record")
        return
    detail = device_detail(told.environment)
    if not any(chip["id"] for chip in detail["accelerators"]):
        yield _Unknown(what="device-identity", why="its machine tells no UUID: another one of the kind looks alike")
    source: Source = "machine" if told.seen.here else "spec"
    said = f"what {ENVIRONMENT_FILE} has of the machine: chips, drivers, firmware, processors and memory"
    yield _Known(kind="device", of=told.cell.device, detail=detail, taken_from=source, told=said)
