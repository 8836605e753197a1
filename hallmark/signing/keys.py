"""Private keys that sign an envelope, and public keys that tell whether one was signed by theirs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hallmark.core.dsse import Envelope, Signature
from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.core.records import MANIFEST_FILE, RECORDS_FILE
from hallmark.signing.devices import SCHEME, DeviceSigner, public_pem
from hallmark.signing.identities import SCHEME as IDENTITIES
from hallmark.signing.identities import Identity, IdentitySigner

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

KEY_VARIABLE = "HALLMARK_SIGNING_KEY"
"""Names the key that signs at the end of a run, or of a matrix: a file, one in a device, or an identity."""
PUBLIC_ENDING = ".pub"
_MARKS = (RECORDS_FILE, MANIFEST_FILE, "matrix.json", "merged.json")
"""What the folder of a run, or of a matrix, is known by."""
_HINT = "`hallmark keygen FILE` makes one"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private key. Its own text shows nowhere."""

    key_id: str
    """SHA-256 of the public key (SubjectPublicKeyInfo, DER), hexadecimal."""
    signer: Any
    """What securesystemslib has of it."""

    def sign(self, envelope: Envelope) -> Envelope:
        """The envelope with this key's signature too."""
        made = self.signer.sign(envelope.signed_bytes)
        if not isinstance(made, Signature):
            made = Signature(key_id=self.key_id, value=bytes.fromhex(made.signature))
        return envelope.with_signature(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A key, or an identity, that somebody trusts."""

    key_id: str
    source: str
    """The file that it was read from, or whose identity it is."""
    made: Callable[[Signature, bytes], bool]
    """Whether a signature is by it, of exactly those bytes."""

    def signed(self, envelope: Envelope) -> bool:
        """Whether one of the envelope's signatures is by this key, over exactly this payload."""
        # Whatever key id it states: nothing vouches for that.
        return any(self.made(signature, envelope.signed_bytes) for signature in envelope.signatures)

    def __str__(self) -> str:
        return f"{self.source} (key {self.key_id[:16]})"


def _made_by(key: SSlibKey, signature: Signature, content: bytes) -> bool:
    from securesystemslib.exceptions import UnverifiedSignatureError
    from securesystemslib.signer import Signature as Stated

    try:
        key.verify_signature(Stated(key.keyid, signature.value.hex()), content)
    except (UnverifiedSignatureError, ValueError):
        return False
    return True


def make_key(path: Path) -> str:
    """A new ed25519 key in `path`, its public half beside it in `path.pub`; its id. UsageError where it may not lie there."""
    _require_library()
    from securesystemslib.signer import CryptoSigner

    public_path = path.with_name(path.name + PUBLIC_ENDING)
    if folder := run_folder_around(path):
        raise UsageError(
            f"a private key in the folder of a run ({folder}) goes wherever that goes", where=str(path), hint="choose another"
        )
    for taken in (path, public_path):
        if taken.exists() or taken.is_symlink():
            raise UsageError("is there already, and no key is ever overwritten", where=str(taken), hint="choose another name")
    signer = CryptoSigner.generate_ed25519()
    private, public = bytes(signer.private_bytes), _pem(signer.public_key)
    try:
        _write_new(path, private, mode=0o600)
        _write_new(public_path, public, mode=0o644)
    except OSError as exc:
        raise InfrastructureError(f"cannot be written: {exc.strerror}", where=str(path)) from exc
    return read_public_key(public_path).key_id


def write_device_key(path: Path, uri: str) -> str:
    """The public half of a key in a device, in `path.pub`; its id."""
    _require_library()
    public_path = path.with_name(path.name + PUBLIC_ENDING)
    content = public_pem(uri)
    if public_path.exists() or public_path.is_symlink():
        raise UsageError("is there already, and no key is ever overwritten", where=str(public_path), hint="choose another name")
    try:
        _write_new(public_path, content, mode=0o644)
    except OSError as exc:
        raise InfrastructureError(f"cannot be written: {exc.strerror}", where=str(public_path)) from exc
    return read_public_key(public_path).key_id


def read_signing_key(source: str | Path) -> SigningKey:
    """A private key: in a PEM file, or in a device (`hsm:...`); or an identity (`sigstore:...`).

    UsageError where it is none, or lies in a run's folder.
    """
    if str(source).startswith(IDENTITIES):
        _require_library()
        identity = Identity.of(str(source))
        return SigningKey(key_id=identity.key.keyid, signer=IdentitySigner(identity))
    if str(source).startswith(SCHEME):
        _require_library()
        return _device_key(str(source))
    path = Path(source)
    if folder := run_folder_around(path):
        raise UsageError(
            f"is a private key in the folder of a run ({folder})", where=str(path), hint="move it away, make another"
        )
    content = _read(path)
    _require_library()
    return _file_key(path, content)


def named_key(environ: Mapping[str, str]) -> SigningKey | None:
    """The key that the environment names; None where it names none, UsageError for one that cannot sign."""
    named = environ.get(KEY_VARIABLE, "")
    return read_signing_key(named) if named else None


def _device_key(uri: str) -> SigningKey:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    public: Any = load_pem_public_key(public_pem(uri))
    key_id = _key_id(public)
    return SigningKey(key_id=key_id, signer=DeviceSigner(uri, SSlibKey.from_crypto(public, key_id)))


def _file_key(path: Path, content: bytes) -> SigningKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner, SSlibKey

    try:
        private: Any = load_pem_private_key(content, None)
        key_id = _key_id(private.public_key())
        signer = CryptoSigner(private, SSlibKey.from_crypto(private.public_key(), key_id))
    except TypeError as exc:
        raise UsageError("is encrypted, and nobody is asked for its password here", where=str(path), hint=_HINT) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise UsageError("is no private key that can sign (PEM, such as ed25519)", where=str(path), hint=_HINT) from exc
    return SigningKey(key_id=key_id, signer=signer)


def read_public_key(path: Path) -> PublicKey:
    """A public key from a PEM file; UsageError where it is none."""
    _require_library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    try:
        public: Any = load_pem_public_key(_read(path))
        key_id = _key_id(public)
        key = SSlibKey.from_crypto(public, key_id)
    except (ValueError, UnsupportedAlgorithm) as exc:
        hint = f"name the file that ends with {PUBLIC_ENDING}"
        raise UsageError("is no public key (PEM)", where=str(path), hint=hint) from exc
    return PublicKey(key_id=key_id, source=str(path), made=partial(_made_by, key))


def read_trusted(source: str | Path) -> PublicKey:
    """Who must have signed: a public key's file, or an identity (`sigstore:...`). UsageError where it is neither."""
    if not str(source).startswith(IDENTITIES):
        return read_public_key(Path(source))
    _require_library()
    identity = Identity.of(str(source))
    return PublicKey(key_id=identity.key.keyid, source=str(identity), made=identity.judge())


def run_folder_around(path: Path) -> Path | None:
    """The folder of a run that a file lies in or would lie in, or that runs lie in beside it; None where there is none."""
    nearest, *others = path.absolute().parents
    if any(nearest.glob(f"*/{RECORDS_FILE}")):
        return nearest
    return next((one for one in (nearest, *others) if any((one / mark).is_file() for mark in _MARKS)), None)


def _require_library() -> None:
    try:
        import securesystemslib.signer  # noqa: F401
    except ImportError as exc:
        raise UsageError("signatures need more of hallmark", hint="pip install 'pytest-hallmark[signing]'") from exc


def _key_id(public: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _pem(public: Any) -> bytes:
    """Of what securesystemslib has of a public ed25519 key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public.keyval["public"]))
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise UsageError(f"cannot be read: {exc.strerror}", where=str(path), hint=_HINT) from exc


def _write_new(path: Path, content: bytes, *, mode: int) -> None:
    """A file that was not there before; what it may be read by is so from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(file, "wb") as stream:
        stream.write(content)
