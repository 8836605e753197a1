"""An instance of Sigstore as small as can be: an authority that certifies keys for minutes, and a log of one entry.

All of it is real but for its size: what it signs is verified by sigstore's own library against its own `trusted_root.json`.
Written from RFC 6962 (the proof that a certificate was logged), the log's checkpoint format and sigstore's protobuf specs.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_LOG = "log.example.org"
_VALID = timedelta(minutes=10)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_der(key)).digest()


def _signed(key: ec.EllipticCurvePrivateKey, content: bytes) -> bytes:
    return key.sign(content, ec.ECDSA(hashes.SHA256()))


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _octets(content: bytes) -> bytes:
    """As DER has a string of bytes that is shorter than 64 KiB."""
    size = len(content)
    head = bytes([size]) if size < 128 else bytes([0x81, size]) if size < 256 else bytes([0x82, *size.to_bytes(2, "big")])
    return b"\x04" + head + content


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass(frozen=True, kw_only=True)
class OwnSigstore:
    """Its keys, and when it is."""

    root: ec.EllipticCurvePrivateKey = field(default_factory=_new_key)
    certificates: ec.EllipticCurvePrivateKey = field(default_factory=_new_key)
    """Of the log of certificates."""
    log: ec.EllipticCurvePrivateKey = field(default_factory=_new_key)
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def bundle(self, content: bytes, *, identity: str, issuer: str, signed_at: datetime | None = None) -> dict[str, Any]:
        """What a signer gets who is that identity."""
        key = _new_key()
        leaf = self._certificate(key, identity, issuer)
        digest, signature = hashlib.sha256(content).digest(), _signed(key, content)
        pem = leaf.public_bytes(Encoding.PEM)
        body = {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
                "signature": {"content": _text(signature), "publicKey": {"content": _text(pem)}},
            },
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": _text(leaf.public_bytes(Encoding.DER))},
                "tlogEntries": [self._entry(json.dumps(body, separators=(",", ":")).encode(), signed_at or self.now)],
            },
            "messageSignature": {
                "messageDigest": {"algorithm": "SHA2_256", "digest": _text(digest)},
                "signature": _text(signature),
            },
        }

    def trusted_root(self) -> dict[str, Any]:
        """What vouches for all of it."""
        since = {"start": (self.now - timedelta(days=1)).isoformat().replace("+00:00", "Z")}

        def of_log(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            public = {"rawBytes": _text(_der(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since}
            log_id = {"keyId": _text(_id(key))}
            return {"baseUrl": f"https://{_LOG}", "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": log_id}

        authority = {
            "subject": {"organization": "own", "commonName": "own"},
            "uri": "https://ca.example.org",
            "certChain": {"certificates": [{"rawBytes": _text(self._root_certificate().public_bytes(Encoding.DER))}]},
            "validFor": since,
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [of_log(self.log)],
            "certificateAuthorities": [authority],
            "ctlogs": [of_log(self.certificates)],
            "timestampAuthorities": [],
        }

    def _root_certificate(self) -> x509.Certificate:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        return (
            self._begun(_name("own"), _name("own"), self.root, timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.root.public_key()), critical=False)
            .sign(self.root, hashes.SHA256())
        )

    def _begun(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, valid: timedelta
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - valid)
            .not_valid_after(self.now + valid)
        )

    def _certificate(self, key: ec.EllipticCurvePrivateKey, identity: str, issuer: str) -> x509.Certificate:
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        asked = (
            self._begun(x509.Name([]), _name("own"), key, _VALID)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(identity)]), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root.public_key()), critical=False)
            .add_extension(x509.UnrecognizedExtension(_ISSUER, issuer.encode()), critical=False)
        )
        before = asked.sign(self.root, hashes.SHA256())
        proof = x509.UnrecognizedExtension(_SCTS, _octets(self._logged(before.tbs_certificate_bytes)))
        return asked.add_extension(proof, critical=False).sign(self.root, hashes.SHA256())

    def _logged(self, certificate: bytes) -> bytes:
        """That a certificate was logged, as it stands in there (RFC 6962, 3.2 and 3.3)."""
        at = int(self.now.timestamp() * 1000).to_bytes(8, "big")
        entry = b"\x00\x01" + _id(self.root) + len(certificate).to_bytes(3, "big") + certificate
        signature = _signed(self.certificates, b"\x00\x00" + at + entry + b"\x00\x00")
        stated = b"\x04\x03" + len(signature).to_bytes(2, "big") + signature
        one = b"\x00" + _id(self.certificates) + at + b"\x00\x00" + stated
        return (len(one) + 2).to_bytes(2, "big") + len(one).to_bytes(2, "big") + one

    def _entry(self, body: bytes, at: datetime) -> dict[str, Any]:
        """The only one of its log: the root of that tree is its own digest."""
        root = hashlib.sha256(b"\x00" + body).digest()
        note = f"{_LOG}\n1\n{_text(root)}\n"
        checkpoint = f"{note}\n\u2014 {_LOG} {_text(_id(self.log)[:4] + _signed(self.log, note.encode()))}\n"
        seconds = int(at.timestamp())
        promised = {"body": _text(body), "integratedTime": seconds, "logID": _id(self.log).hex(), "logIndex": 0}
        promise = _signed(self.log, json.dumps(promised, separators=(",", ":")).encode())
        return {
            "logIndex": "0",
            "logId": {"keyId": _text(_id(self.log))},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.1"},
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": _text(promise)},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": _text(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": checkpoint},
            },
            "canonicalizedBody": _text(body),
        }
