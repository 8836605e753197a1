"""`subjects.json`: what a run was about, each thing by its digest. Pure, but for reading and writing that one file.

A subject's digest is SHA-256 over its `detail` as canonical JSON: names in order, no white space, UTF-8 as it is. So the subjects
of two runs are the same exactly where their digests are. That of weights is the root of OpenSSF model signing instead
(`model-signing` 1.1, `Payload`): SHA-256 over the SHA-256 of each file, as bytes, in the order of their paths; so it is the
subject digest of a signature that a publisher made of the same files.
"""

from __future__ import annotations

import hashlib
import json
import os.path
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from hallmark.core.errors import InfrastructureError
from hallmark.core.files import write_json
from hallmark.core.redact import redacted

SUBJECTS_FILE = "subjects.json"
FORMAT = 1
Kind = Literal["weights", "environment", "engine", "arguments", "spec", "suite", "device"]
Source = Literal["process", "files", "spec", "server", "machine"]
"""On whose word a subject is what was measured: seen at the server's own process, read from files where its library finds them,
said by the spec alone, told by the server, or told by its machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One thing that was measured."""

    name: str
    """Such as `weights:hallmark-tiny`."""
    kind: Kind
    digest: Mapping[str, str]
    """`sha256`, hexadecimal."""
    taken_from: Source
    told: str
    """What was looked at, and why no more; a sentence for a person, which no digest covers."""
    detail: Mapping[str, Any]
    """What the digest is of."""

    @property
    def sha256(self) -> str:
        return self.digest.get("sha256", "")

    @property
    def follows(self) -> bool:
        """Whether the digest is that of the detail."""
        return dict(self.digest) == {"sha256": detail_digest(self.kind, self.detail)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """The document."""

    format: int = FORMAT
    subjects: tuple[Subject, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    """What is not known of the subjects, such as `engine-commit`, and why."""

    def of_kind(self, kind: Kind) -> tuple[Subject, ...]:
        return tuple(subject for subject in self.subjects if subject.kind == kind)


def subject(
    kind: Kind, of: str, detail: Mapping[str, Any], *, taken_from: Source, told: str, redact: Callable[[str], str] = str
) -> Subject:
    """The subject `kind:of`. Secrets are taken out before the digest is made, so that it follows from what is written down."""
    shown = redacted(detail, redact)
    digest = {"sha256": detail_digest(kind, shown)}
    return Subject(name=f"{kind}:{of}", kind=kind, digest=digest, taken_from=taken_from, told=redact(told), detail=shown)


def detail_digest(kind: Kind, detail: Mapping[str, Any]) -> str:
    """The digest of a detail, hexadecimal; ValueError for weights that are no list of digests."""
    if kind == "weights":
        return weights_root(detail.get("resources", ()))
    return canonical_digest(detail)


def canonical_digest(value: Any) -> str:
    """SHA-256 of plain JSON data, hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def weights_root(resources: Iterable[Mapping[str, str]]) -> str:
    """One digest for files of weights, each with its `name` (a path) and `digest`; their order does not matter."""
    whole = hashlib.sha256()
    for resource in sorted(resources, key=lambda one: PurePosixPath(one["name"]).parts):
        whole.update(bytes.fromhex(resource["digest"]))
    return whole.hexdigest()


# What the other files of a run's folder tell of subjects. Whoever has the folder can derive these again.


def spec_detail(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Of manifest.json the cell and its whole spec, wherever the spec's own folder lies."""
    spec = dict(_mapping(manifest.get("spec")))
    folder = str(PurePosixPath(str(spec.pop("spec_file", ""))).parent)
    return {"cell": manifest.get("cell", ""), "model_spec_sha256": canonical_digest(_beside(spec, folder))}


def _beside(value: Any, folder: str, name: str = "") -> Any:
    """The same with the paths that a spec states relative to its folder."""
    match value:
        case Mapping():
            return {key: _beside(item, folder, key) for key, item in value.items()}
        case list() | tuple():
            return [_beside(item, folder, name) for item in value]
        case str() if name in ("path", "task_dir") and value.startswith("/"):
            return os.path.relpath(value, folder)
        case _:
            return value


def device_detail(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Of runtime_environment.json the device as its machine shows it: its chips, processors and memory, drivers and firmware."""
    of_chip = ("vendor", "name", "id", "memory")
    chips = [{key: chip.get(key, "") for key in of_chip} for chip in _listed(environment.get("accelerators"))]
    system = _mapping(environment.get("system_info"))
    return {
        "accelerators": sorted(chips, key=lambda chip: (chip["vendor"], chip["id"], chip["name"])),
        "cpu": dict(_mapping(environment.get("cpu"))),
        "architecture": system.get("architecture", ""),
        "memory": system.get("memory_total", ""),
        "memory_limit": environment.get("memory_limit", ""),
        "kernel": environment.get("kernel", ""),
        "driver": environment.get("driver_version", ""),
        "versions": dict(_mapping(environment.get("versions"))),
    }


def engine_detail(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Of runtime_environment.json what runs: its version as the server tells it, its builds, and the commits that were pinned."""
    told = ("version", "commit", "tags", "changed")
    builds = [{"name": _first(build.get("names")), **{key: build.get(key) for key in told}} for build in _builds(environment)]
    pinned = [finding for finding in _listed(environment.get("findings")) if finding.get("kind") == "commit"]
    return {
        "version": served_version(environment),
        "builds": sorted(builds, key=canonical_digest),
        "pinned": {str(one.get("name")): {key: one.get(key) for key in ("required", "found", "state")} for one in pinned},
    }


def served_version(environment: Mapping[str, Any]) -> str:
    """The version that the server told of itself; empty where it told none."""
    told = _mapping(_mapping(environment.get("served")).get("version")).get("version")
    return told if isinstance(told, str) else ""


def engine_commit_unknown(environment: Mapping[str, Any]) -> str:
    """Why no commit of what runs is known; empty where one is."""
    builds = _builds(environment)
    if any(build.get("commit") not in (None, "", "Unknown") for build in builds):
        return ""
    looked = [f"{_first(build.get('names'))}: {build.get('source', '')}" for build in builds]
    return "; ".join(looked) or str(_mapping(environment.get("unknown")).get("builds", "no build of an engine was found"))


def arguments_detail(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Of launch_plan.json what the server was started with. Where it listens and where its weights lie are no part of that."""
    values = {str(row.get("name")): row.get("value") for row in _listed(plan.get("values"))}
    return {"served_model": plan.get("served_model", ""), "values": values}


def packages_of(environment: Mapping[str, Any]) -> dict[str, str]:
    """Of runtime_environment.json name -> version of each distribution."""
    lines = environment.get("installed_packages")
    split = (str(line).partition("==") for line in (lines if isinstance(lines, list) else ()))
    return {name: version for name, _, version in split}


def _builds(environment: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _listed(environment.get("builds"))


def _first(names: object) -> str:
    return str(names[0]) if isinstance(names, list) and names else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


# The file

_DOCUMENT = TypeAdapter(Subjects)


def write_subjects(folder: Path, found: Subjects) -> None:
    """Write the file into a run's folder."""
    write_json(folder / SUBJECTS_FILE, _DOCUMENT.dump_python(found, mode="json"))


def read_subjects(folder: Path) -> Subjects | None:
    """What a run's folder holds; None where it has no such file, InfrastructureError where that is none of ours."""
    path = folder / SUBJECTS_FILE
    if not path.is_file():
        return None
    try:
        return _DOCUMENT.validate_json(path.read_bytes())
    except (OSError, ValidationError) as exc:
        first = exc.errors()[0]["msg"] if isinstance(exc, ValidationError) else exc.strerror
        raise InfrastructureError(f"holds no subjects: {first}", where=str(path), hint="name the folder of a whole run") from exc
