"""What a run writes down, and how it is read back: Evidence, Record, Manifest as JSON.

`records.jsonl` is append-only: one Record a line, on the disk as each check ends, so that a run that is killed keeps what it
had measured; its lines are a chain (`chain.py`). A report is made from these files alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from hallmark.core.breaks import Break
from hallmark.core.chain import FORMAT, ChainWriter, is_record
from hallmark.core.errors import InfrastructureError
from hallmark.core.file_digests import FileDigest, root_of_files
from hallmark.core.load import Load
from hallmark.core.own_code import code_digest, own_commit
from hallmark.core.parts import PARTS, Kind
from hallmark.core.redact import Redactor, redacted
from hallmark.core.verdict import Verdict
from hallmark.core.waivers import Waiver, WaiverLimits

MANIFEST_FILE = "manifest.json"
RECORDS_FILE = "records.jsonl"
Relation = Literal[">=", "<=", "==", "meets"]
"""`meets` is for what is no single limit, such as a version specifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A confidence interval in the unit of the value it belongs to."""

    low: float
    high: float
    confidence: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a value is held against: `value relation limit`."""

    relation: Relation
    limit: int | float | str
    """The line that decides: a reference less its tolerance, or a reference scaled to the required tier."""
    reference: float | None = None
    """The number that the spec states, before tolerance or tier."""
    tier: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One thing that was measured or observed in this run."""

    name: str
    value: bool | int | float | str
    unit: str = ""
    n: int = 1
    """How many samples the value rests on."""
    verdict: Verdict = Verdict.PASS
    reason: str = ""
    target: Target | None = None
    interval: Interval | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What became of one check of one cell."""

    check: str
    cell: str
    kind: Kind
    verdict: Verdict
    reason: str
    """One line for the report: why this verdict."""
    evidence: tuple[Evidence, ...] = ()
    duration_s: float = 0.0
    waited_s: float = 0.0
    """How much of that it took until the server was ready, with its environment and its device: no work of the check."""
    started_at: str = ""
    nodeid: str = ""
    measured: bool = True
    """False where the check never ran to an answer (skipped, server lost): it counts as missing."""
    offered: bool = True
    """False where the server does not have what is checked: then nothing was measured, and where the manifest demands the
    check, the server fails it."""
    also_failed: bool = False
    """True where the check failed and something else that went wrong with it is an ERROR, which stands in the verdict."""
    server_lost: bool = False
    """True on the check that carries the blame for the death of the server, which no waiver of the check covers."""
    load: Load | None = None
    """What the machine did while the check ran; None where it did not."""
    log: str = ""
    """The last lines of the server's log, or the traceback, where they explain the verdict."""
    exchanges: tuple[str, ...] = ()
    """Digests of the lines of `exchanges.jsonl` that show what was sent and answered, where the check did not pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEntry:
    check: str
    kind: Kind
    title: str
    waiver: Waiver | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Every check that the spec demands of a cell, written before the first one runs."""

    cell: str
    model: str
    device: str
    impl: str
    workflow: str
    started_at: str
    entries: tuple[ManifestEntry, ...]
    partial: tuple[str, ...] = ()
    """Why this run is narrower than the spec demands (`-k ...`, `--limit 5`); empty for a whole run."""
    gaps: tuple[str, ...] = ()
    """What the spec lacks for a certificate, such as `engine_version`; with any of it the cell is a draft."""
    notes: tuple[str, ...] = ()
    """What whoever reads the result must know of the spec, such as that it stands in the place of another."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    """The cell's whole spec, as `ModelSpec.of` has it: targets, tolerances, tiers, and how many samples are planned of each."""
    chained: bool = False
    """Whether the records of this run are a chain; those of a hallmark before it were none."""
    waiver_limits: WaiverLimits | None = None
    """What waivers had to keep to; None in the folder of a run that was made before there was a policy."""
    valid_days: int = 0
    """For how many days it counts; 0 of a run that was made before that was said."""

    @property
    def part(self) -> Kind | None:
        """The kind of checks that was asked for, where that is all that narrows the run; None for any other run."""
        return PARTS.get(self.workflow) if self.partial == (part_reason(self.workflow),) else None

    @property
    def valid_until(self) -> str:
        """The last day on which it counts, YYYY-MM-DD in UTC; empty where the manifest does not tell."""
        try:
            last = date.fromisoformat(self.started_at[:10]) + timedelta(days=self.valid_days)
        except (ValueError, OverflowError):
            return ""
        return last.isoformat() if self.valid_days else ""

    @property
    def smoke(self) -> bool:
        """Whether this is a smoke run, narrowed by nothing else."""
        return self.partial == (SMOKE,)


SMOKE = "--smoke"
"""How a manifest says that a smoke run was asked for."""


def part_reason(workflow: str) -> str:
    """How a manifest says that a part of a release is all that was asked for."""
    return f"--workflow {workflow}"


_HINT = "name the folder of a whole run"


