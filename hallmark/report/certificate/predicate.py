"""What a certificate says: the predicate of its in-toto Statement. It is published as `acceptance.schema.json`, beside this file.

What stands under `accuracy` has the fields of the draft predicate `eval-result`
(https://github.com/in-toto/attestation/pull/575), so that who reads that can read each of these, and more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

PROJECT = "https://pypi.org/project/pytest-hallmark"
"""The one place on the web that is this project's; names begin with it, which need not lead anywhere."""
PREDICATE_TYPE = f"{PROJECT}/acceptance/v1"
PREDICATE_VERSION = "1.0"
"""Of the form below: the second number counts what was added, the first what was changed, and stands in the type too."""
SCHEMA_FILE = Path(__file__).with_name("acceptance.schema.json")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Part(BaseModel):
    """What all parts have in common: names as in-toto writes them, and what is not known is passed over."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class Grade(Part):
    """How good `ACCEPTED` is."""

    tier: str
    """The tier that performance was held to; empty where it was held to none, and of a run that is not accepted."""
    waivers: int
    """How many checks the spec waives."""
    needed: int
    """How many of those missed, which is accepted because of a waiver."""


class Waived(Part):
    """A check for whose miss somebody answers."""

    check: str
    owner: str
    reason: str
    issue: str
    made_on: str
    ends_on: str
    use: str
    """What the waiver did in this run."""


class CellName(Part):
    """One model on one device by one implementation, and which of its checks were asked for."""

    id: str
    model: str
    device: str
    impl: str
    workflow: str


class Digests(Part):
    """A DigestSet of in-toto."""

    sha256: str


class Named(Part):
    """A ResourceDescriptor of in-toto: something by its content."""

    name: str
    digest: Digests


class Subject(Part):
    """How one of the statement's subjects is known."""

    name: str
    kind: str
    """run, weights, environment, engine, arguments, spec, suite or device."""
    taken_from: str
    """Where its digest was taken from: process, files, spec, server or machine; records for the run itself."""
    told: str
    """What was looked at, and why no more."""


class Records(Part):
    """The run's own records: all that was measured follows from them, and they follow from it."""

    name: str
    digest: Digests
    """Of the line that the records end with. It holds the digest of the line before, as each line does."""
    merkle_root: str
    """RFC 6962, with SHA-256, over all files of the run's folder, in the order of their paths."""
    records: int
    files: int


class Criteria(Part):
    """What was demanded, by its digest; it is the first line of the records, before anything was measured."""

    alg: str
    value: str


class Unmeasured(Part):
    """A check without an answer."""

    check: str
    reason: str


class Coverage(Part):
    """How much of what the spec demands was measured, and what was not."""

    demanded: int
    measured: int
    not_measured: tuple[Unmeasured, ...]
    not_offered: tuple[Unmeasured, ...]
    """What the server does not have, and the spec does not say that it has."""
    besides: tuple[str, ...]
    """What was measured, and that the spec does not demand."""


class Bounds(Part):
    """A confidence interval."""

    low: float
    high: float
    confidence: float


class Power(Part):
    """What the gate that judged could have seen."""

    gate: str
    loss_seen: float | None = None
    """The least loss that it sees with probability `power`."""
    power: float | None = None
    margin_proven: float | None = None
    """The least margin that would have been shown."""


class Claim(Part):
    """A measured value beside its threshold, as eval-result has it; and the value itself."""

    metric: str
    comparator: str
    threshold: str
    """A decimal number as text."""
    passed: bool
    verdict: str
    value: float
    samples: int
    interval: Bounds | None = None
    power: Power | None = None


class Score(Part):
    """A value that was measured, and held against nothing by itself."""

    metric: str
    value: float
    samples: int
    interval: Bounds | None = None


class Evaluator(Part):
    """Who ran the evaluation."""

    id: str


class Version(Part):
    """Something by name and version."""

    name: str
    version: str


