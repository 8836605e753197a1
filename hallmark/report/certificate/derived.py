"""The same in the words of others, for policy engines that know those: test-result v0.1 and svr v0.2, on the same subjects.

https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md and .../svr.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hallmark.core.in_toto import NamedDigest, Statement
from hallmark.report.certificate.predicate import PROJECT, Predicate

TEST_RESULT_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
SVR_TYPE = "https://in-toto.io/attestation/svr/v0.2"
_PASSED, _WARNED = "PASS", "CONDITIONAL"
_CRITERIA = "manifest.json"


def as_test_result(subjects: tuple[NamedDigest, ...], predicate: Predicate) -> Statement:
    """Which checks passed; one that a waiver excuses is a warning, and what was not shown to hold is failed."""
    of: Mapping[str, list[str]] = {"passed": [], "warned": [], "failed": []}
    for check, verdict in predicate.checks.items():
        of["passed" if verdict == _PASSED else "warned" if verdict == _WARNED else "failed"].append(check)
    accepted = "WARNED" if predicate.grade.needed or of["warned"] else "PASSED"
    plain: dict[str, Any] = {
        "result": accepted if predicate.verdict == "ACCEPTED" else "FAILED",
        "configuration": [_criteria(predicate)],
        **{f"{end}Tests": checks for end, checks in of.items()},
    }
    return Statement(subjects=subjects, predicate_type=TEST_RESULT_TYPE, predicate=plain)


def as_simple_result(subjects: tuple[NamedDigest, ...], predicate: Predicate) -> Statement:
    """Which properties were verified: none of a run that was rejected."""
    plain = {
        "verifier": {
            "id": f"{PROJECT}/{predicate.judge.version}",
            "policies": [_criteria(predicate)],
        },
        "timeCreated": predicate.ended,
        "properties": list(_properties(predicate)),
    }
    return Statement(subjects=subjects, predicate_type=SVR_TYPE, predicate=plain)


def _criteria(predicate: Predicate) -> dict[str, Any]:
    """What was demanded, as it was before the run."""
    return NamedDigest(name=_CRITERIA, sha256=predicate.criteria.value).to_plain()


def _properties(predicate: Predicate) -> list[str]:
    if predicate.verdict != "ACCEPTED":
        return []
    found = ["HALLMARK_ACCEPTED"]
    if predicate.grade.tier:
        found.append(f"HALLMARK_TIER_{predicate.grade.tier.upper()}")
    if not predicate.grade.needed:
        found.append("HALLMARK_ACCEPTED_WITHOUT_WAIVERS")
    if predicate.reproduced:
        found.append("HALLMARK_REPRODUCED")
    return found