_adapters: dict[type, TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Built when first needed: that takes longer than to collect a thousand checks."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def to_plain(value: Any) -> Any:
    """A dataclass of this module as plain JSON data."""
    return _adapter(type(value)).dump_python(value, mode="json")


def record_from_plain(plain: Any) -> Record:
    record: Record = _adapter(Record).validate_python(plain, strict=False)
    return record


# A load is numbers and one word of ours, and exchanges are digests.
_OWN_WORDS = frozenset(
    {"cell", "model", "device", "impl", "workflow", "kind", "verdict", "relation", "started_at", "load", "exchanges"}
)
_PARTS = frozenset({"evidence", "entries", "target"})


def without_secrets(plain: dict[str, Any], redact: Callable[[str], str]) -> dict[str, Any]:
    """A record or manifest as plain data, its texts redacted and its own words kept.

    A secret may be `server` or `reason`, or part of a cell's id. Every record says those, so they give nothing away, and with
    them masked nothing could be read back. The name of somebody's own test is a text.
    """
    own = _OWN_WORDS if plain.get("kind") == "extra" else _OWN_WORDS | {"check"}

    def shown(name: str, value: Any) -> Any:
        if name in own:
            return value
        if name in _PARTS and isinstance(value, dict):
            return without_secrets(value, redact)
        return [without_secrets(part, redact) for part in value] if name in _PARTS and value else redacted(value, redact)

    return {name: shown(name, value) for name, value in plain.items()}


class RecordLog:
    """Appends records to `records.jsonl`, redacted, one line each, on the disk when `append` returns."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self.path = path
        self._redactor = redactor
        self._chain = ChainWriter(path)

    @classmethod
    def resumed(cls, path: Path, redactor: Redactor | None = None) -> RecordLog:
        """The records of a run that has ended, to which more is added; InfrastructureError where they are no chain."""
        log = cls(path, redactor or Redactor())
        log._chain = ChainWriter.resumed(path)
        return log

    def begin(
        self, *, hallmark: str, files: Iterable[str], subjects: Mapping[str, str] | None = None, operator: str = ""
    ) -> None:
        """The first line: which hallmark judges, for whom, and the digests of the files beside it that say what is demanded.

        `subjects`: what else has to be the same where the run breaks off and is gone on with.
        """
        judge = {"hallmark": hallmark, "code": code_digest(), "commit": own_commit(), "operator": self._redactor(operator)}
        self._chain.mark("begins", {"format": FORMAT, **judge, **(subjects or {}), "files": self._digests(files)})

    def resume(self, at: Break, *, compared: str, subjects: Mapping[str, str]) -> None:
        """The line behind which a run is gone on with; `compared` is the digest of what was found to be as it was before.

        `subjects`: the digests of what had been measured, by name, as far as they were on record.
        """
        self._chain.mark("resumed", {**asdict(at), "compared": compared, "subjects": dict(subjects)})

    def append(self, record: Record) -> None:
        """NaN is refused: absence needs a reason."""
        self._chain.append(without_secrets(to_plain(record), self._redactor))

    def end(
        self, files: Mapping[str, FileDigest], *, rendered: Iterable[str], may_grow: Iterable[str], interrupted: bool
    ) -> None:
        """The line behind the last record: what lies in the folder. `rendered` are the files of the report, which is made from
        all this and comes after it; to logs that `may_grow` lines may be added.
        """
        digests = {path: asdict(digest) for path, digest in files.items()}
        told = {"interrupted": interrupted, "rendered": sorted(rendered), "may_grow": sorted(may_grow)}
        self._chain.mark("ends", {**told, "root": root_of_files(files), "files": digests})

    def reported(self, files: Iterable[str]) -> None:
        """The line behind that: the digests of a report's files, which were made from the lines before."""
        self._chain.mark("reported", {"files": self._digests(files)})

    def _digests(self, files: Iterable[str]) -> dict[str, str]:
        return {name: FileDigest.of_file(self.path.parent / name)[0].sha256 for name in files}


def read_records(path: Path) -> list[Record]:
    """All records of a run. A last line that a kill cut short is left out: its check then counts as missing."""
    records = []
    # Bytes: the kill may have cut a character in two.
    whole_lines = _read(path, "a record").split(b"\n")[:-1]
    for number, line in enumerate(whole_lines, start=1):
        if not is_record(line):
            continue
        try:
            records.append(_adapter(Record).validate_json(line))
        except ValidationError as exc:
            raise InfrastructureError(f"not a record: {_first_of(exc)}", where=f"{path}:{number}", hint=_HINT) from exc
    return records


def read_manifest(path: Path) -> Manifest:
    try:
        manifest: Manifest = _adapter(Manifest).validate_json(_with_days(_read(path, "a manifest")))
    except ValidationError as exc:
        raise InfrastructureError(f"not a manifest: {_first_of(exc)}", where=str(path), hint=_HINT) from exc
    return manifest


def _with_days(content: bytes) -> bytes:
    """The waivers of a manifest from before a policy governed them, which had `expires` and no issue, as they are written now."""
    if b'"expires"' not in content:
        return content
    try:
        plain = json.loads(content)
        waivers = [entry["waiver"] for entry in plain["entries"] if entry.get("waiver")]
    except (ValueError, TypeError, KeyError, AttributeError):
        return content  # whoever validates it says what is wrong
    for waiver in waivers:
        if isinstance(waiver, dict) and "expires" in waiver:
            waiver.update({"issue": "", "made_on": "", "ends_on": waiver.pop("expires")} | waiver)
    return json.dumps(plain).encode()


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise InfrastructureError(f"not {what}: {exc.strerror}", where=str(path), hint=_HINT) from exc


def _first_of(exc: ValidationError) -> str:
    """The first of pydantic's complaints, in one line."""
    first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