class Accuracy(Part):
    """One eval, as an eval-result."""

    check: str
    verdict: str
    evaluator: Evaluator
    evaluated_at: str
    suite: Version
    claims: tuple[Claim, ...]
    scores: tuple[Score, ...]
    metric: str
    """Which of the claims and scores is the eval's own score; empty where none is."""
    few_shot: int | None = None
    items_of_task: int | None = None
    """How many there are, of which `sampleSize` were asked."""
    sample_size: int
    model: Named | None = None
    """The weights; absent where no digest of them is known."""
    dataset: Named | None = None
    """The items that were asked: the digest of the digests of each, sorted, a line each."""
    assurance_level: str
    subject_profile: str
    pre_registration: Criteria
    evidence: tuple[Named, ...]
    """The file of the items and their answers."""
    samples_merkle_root: str = ""
    """RFC 6962, with SHA-256, over the lines of that file."""
    harness: Version


class Speed(Part):
    """One metric of a perf point."""

    metric: str
    value: float | int | str
    """A text says why there is none."""
    unit: str
    samples: int
    interval: Bounds | None = None
    verdict: str
    comparator: str = ""
    """Empty of what is held against nothing."""
    threshold: float | int | str | None = None
    reference: float | None = None
    """What the spec states, before its tier."""
    tier: str = ""


class Performance(Part):
    """One perf point."""

    check: str
    verdict: str
    measured: tuple[Speed, ...]
    evidence: tuple[Named, ...]
    samples_merkle_root: str = ""


class Policy(Part):
    """What waivers had to keep to."""

    source: str
    longest_days: int
    most_percent: float
    never: tuple[str, ...]


class Judge(Part):
    """Which hallmark judged the run, and which one wrote this."""

    version: str
    code: str
    """SHA-256 of the sources that a verdict follows from."""


class Reproduction(Part):
    """A run of the same subjects on another device, certified by another key."""

    key_id: str
    run: str
    """SHA-256 that stands for all of it, as `records` has it of this one."""
    device: Named
    certificate: Digests
    """Of the payload that the other key signed."""


class Predicate(Part):
    """Whether a served LLM was fit to release on a device, and what that rests on."""

    version: str = PREDICATE_VERSION
    verdict: str
    """ACCEPTED or REJECTED: a run that decided nothing has no certificate."""
    grade: Grade
    waivers: tuple[Waived, ...]
    headline: str
    counts: dict[str, int]
    """Checks per verdict."""
    cell: CellName
    began: str
    ended: str
    valid_until: str
    """Afterwards it says nothing any more."""
    reproduced: Reproduction | None = None
    records: Records
    criteria: Criteria
    subjects: tuple[Subject, ...]
    unknown: dict[str, str]
    """What is no subject, and why."""
    coverage: Coverage
    accuracy: tuple[Accuracy, ...]
    performance: tuple[Performance, ...]
    checks: dict[str, str]
    """The verdict of each check."""
    policy: Policy | None
    notes: tuple[str, ...] = Field(default=())
    """What whoever reads this must know of the spec."""
    breaks: tuple[str, ...] = Field(default=())
    """Where the run broke off, and was gone on with by another process."""
    judge: Judge
    maker: Judge
    operator: str = ""
    """Who says that they ran it; empty where nobody was named."""

    def to_plain(self) -> dict[str, Any]:
        """As it stands in the statement; what is absent stands there as null."""
        return self.model_dump(mode="json", by_alias=True)


def make_schema() -> dict[str, Any]:
    """JSON Schema of the predicate, made from the classes above."""
    return schema_of(Predicate, PREDICATE_TYPE)


def schema_of(predicate: type[Part], predicate_type: str) -> dict[str, Any]:
    """JSON Schema of a predicate, as it stands in a statement."""
    schema = TypeAdapter(predicate).json_schema(by_alias=True, mode="serialization")
    return {"$schema": _DIALECT, "$id": predicate_type, **schema}


def schema_text() -> str:
    """What stands in `acceptance.schema.json`."""
    return json.dumps(make_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
