"""Matrices of several sites, or of several days, joined in one folder: each whole, as it was written, and one report over them.

Each lies in a folder of its own that is named by how its journal begins, so that it is joined once however often it is
named; of one that was gone on with since, the longer journal counts. The folder that they are joined in is named by what it
holds, so that joining the same again makes nothing new.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.core.files import PARTIAL, require_space, write_text
from hallmark.core.wording import moment
from hallmark.fleet.result.reading import MERGED_FILE, Joined, JoinedSite, SiteFolder, sites_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Where they were joined."""

    folder: Path
    is_new: bool
    """False where the same had been joined there before, and nothing was done."""


def merge(folders: Sequence[Path], artifacts: Path) -> Merged:
    """Join the matrices in `folders`, each of one or of several that were joined, in a folder below `artifacts`.

    UsageError for what is no matrix, or where one of them went on in two ways. The report is not written here.
    """
    sites = _distinct(site for folder in folders for site in sites_in(folder))
    joined = Joined(sites=tuple(JoinedSite(identity=site.lines[0], chain=site.lines[-1]) for site in sites))
    text = joined.model_dump_json(indent=2) + "\n"
    folder = artifacts / _name(sites, text)
    if (folder / MERGED_FILE).is_file():
        return Merged(folder=folder, is_new=False)
    _write(folder, joined, sites, text)
    return Merged(folder=folder, is_new=True)


def _distinct(sites: Iterable[SiteFolder]) -> list[SiteFolder]:
    """Each matrix once, in the order in which they began."""
    found: dict[str, SiteFolder] = {}
    for site in sites:
        if not site.plan.cells or not site.events:
            raise UsageError("has not begun: its journal is empty", where=str(site.path), hint="leave it out")
        found[site.lines[0]] = _longer(found[site.lines[0]], site) if site.lines[0] in found else site
    return sorted(found.values(), key=lambda site: (site.events[0].at, site.lines[0]))


def _longer(one: SiteFolder, other: SiteFolder) -> SiteFolder:
    """The one that tells of more; UsageError where neither is the other's begin."""
    short, long = sorted((one, other), key=lambda site: len(site.lines))
    if long.lines[: len(short.lines)] != short.lines:
        raise UsageError(
            f"went on in two ways: {short.path} tells of other events",
            where=str(long.path),
            hint="say which one by leaving out the other",
        )
    return long


def _name(sites: Sequence[SiteFolder], text: str) -> str:
    """It begins with when the last of them ended, as the names of all folders of runs begin with a time."""
    ends = [ended for site in sites if (ended := moment(site.events[-1].at))]
    stamp = f"{max(ends):%Y%m%dT%H%M%SZ}-" if ends else ""
    return f"{stamp}matrix-joined-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _write(folder: Path, joined: Joined, sites: Sequence[SiteFolder], text: str) -> None:
    """All of it, or nothing under that name."""
    partial = folder.with_name(f"{folder.name}{PARTIAL}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        require_space(partial)
        for site, one in zip(sites, joined.sites, strict=True):
            shutil.copytree(site.path, partial / one.folder, symlinks=True)
        write_text(partial / MERGED_FILE, text)
        partial.rename(folder)
    except (OSError, shutil.Error) as exc:
        shutil.rmtree(partial, ignore_errors=True)
        raise InfrastructureError(
            f"cannot be written: {exc}", where=str(folder), hint="free some space or choose another with --artifacts"
        ) from exc
