"""How the folder of a run that has ended is altered: one file at a time, or with the chain and all digests written anew."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hallmark.core.chain import line_digest
from hallmark.core.errors import HallmarkError
from hallmark.core.file_digests import digest_folder, root_of_files
from hallmark.report.build import load
from hallmark.report.certificate.files import CERTIFICATE_FILES, statements
from hallmark.report.certificate.files import write as write_certificate
from hallmark.report.certificate.made import DECIDED, certified
from hallmark.report.render import write_all

Change = Callable[[Path], object]


def text_of(path: str, old: str, new: str) -> Change:
    """Replace the first `old` in a file, which has it."""

    def change(folder: Path) -> None:
        text = (folder / path).read_text(encoding="utf-8")
        assert re.search(old, text), f"{path} has no {old}"
        (folder / path).write_text(re.sub(old, new, text, count=1), encoding="utf-8")

    return change


def rows_of(path: str, change_rows: Callable[[list[bytes]], object]) -> Change:
    """Change the rows of a file, each with its end."""

    def change(folder: Path) -> None:
        rows = (folder / path).read_bytes().splitlines(keepends=True)
        before = list(rows)
        change_rows(rows)
        assert rows != before
        (folder / path).write_bytes(b"".join(rows))

    return change


def record_of(check: str, change_it: Callable[[dict[str, Any]], object]) -> Change:
    """Change a record, or the mark of the chain with that name."""

    def change(folder: Path) -> None:
        lines = [json.loads(line) for line in (folder / "records.jsonl").read_bytes().splitlines()]
        (found,) = [line for line in lines if check in (line.get("check"), line.get("chain"))]
        change_it(found)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / "records.jsonl").write_text(text, encoding="utf-8")

    return change


def json_of(path: str, change_it: Callable[[Any], object]) -> Change:
    """Change a file that is one value."""

    def change(folder: Path) -> None:
        value = json.loads((folder / path).read_text(encoding="utf-8"))
        change_it(value)
        (folder / path).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    return change


def removed(path: str) -> Change:
    return lambda folder: (folder / path).unlink()


def added(path: str, text: str) -> Change:
    return lambda folder: (folder / path).write_text(text, encoding="utf-8")


def cut(path: str, share: float) -> Change:
    def change(folder: Path) -> None:
        content = (folder / path).read_bytes()
        (folder / path).write_bytes(content[: int(len(content) * share)])

    return change


def swap(rows: list[Any], first: int, second: int) -> None:
    rows[first], rows[second] = rows[second], rows[first]


def forged(*changes: Change, rendered: bool = True) -> Change:
    """These, and every digest and every link of the chain written anew; with the report, if it is `rendered` again."""

    def change(folder: Path) -> None:
        for each in changes:
            each(folder)
        seal(folder)
        if rendered:
            write_all(load(folder), folder)
            seal(folder)
            certify_anew(folder)

    return change


def certify_anew(folder: Path) -> None:
    """The certificate of what lies there now, unsigned, as anybody can write one."""
    report = load(folder)
    for name in CERTIFICATE_FILES:
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(HallmarkError):  # of what can be read: no certificate is of anything else
        if report.decision.outcome in DECIDED:
            write_certificate(folder, statements(certified(folder, report)))


def forged_but_for_its_certificate(*changes: Change) -> Change:
    """The same, and the certificate is the one that the run wrote."""

    def change(folder: Path) -> None:
        kept = {name: (folder / name).read_bytes() for name in CERTIFICATE_FILES if (folder / name).exists()}
        forged(*changes)(folder)
        for name, content in kept.items():
            (folder / name).write_bytes(content)

    return change


def seal(folder: Path) -> None:
    """Make a folder's chain and digests fit what lies there."""
    records = folder / "records.jsonl"
    lines = [json.loads(line) for line in records.read_bytes().splitlines()]
    rendered = next(line["rendered"] for line in lines if line.get("chain") == "ends")
    digests = digest_folder(folder, without={*rendered, *CERTIFICATE_FILES, "records.jsonl"})
    previous, text = "", ""
    for number, line in enumerate(lines, start=1):
        line |= {"number": number, "previous": previous}
        if line.get("chain") == "ends":
            line |= {"root": root_of_files(digests), "files": {path: asdict(digest) for path, digest in digests.items()}}
        elif "files" in line:
            line["files"] = {path: hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in line["files"]}
        told = json.dumps(line, ensure_ascii=False)
        previous, text = line_digest(told.encode()), text + told + "\n"
    records.write_text(text, encoding="utf-8")
