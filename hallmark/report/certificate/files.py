"""The files of a certificate in a run's folder: written, signed, read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from hallmark.core.dsse import IN_TOTO, Envelope, NoEnvelope
from hallmark.core.files import write_text
from hallmark.core.in_toto import NamedDigest, NoStatement, Statement
from hallmark.report.certificate.derived import as_simple_result, as_test_result
from hallmark.report.certificate.made import Certified
from hallmark.report.certificate.predicate import PREDICATE_TYPE, PREDICATE_VERSION, Part, Predicate, Reproduction

CERTIFICATE_FILE = "certificate.json"
REPRODUCED_FILE = "certificate.reproduced.json"
"""The other party's certificate, where it is merged in."""
_AS_OTHERS_SAY_IT = {"certificate.test-result.json": as_test_result, "certificate.svr.json": as_simple_result}
DERIVED_FILES = tuple(_AS_OTHERS_SAY_IT)
CERTIFICATE_FILES = (CERTIFICATE_FILE, *DERIVED_FILES, REPRODUCED_FILE)
"""No part of what the run's records hold digests of: they state those digests, and are signed later."""
_MOST_BYTES = 16 * 1024 * 1024
Stated = TypeVar("Stated", bound=Part)


class NoCertificate(ValueError):
    """What was read is no certificate; `str` of this says why, in a clause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate as it was read. Who signed it is not looked at yet."""

    envelope: Envelope
    statement: Statement
    predicate: Predicate

    @property
    def state(self) -> str:
        """Who says that they signed it."""
        return signed_by(self.envelope)


def signed_by(envelope: Envelope) -> str:
    """Whose signatures an envelope has, in a clause; nothing is verified by that."""
    if not envelope.signatures:
        return "UNSIGNED: it tells of changes, and not of who made it"
    return "signed by " + " and by ".join(f"key {key_id[:16] or 'without a name'}" for key_id in envelope.key_ids)


def statements(made: Certified, *, operator: str = "", reproduced: Reproduction | None = None) -> Mapping[str, bytes]:
    """What each file's envelope holds: the payloads, serialised once."""
    predicate = made.predicate.model_copy(update={"operator": operator, "reproduced": reproduced})
    if reproduced:
        accuracy = tuple(one.model_copy(update={"assurance_level": "reproduced"}) for one in predicate.accuracy)
        predicate = predicate.model_copy(update={"accuracy": accuracy})
    own = Statement(subjects=made.subjects, predicate_type=PREDICATE_TYPE, predicate=predicate.to_plain())
    return {CERTIFICATE_FILE: own.to_bytes(), **derived_from(made.subjects, predicate)}


def derived_from(subjects: tuple[NamedDigest, ...], predicate: Predicate) -> Mapping[str, bytes]:
    """What the files beside a certificate say, which follows from what it says."""
    return {name: say(subjects, predicate).to_bytes() for name, say in _AS_OTHERS_SAY_IT.items()}


def write(folder: Path, payloads: Mapping[str, bytes], sign: Callable[[Envelope], Envelope] = lambda unsigned: unsigned) -> None:
    """Write each payload in its envelope."""
    for name, payload in payloads.items():
        write_text(folder / name, sign(Envelope(payload=payload)).to_json())


def read_envelope(path: Path) -> Envelope:
    """NoCertificate where the file holds no envelope of a Statement."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise NoCertificate("is larger than any certificate")
        envelope = Envelope.from_json(path.read_bytes())
    except OSError as exc:
        raise NoCertificate(f"cannot be read: {exc.strerror}") from exc
    except NoEnvelope as exc:
        raise NoCertificate(str(exc)) from exc
    if envelope.payload_type != IN_TOTO:
        raise NoCertificate(f"holds no in-toto Statement but '{envelope.payload_type[:60]}'")
    return envelope


def read_certificate(path: Path) -> Certificate:
    """NoCertificate where the file is none of a run, or of a form that this hallmark does not know."""
    envelope, statement, predicate = read_stated(path, Predicate, PREDICATE_TYPE, version=PREDICATE_VERSION, what="an acceptance")
    return Certificate(envelope=envelope, statement=statement, predicate=predicate)


def read_stated(
    path: Path, form: type[Stated], predicate_type: str, *, version: str, what: str
) -> tuple[Envelope, Statement, Stated]:
    """The envelope of a file, its statement, and the predicate of that in its `form`, which is of that type and `version`.

    NoCertificate where it is of something else than `what` that type is about.
    """
    envelope = read_envelope(path)
    try:
        statement = Statement.from_bytes(envelope.payload)
        if statement.predicate_type != predicate_type:
            raise NoCertificate(f"states something else than {what}: {statement.predicate_type[:80]}")
        return envelope, statement, form.model_validate(dict(statement.predicate), strict=False)
    except NoStatement as exc:
        raise NoCertificate(f"its payload {exc}") from exc
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise NoCertificate(f"its predicate is none of version {version}: {where}: {first['msg']}") from exc


def add_signature(folder: Path, sign: Callable[[Envelope], Envelope]) -> None:
    """Sign the payloads that are there, each as the bytes that it is."""
    for name in [CERTIFICATE_FILE, *(name for name in DERIVED_FILES if (folder / name).exists())]:
        write_text(folder / name, sign(read_envelope(folder / name)).to_json())


def state_in(folder: Path) -> str:
    """How the certificate of a run's folder is signed, in a clause; empty where there is none."""
    path = folder / CERTIFICATE_FILE
    if not path.is_file():
        return ""
    try:
        return signed_by(read_envelope(path))
    except NoCertificate as exc:
        return f"no certificate: it {exc}"
