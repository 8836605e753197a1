"""Identities in the place of keys: what an instance of Sigstore that the tests have vouches for, and what it does not."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.dsse import Envelope, Signature
from hallmark.report.certificate.files import CERTIFICATE_FILE, DERIVED_FILES, read_envelope
from hallmark.signing.identities import EXTENSION
from selftests.certificate.conftest import QUIET, Hallmark, Key

ISSUER, ME = "https://id.example.org", "release@example.org"
NAMED = f"sigstore:?identity={ME}&issuer={ISSUER}"
pytestmark = pytest.mark.filterwarnings(QUIET)


@pytest.fixture
def own(tmp_path: Path) -> Any:
    """An instance of Sigstore, whose trusted_root.json lies there."""
    pytest.importorskip("sigstore", reason="not tested: no sigstore (pip install 'pytest-hallmark[sigstore]')")
    from selftests.certificate.own_sigstore import OwnSigstore

    made = OwnSigstore()
    (tmp_path / "trusted_root.json").write_text(json.dumps(made.trusted_root()), encoding="utf-8")
    return made


@pytest.fixture
def trusted(tmp_path: Path, own: Any) -> str:
    return f"{NAMED}&trust={tmp_path / 'trusted_root.json'}"


@pytest.fixture
def signed(folder: Path, own: Any, trusted: str, hallmark: Hallmark) -> Path:
    """A folder whose certificate and derived statements that identity signed."""
    from hallmark.signing.identities import Identity

    assert hallmark("certify", folder).code == 0
    key_id = Identity.of(trusted).key.keyid
    for name in (CERTIFICATE_FILE, *DERIVED_FILES):
        rewritten(folder / name, lambda envelope: signed_by(own, envelope, key_id))
    return folder


def signed_by(own: Any, envelope: Envelope, key_id: str, **said: Any) -> Envelope:
    bundle = own.bundle(envelope.signed_bytes, **{"identity": ME, "issuer": ISSUER, **said})
    value = base64.b64decode(bundle["messageSignature"]["signature"])
    extension = {"kind": EXTENSION, "ext": bundle["verificationMaterial"]}
    return envelope.with_signature(Signature(key_id=key_id, value=value, extension=extension))


def rewritten(path: Path, change: Callable[[Envelope], Envelope]) -> None:
    path.write_text(change(read_envelope(path)).to_json(), encoding="utf-8")


def test_what_an_identity_signed_is_verified_without_a_network(signed: Path, trusted: str, hallmark: Hallmark) -> None:
    said = hallmark("verify", signed, "--key", trusted)
    assert said.code == 0, said
    assert said.has(f"{CERTIFICATE_FILE}: signed by {ME} by {ISSUER}")
    assert hallmark("verify", signed / CERTIFICATE_FILE, "--key", trusted).code == 0


def test_it_is_somebody_elses_to_whoever_does_not_trust_it(signed: Path, hallmark: Hallmark, ours: Key) -> None:
    said = hallmark("verify", signed)
    assert (said.code, said.has("which you were not told to trust")) == (0, True)
    said = hallmark("verify", signed, "--key", ours.public)
    assert (said.code, said.has("is not signed by")) == (5, True)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        (NAMED.replace(ME, "other@example.org"), "is not signed by other@example.org"),
        (NAMED.replace(ISSUER, "https://other.example.org"), "is not signed by "),
        (NAMED, "that is not of this payload"),
    ],
    ids=["other person", "other provider", "other instance"],
)
def test_another_identity_did_not_sign(uri: str, told: str, signed: Path, tmp_path: Path, hallmark: Hallmark) -> None:
    trust = "" if uri == NAMED else f"&trust={tmp_path / 'trusted_root.json'}"
    said = hallmark("verify", signed, "--key", uri + trust)
    assert (said.code, said.has(told)) == (5, True), said


@pytest.mark.parametrize(
    "change",
    [
        lambda own, one, whole: replace(one, value=b"\x30" + one.value[1:-1] + bytes([one.value[-1] ^ 1])),
        lambda own, one, whole: replace(one, extension=None),
        lambda own, one, whole: replace(one, extension={"kind": EXTENSION}),
        lambda own, one, whole: replace(one, extension={**one.extension, "kind": "another"}),
        lambda own, one, whole: replace(one, extension={"kind": EXTENSION, "ext": {}}),
        lambda own, one, whole: replace(one, extension=_of_other_payload(own, one, whole).extension),
        lambda own, one, whole: _of_other_payload(own, one, whole),
        lambda own, one, whole: _late(own, one, whole),
    ],
    ids=[
        "value",
        "none",
        "empty",
        "kind",
        "no certificate",
        "of another payload",
        "another payload",
        "after its certificate ended",
    ],
)
def test_what_is_altered_of_it_is_named(
    change: Callable[[Any, Signature, Envelope], Signature], signed: Path, own: Any, trusted: str, hallmark: Hallmark
) -> None:
    rewritten(
        signed / CERTIFICATE_FILE,
        lambda envelope: replace(envelope, signatures=(change(own, envelope.signatures[0], envelope),)),
    )
    said = hallmark("verify", signed, "--key", trusted)
    assert (said.code, said.has("that is not of this payload: one of the two was changed")) == (5, True), said


def _of_other_payload(own: Any, one: Signature, whole: Envelope) -> Signature:
    return signed_by(own, replace(whole, payload=b"{}", signatures=()), one.key_id).signatures[0]


def _late(own: Any, one: Signature, whole: Envelope) -> Signature:
    return signed_by(own, replace(whole, signatures=()), one.key_id, signed_at=own.now + timedelta(hours=1)).signatures[0]


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("sigstore:", "does not say whose identity"),
        (f"sigstore:?identity={ME}", "does not say whose identity"),
        (f"{NAMED}&who=me", "'who' says nothing of an identity"),
    ],
)
@pytest.mark.parametrize("command", ["certify", "verify"])
def test_what_names_no_identity_is_one_line(command: str, uri: str, why: str, folder: Path, hallmark: Hallmark) -> None:
    said = hallmark(command, folder, "--key", uri)
    assert (said.code, why in said.error, len(said.error.splitlines())) == (2, True, 1), said


@pytest.mark.parametrize("command", ["certify", "verify"])
def test_without_the_extra_it_says_what_to_install(
    command: str, folder: Path, hallmark: Hallmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sigstore", None)
    monkeypatch.setitem(sys.modules, "sigstore.models", None)
    said = hallmark(command, folder, "--key", NAMED)
    assert (said.code, len(said.error.splitlines())) == (2, 1)
    assert "identities need more of hallmark - pip install 'pytest-hallmark[sigstore]'" in said.error
    assert not (folder / CERTIFICATE_FILE).exists()


def test_who_has_no_token_signs_nothing(folder: Path, own: Any, hallmark: Hallmark, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "BUILDKITE", "SIGSTORE_ID_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    said = hallmark("certify", folder, "--key", NAMED)
    assert (said.code, f"nobody vouches here for {ME} by {ISSUER}" in said.error) == (2, True), said


def test_what_is_no_trusted_root_is_one_line(signed: Path, trusted: str, tmp_path: Path, hallmark: Hallmark) -> None:
    (tmp_path / "trusted_root.json").write_text("{}", encoding="utf-8")
    said = hallmark("verify", signed, "--key", trusted)
    assert (said.code, "is no trusted_root.json" in said.error, len(said.error.splitlines())) == (2, True, 1), said
