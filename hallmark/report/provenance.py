"""Where a report comes from: what was measured, by whom, its raw files, and what stands for them. Reads one folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hallmark.core.chain import Mark, last_mark
from hallmark.core.errors import HallmarkError
from hallmark.core.records import MANIFEST_FILE, RECORDS_FILE, Manifest
from hallmark.core.subjects import read_subjects
from hallmark.report.document import Attachment, Provenance, Subject

_SHORT = 16
_UNKNOWN = ("", "Unknown")


def provenance_of(folder: Path, manifest: Manifest, environment: Attachment, *, valid_until: str) -> Provenance:
    """What a run's folder tells of itself. Its raw files are those that the end of its chain tells of."""
    _, begins = _last_mark(folder, "begins")
    stands_for_all, ends = _last_mark(folder, "ends")
    subjects, unknown = _subjects(folder)
    told = {**dict(_facts(manifest, environment.content)), "Counts until": valid_until, **dict(_of_chain(begins))}
    return Provenance(
        folder=str(folder),
        facts=tuple((name, value) for name, value in told.items() if value not in _UNKNOWN),
        subjects=subjects,
        unknown=unknown,
        files=tuple(sorted({RECORDS_FILE, MANIFEST_FILE, *_mapping(ends.get("files"))})) if ends else (),
        stands_for_all=stands_for_all,
    )


def _last_mark(folder: Path, mark: Mark) -> tuple[str, Mapping[str, Any]]:
    """(digest, content) of the last line of that kind; nothing of either where there is none, or nothing is on record."""
    try:
        return last_mark(folder / RECORDS_FILE, mark)
    except OSError:
        return "", {}


def _facts(manifest: Manifest, environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    served = _mapping(environment.get("served"))
    yield "Weights", _weights(manifest, _mapping(served.get("weights")))
    yield "Spec", str(manifest.spec.get("spec_file", ""))
    version = str(_mapping(served.get("version")).get("version", ""))
    yield "Engine", ", ".join(filter(None, (f"{manifest.impl} {version}".strip(), *_builds(environment))))
    accelerators = environment.get("accelerators")
    names = [str(_mapping(one).get("name", "")) for one in accelerators] if isinstance(accelerators, list) else []
    cpu = _mapping(environment.get("cpu"))
    processor = f"{cpu.get('model')}, {cpu.get('cores')} cores" if cpu.get("model") else ""
    yield "Device", ", ".join(filter(None, (manifest.device, *names, processor)))


def _weights(manifest: Manifest, served: Mapping[str, Any]) -> str:
    """Where the server read them, and from which revision the spec says that they are."""
    family = _mapping(manifest.spec.get("family_spec"))
    listed = family.get("weights")
    every = map(_mapping, listed if isinstance(listed, list) else [])
    stated = next((one for one in every if one.get("name") == manifest.model), {})
    place = str(served.get("folder") or stated.get("repo") or stated.get("path") or "")
    revision = str(stated.get("revision") or "")
    return f"{place}, revision {revision}" if place and revision else place


def _builds(environment: Mapping[str, Any]) -> Iterator[str]:
    builds = environment.get("builds")
    for build in builds if isinstance(builds, list) else []:
        if (commit := str(_mapping(build).get("commit") or "")) not in _UNKNOWN:
            yield f"commit {commit}"


def _of_chain(begins: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    code = str(begins.get("code", ""))
    commit = str(begins.get("commit", ""))
    parts = (str(begins.get("hallmark", "")), commit and f"commit {commit}", code and f"code sha256:{code[:_SHORT]}")
    yield "hallmark", ", ".join(filter(None, parts))
    yield "Operator", str(begins.get("operator", ""))
    if digest := str(_mapping(begins.get("files")).get(MANIFEST_FILE, "")):
        yield "Manifest and spec", f"{MANIFEST_FILE}, sha256:{digest}"


def _subjects(folder: Path) -> tuple[tuple[Subject, ...], Mapping[str, str]]:
    """What was measured, by digest, and what of it is not known; nothing where the file is missing or none."""
    try:
        found = read_subjects(folder)
    except HallmarkError:
        found = None  # `hallmark verify` says what is wrong with it
    if found is None:
        return (), {}
    shown = (Subject(name=one.name, sha256=one.sha256, taken_from=one.taken_from, told=one.told) for one in found.subjects)
    return tuple(shown), found.unknown


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
