"""An in-toto Statement (v1): what is said (a predicate of some type) about what (subjects, each by its digest).

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hallmark.core.strict_json import DoubledName, read_strictly

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


class NoStatement(ValueError):
    """What was read is no Statement v1; `str` of this says why, in a clause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedDigest:
    """Something by its content, such as a subject; the name is a hint for people."""

    name: str
    sha256: str
    """Hexadecimal."""

    def to_plain(self) -> dict[str, Any]:
        """As in-toto writes it: a ResourceDescriptor."""
        return {"name": self.name, "digest": {"sha256": self.sha256}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One predicate about some subjects."""

    subjects: tuple[NamedDigest, ...]
    predicate_type: str
    predicate: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """The statement once and for all: these bytes are what is signed. ValueError without a subject, or for NaN."""
        if not self.subjects:
            raise ValueError("a statement is about something")
        plain = {
            "_type": STATEMENT_TYPE,
            "subject": [subject.to_plain() for subject in self.subjects],
            "predicateType": self.predicate_type,
            "predicate": dict(self.predicate),
        }
        return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")

    @classmethod
    def from_bytes(cls, payload: bytes) -> Statement:
        """The statement that a payload is; NoStatement where it is none."""
        try:
            plain = read_strictly(payload.decode())
        except DoubledName as exc:
            raise NoStatement(f"has the name '{exc}' twice in one object") from exc
        except (ValueError, RecursionError) as exc:
            raise NoStatement(f"is no JSON: {exc}") from exc
        if not isinstance(plain, dict) or plain.get("_type") != STATEMENT_TYPE:
            raise NoStatement(f"is no in-toto Statement v1 ({STATEMENT_TYPE})")
        try:
            subjects = tuple(NamedDigest(name=one.get("name", ""), sha256=one["digest"]["sha256"]) for one in plain["subject"])
            predicate_type, predicate = plain["predicateType"], plain["predicate"]
        except (LookupError, TypeError, AttributeError) as exc:
            raise NoStatement("lacks subjects with a sha256, predicateType or predicate") from exc
        whole = isinstance(predicate_type, str) and isinstance(predicate, dict)
        if not subjects or not whole or not all(isinstance(one.sha256, str) for one in subjects):
            raise NoStatement("lacks subjects with a sha256, predicateType or predicate")
        return cls(subjects=subjects, predicate_type=predicate_type, predicate=predicate)
