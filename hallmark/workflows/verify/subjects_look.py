"""What the run was about: do the digests of its subjects follow, and are they what its other files tell?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hallmark.core.errors import InfrastructureError
from hallmark.core.files import object_at
from hallmark.core.records import MANIFEST_FILE
from hallmark.core.subjects import (
    SUBJECTS_FILE,
    Subject,
    Subjects,
    arguments_detail,
    device_detail,
    engine_detail,
    packages_of,
    read_subjects,
    spec_detail,
)
from hallmark.environment.document import ENVIRONMENT_FILE
from hallmark.report.build import LAUNCH_PLAN_FILE
from hallmark.workflows.verify.finding import Finding, altered, judged_otherwise, not_derived
from hallmark.workflows.verify.run_folder import RunFolder

_DERIVED = {
    "spec": (MANIFEST_FILE, spec_detail),
    "device": (ENVIRONMENT_FILE, device_detail),
    "engine": (ENVIRONMENT_FILE, engine_detail),
    "arguments": (LAUNCH_PLAN_FILE, arguments_detail),
}
"""Kind of subject -> the file that tells it, and what of that file it is."""


def look_at_subjects(run: RunFolder) -> Iterator[Finding]:
    """Each digest, and each subject that another file of the folder tells as well."""
    try:
        found = read_subjects(run.path)
    except InfrastructureError as exc:
        yield altered(SUBJECTS_FILE, exc.message)
        return
    if found is None:
        if run.ended:
            yield not_derived(SUBJECTS_FILE, "is not there: what the run was about is known by names and versions alone")
        return
    for subject in found.subjects:
        if not _follows(subject):
            yield altered(_where(subject), "its digest is not that of its detail")
    for name, why in _contradictions(run, found):
        yield judged_otherwise(name, why, same_judge=run.same_judge)


def _follows(subject: Subject) -> bool:
    try:
        return subject.follows
    except (ValueError, LookupError, TypeError, AttributeError):
        return False


def _contradictions(run: RunFolder, found: Subjects) -> Iterator[tuple[str, str]]:
    for kind, (file, detail_of) in _DERIVED.items():
        told = object_at(run.path / file)  # of one that is damaged other looks tell
        for subject in found.subjects:
            if subject.kind == kind and told and (wrong := _differing(subject.detail, detail_of(told))):
                yield _where(subject), f"its {wrong} is not what {file} tells"
    for subject in found.of_kind("environment"):
        packages = subject.detail.get("packages")
        listed = packages_of(object_at(run.path / ENVIRONMENT_FILE))
        if isinstance(packages, Mapping) and (other := _other_version(packages, listed)):
            yield _where(subject), f"its {other} is not what {ENVIRONMENT_FILE} tells"
    begins = run.last("begins")
    for subject in found.of_kind("suite"):
        if begins and subject.detail.get("code") != begins.content.get("code"):
            yield _where(subject), "its code is not the one that the first record tells"


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The first name under which they differ; empty where they are alike."""
    return next((name for name in sorted({*one, *other}) if one.get(name) != other.get(name)), "")


def _other_version(packages: Mapping[str, Any], listed: Mapping[str, str]) -> str:
    told = {name: one.get("version") if isinstance(one, Mapping) else None for name, one in packages.items()}
    return _differing(told, listed)


def _where(subject: Subject) -> str:
    return f"{SUBJECTS_FILE}, {subject.name}"
