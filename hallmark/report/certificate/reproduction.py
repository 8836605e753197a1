"""When a run counts as reproduced: another party's key, the same subjects, another device, and both accepted. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from hallmark.core.in_toto import NamedDigest
from hallmark.report.certificate.files import Certificate
from hallmark.report.certificate.predicate import Digests, Named, Predicate, Reproduction

_SAME = ("weights", "spec", "engine")
"""The kinds of subjects that both runs must have measured."""
_OTHER = "device"


def why_none(subjects: Sequence[NamedDigest], predicate: Predicate, other: Certificate) -> str:
    """Why the other run reproduces nothing of this one, in a clause; empty where it does. Keys are looked at elsewhere."""
    for whose, verdict in (("this run", predicate.verdict), ("the other run", other.predicate.verdict)):
        if verdict != "ACCEPTED":
            return f"{whose} is {verdict}"
    if predicate.records.digest == other.predicate.records.digest:
        return "it is the same run"
    ours, theirs = _by_kind(subjects, predicate), _by_kind(other.statement.subjects, other.predicate)
    for kind in (*_SAME, _OTHER):
        for whose, known in (("this run", ours), ("the other run", theirs)):
            if not known.get(kind):
                return f"{whose} does not tell its {kind} by digest"
    if different := [kind for kind in _SAME if ours[kind] != theirs[kind]]:
        return f"the other run measured another {different[0]}"
    return "both ran on the same device" if ours[_OTHER] & theirs[_OTHER] else ""


def reproduction(other: Certificate, key_id: str) -> Reproduction:
    """What is stated of the other run, which `key_id` signed."""
    kinds = {one.name: one.kind for one in other.predicate.subjects}
    device = next(one for one in other.statement.subjects if kinds.get(one.name) == _OTHER)
    return Reproduction(
        key_id=key_id,
        run=other.predicate.records.digest.sha256,
        device=Named(name=device.name, digest=Digests(sha256=device.sha256)),
        certificate=Digests(sha256=hashlib.sha256(other.envelope.payload).hexdigest()),
    )


def _by_kind(subjects: Sequence[NamedDigest], predicate: Predicate) -> Mapping[str, frozenset[str]]:
    kinds = {one.name: one.kind for one in predicate.subjects}
    found: dict[str, set[str]] = {}
    for one in subjects:
        found.setdefault(kinds.get(one.name, ""), set()).add(one.sha256)
    return {kind: frozenset(digests) for kind, digests in found.items()}
