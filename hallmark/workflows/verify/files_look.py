"""The files of the folder: is each the one that the records tell of, down to its rows, and is none there besides?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hallmark.core.file_digests import ROW_DIGESTS, SHORT, FileDigest, files_below, root_of_files, unpacked
from hallmark.core.records import RECORDS_FILE
from hallmark.report.certificate.files import CERTIFICATE_FILES
from hallmark.workflows.verify.changed_rows import changed_rows
from hallmark.workflows.verify.finding import Finding, altered, not_derived
from hallmark.workflows.verify.run_folder import Line, RunFolder

_DIGESTS = TypeAdapter(dict[str, FileDigest])


def look_at_files(run: RunFolder) -> Iterator[Finding]:
    """What the digests of the first line, of the end and of the report tell."""
    demanded = run.stated("begins", "files")
    yield from _as_digested(run, demanded, "what was demanded before the run")
    if run.ended:
        yield from _as_at_the_end(run, known=demanded)
    reported = run.last("reported")
    ends = run.last("ends")
    if not ends and not reported and (before := run.all("reported")):
        yield from _as_digested(run, _digests_in(before[-1]), "the report that was made before the run was gone on with")
    if reported and (not ends or reported.place > ends.place):
        yield from _as_digested(run, run.stated("reported", "files"), "the report")
    elif run.ended:
        yield not_derived("report.json", "was not finished: the run was killed while its report was made")


def _as_digested(run: RunFolder, files: Mapping[str, Any], what: str) -> Iterator[Finding]:
    """The files of which a line of the chain holds nothing but a digest of the whole."""
    for path, digest in files.items():
        if not (run.path / path).is_file():
            yield altered(path, f"is missing, and is part of {what}")
        elif run.digest(path)[0].sha256 != digest:
            yield altered(path, f"was changed: it is not {what} as {RECORDS_FILE} holds the digest of it")


def _as_at_the_end(run: RunFolder, *, known: Mapping[str, Any]) -> Iterator[Finding]:
    """`known`: files that have been looked at."""
    ends = run.last("ends")
    try:
        files = _DIGESTS.validate_python(run.stated("ends", "files"))
    except ValidationError:
        yield altered(str(ends), "does not tell the files of the folder: it was changed")
        return
    assert ends is not None
    if root_of_files(files) != ends.content.get("root"):
        yield altered(str(ends), "was changed: its root is not that of the files that it lists")
    may_grow = _names(ends.content.get("may_grow"))
    rows = _stated_rows(run, files)
    for path, digest in files.items():
        if path in known:
            continue
        if not (run.path / path).is_file():
            yield altered(path, f"is missing; it had {digest.rows:,} rows")
        elif path in may_grow:
            yield from _begins_as(run, path, digest)
        elif run.digest(path)[0] != digest:
            yield altered(path, _what_changed(run, path, digest, rows))
    expected = {*files, *_names(ends.content.get("rendered")), *may_grow, *CERTIFICATE_FILES, RECORDS_FILE}
    for path in files_below(run.path):
        # What a desktop leaves in every folder that it shows is hidden, and read by nothing here.
        if path not in expected and not Path(path).name.startswith("."):
            yield altered(path, "was added: the run did not write it")


def _digests_in(line: Line) -> Mapping[str, Any]:
    told = line.content.get("files")
    return told if isinstance(told, dict) else {}


def _names(told: object) -> frozenset[str]:
    return frozenset(map(str, told)) if isinstance(told, list) else frozenset()


def _begins_as(run: RunFolder, path: str, digest: FileDigest) -> Iterator[Finding]:
    """A log to which lines may be added after the end, as by a program that is ended then."""
    with (run.path / path).open("rb") as stream:
        before = stream.read(digest.size)
    if FileDigest.of(before.splitlines(keepends=True))[0].sha256 != digest.sha256:
        yield altered(path, f"was changed in its first {digest.rows:,} lines, which the run wrote before its end")


def _stated_rows(run: RunFolder, files: Mapping[str, FileDigest]) -> Mapping[str, Any]:
    """The short digests of rows, where their file is the one that the run wrote."""
    if ROW_DIGESTS not in files or not (run.path / ROW_DIGESTS).is_file() or run.digest(ROW_DIGESTS)[0] != files[ROW_DIGESTS]:
        return {}
    rows = json.loads((run.path / ROW_DIGESTS).read_text(encoding="utf-8"))
    return rows if isinstance(rows, dict) else {}


def _what_changed(run: RunFolder, path: str, digest: FileDigest, rows: Mapping[str, Any]) -> str:
    found, leaves = run.digest(path)
    if path in rows:
        return changed_rows(unpacked(rows[path]), [leaf[:SHORT] for leaf in leaves])
    size = f"{digest.size:,} bytes then, {found.size:,} now" if digest.size != found.size else "of the same length"
    return f"was changed ({size})"
