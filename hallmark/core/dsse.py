"""DSSE, the envelope of in-toto: a payload as the bytes that it is, and signatures of exactly these. Knows no cryptography.

Signed is not the payload itself but its pre-authentication encoding, which also says what kind of payload it is:
https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from hallmark.core.strict_json import DoubledName, read_strictly

IN_TOTO = "application/vnd.in-toto+json"
"""The kind of payload that is an in-toto Statement."""


class NoEnvelope(ValueError):
    """What was read is no DSSE envelope; `str` of this says why, in a clause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What one key makes of the payload."""

    key_id: str
    """Says which key to try; nothing vouches for it."""
    value: bytes
    extension: Mapping[str, Any] | None = None
    """`kind` and `ext`, as DSSE 1.1 has them: what besides a key tells whose signature it is."""

    def to_plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"keyid": self.key_id, "sig": _encoded(self.value)}
        return plain if self.extension is None else plain | {"extension": dict(self.extension)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        extension = plain.get("extension")
        return cls(
            key_id=str(plain.get("keyid", "")),
            value=_decoded(plain["sig"]),
            extension=extension if isinstance(extension, dict) else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A payload, and who signed it."""

    payload: bytes
    payload_type: str = IN_TOTO
    signatures: tuple[Signature, ...] = ()

    @property
    def signed_bytes(self) -> bytes:
        """The pre-authentication encoding, of which signatures are made."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Of all signatures, in their order."""
        return tuple(signature.key_id for signature in self.signatures)

    def with_signature(self, signature: Signature) -> Envelope:
        """The same with one more, or with another one of that key."""
        others = tuple(one for one in self.signatures if one.key_id != signature.key_id)
        return replace(self, signatures=(*others, signature))

    def to_json(self) -> str:
        signatures = [one.to_plain() for one in self.signatures]
        plain = {"payloadType": self.payload_type, "payload": _encoded(self.payload), "signatures": signatures}
        return json.dumps(plain, indent=2) + "\n"

    @classmethod
    def from_json(cls, content: bytes) -> Envelope:
        """The envelope that a file holds; NoEnvelope where it holds none."""
        plain = _object(content)
        try:
            signatures = tuple(map(Signature.of, plain["signatures"]))
            payload, payload_type = _decoded(plain["payload"]), str(plain["payloadType"])
        except (LookupError, TypeError, AttributeError) as exc:
            raise NoEnvelope("lacks payload, payloadType or signatures, or has others than DSSE's") from exc
        return cls(payload=payload, payload_type=payload_type, signatures=signatures)


def _object(content: bytes) -> dict[str, Any]:
    try:
        plain = read_strictly(content.decode())
    except DoubledName as exc:
        raise NoEnvelope(f"has the name '{exc}' twice in one object") from exc
    except (ValueError, RecursionError) as exc:
        raise NoEnvelope(f"is no JSON: {exc}") from exc
    if not isinstance(plain, dict):
        raise NoEnvelope("is no JSON object")
    return plain


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _decoded(text: object) -> bytes:
    """Standard base64, or the one for URLs: DSSE allows either. Nothing else may stand between."""
    if not isinstance(text, str):
        raise NoEnvelope("has something else than text where DSSE has base64")
    try:
        return base64.b64decode(text.translate(_FOR_URLS), validate=True)
    except ValueError as exc:
        raise NoEnvelope(f"has no base64 where DSSE has it: {exc}") from exc


_FOR_URLS = str.maketrans("-_", "+/")
