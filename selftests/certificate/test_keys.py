"""`hallmark keygen`, and keys: where they may lie, what they are called, and that openssl agrees with each signature."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hallmark.core.dsse import Envelope
from hallmark.core.errors import UsageError
from hallmark.signing.keys import read_public_key, read_signing_key
from selftests.certificate.conftest import Hallmark, Key

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="not tested: no openssl")


def openssl(*words: str, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(OPENSSL), *words], input=content, capture_output=True, check=False)


def test_a_key_is_made_for_its_owner_alone(hallmark: Hallmark, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        said = hallmark("keygen", tmp_path / "new" / "release.key")
    finally:
        os.umask(before)
    private, public = tmp_path / "new" / "release.key", tmp_path / "new" / "release.key.pub"
    assert (said.code, private.stat().st_mode & 0o777, public.stat().st_mode & 0o777) == (0, 0o600, 0o644)
    assert private.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert said.lines[-1] == f"key id:      {read_public_key(public).key_id}"
    assert read_signing_key(private).key_id == read_public_key(public).key_id


@pytest.mark.parametrize("taken", ["release.key", "release.key.pub"])
def test_no_key_is_ever_overwritten(taken: str, hallmark: Hallmark, tmp_path: Path) -> None:
    (tmp_path / taken).write_text("somebody's")
    said = hallmark("keygen", tmp_path / "release.key")
    assert (said.code, "is there already" in said.error) == (2, True)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(taken, "somebody's")]


@pytest.mark.parametrize("place", ["run/k", "run/evals/k", "run/new/k", "k"])
def test_no_key_lies_in_the_folder_of_a_run_or_of_runs(place: str, folder: Path, hallmark: Hallmark) -> None:
    said = hallmark("keygen", folder.parent / place)
    assert (said.code, "in the folder of a run" in said.error) == (2, True)
    assert not (folder.parent / place).exists()


def test_no_key_in_the_folder_of_a_run_signs(folder: Path, ours: Key, hallmark: Hallmark) -> None:
    shutil.copy(ours.private, folder.parent / "k")
    said = hallmark("certify", folder, "--key", folder.parent / "k")
    assert (said.code, "is a private key in the folder of a run" in said.error) == (2, True)


@needs_openssl
def test_a_key_is_called_by_the_digest_of_its_public_half(ours: Key) -> None:
    der = openssl("pkey", "-pubin", "-in", ours.public, "-outform", "DER").stdout
    assert ours.id == hashlib.sha256(der).hexdigest()
    assert openssl("pkey", "-in", ours.private, "-pubout").stdout == Path(ours.public).read_bytes()


@needs_openssl
def test_openssl_agrees_with_a_signature_and_with_no_other(ours: Key, tmp_path: Path) -> None:
    envelope = read_signing_key(Path(ours.private)).sign(Envelope(payload=b"what is said"))
    (tmp_path / "signature").write_bytes(envelope.signatures[0].value)
    for content, agrees in ((envelope.signed_bytes, True), (envelope.signed_bytes + b" ", False), (envelope.payload, False)):
        (tmp_path / "signed").write_bytes(content)
        words = ["pkeyutl", "-verify", "-pubin", "-inkey", ours.public, "-rawin", "-in", str(tmp_path / "signed")]
        assert (openssl(*words, "-sigfile", str(tmp_path / "signature")).returncode == 0) is agrees


@needs_openssl
@pytest.mark.parametrize("kind", [["ed25519"], ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]], ids=["ed25519", "P-256"])
def test_a_key_that_openssl_made_signs(kind: list[str], tmp_path: Path) -> None:
    private, public = tmp_path / "k", tmp_path / "k.pub"
    private.write_bytes(openssl("genpkey", "-algorithm", *kind).stdout)
    public.write_bytes(openssl("pkey", "-in", str(private), "-pubout").stdout)
    envelope = read_signing_key(private).sign(Envelope(payload=b"what is said"))
    assert read_public_key(public).signed(envelope)


def test_a_signature_is_of_its_payload_its_type_and_its_key(ours: Key, stranger: Key) -> None:
    envelope = read_signing_key(Path(ours.private)).sign(Envelope(payload=b"what is said"))
    key = read_public_key(Path(ours.public))
    assert key.signed(envelope)
    assert not key.signed(Envelope(payload=b"what is sa!d", signatures=envelope.signatures))
    assert not key.signed(Envelope(payload=b"what is said", payload_type="x", signatures=envelope.signatures))
    assert not read_public_key(Path(stranger.public)).signed(envelope)


@needs_openssl
def test_what_is_no_key_is_one_line(ours: Key, tmp_path: Path) -> None:
    (encrypted := tmp_path / "encrypted").write_bytes(
        openssl("pkey", "-in", ours.private, "-aes256", "-passout", "pass:secret").stdout
    )
    (none := tmp_path / "none").write_text("nothing")
    for path, why in (
        (encrypted, "is encrypted"),
        (none, "is no private key"),
        (Path(ours.public), "is no private key"),
        (tmp_path / "gone", "cannot be read"),
    ):
        with pytest.raises(UsageError, match=why):
            read_signing_key(path)
    for path in (none, Path(ours.private)):
        with pytest.raises(UsageError, match="is no public key"):
            read_public_key(path)


def test_without_the_library_it_says_what_to_install(
    folder: Path, hallmark: Hallmark, monkeypatch: pytest.MonkeyPatch, ours: Key
) -> None:
    monkeypatch.setitem(sys.modules, "securesystemslib.signer", None)
    for words in (["keygen", folder.parent / "k"], ["certify", folder, "--key", ours.private], ["verify", folder, "--key", "k"]):
        said = hallmark(*words)
        assert (said.code, "pip install 'pytest-hallmark[signing]'" in said.error) == (2, True)
    assert hallmark("certify", folder).code == 0
    assert hallmark("verify", folder).code == 0
