"""Identities in the place of keys (Sigstore): who an identity provider says it is signs by a key that lives for minutes.

An identity is named `sigstore:?identity=NAME&issuer=URL`, and where it is not Sigstore's own instance `&trust=FILE`, its
`trusted_root.json`. To sign takes the network: the provider, the authority that certifies the key, the log that holds the
signature. To verify takes none: a signature's extension holds all that was said there, and what vouches for that comes with the
library, or is that file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlparse

from hallmark.core.dsse import Signature
from hallmark.core.errors import InfrastructureError, UsageError

SCHEME = "sigstore:"
EXTENSION = "application/vnd.dev.sigstore.verificationmaterial;version=0.3"
"""What DSSE calls the extension of a signature that holds Sigstore's certificate and log entry."""
_HINT = "an identity is named 'sigstore:?identity=NAME&issuer=URL'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom a signature must be by."""

    name: str
    """As the certificate has it: a mail address, or the URL of a workflow."""
    issuer: str
    """The URL of the provider that vouches for the name."""
    trust: Path | None = None
    """The `trusted_root.json` of another instance of Sigstore than its own."""
    ambient: bool = True
    """Whether the machine has the provider's token, as a CI job has; else a browser asks a person."""

    @classmethod
    def of(cls, uri: str) -> Self:
        """UsageError where it names none, or the library is not there."""
        said = dict(parse_qsl(urlparse(uri).query))
        if unknown := sorted(said.keys() - {"identity", "issuer", "trust", "ambient"}):
            raise UsageError(f"'{unknown[0]}' says nothing of an identity", where=uri, hint=_HINT)
        if not said.get("identity") or not said.get("issuer"):
            raise UsageError("does not say whose identity, and who vouches for it", where=uri, hint=_HINT)
        _require_library(uri)
        trust = Path(said["trust"]) if said.get("trust") else None
        return cls(name=said["identity"], issuer=said["issuer"], trust=trust, ambient=said.get("ambient") != "false")

    @property
    def key(self) -> Any:
        """What securesystemslib has of it; no key at all, but it has an id."""
        from securesystemslib.signer import SigstoreSigner

        return SigstoreSigner.import_(self.name, self.issuer, self.ambient)[1]

    def __str__(self) -> str:
        return f"{self.name} by {self.issuer}"

    def judge(self) -> Callable[[Signature, bytes], bool]:
        """Tells whether it made a signature of exactly those bytes: by its certificate, while that was valid, as the log has it.

        UsageError where nothing can vouch for that.
        """
        from sigstore.errors import Error
        from sigstore.models import Bundle
        from sigstore.verify.policy import Identity as Policy

        verifier, policy = self._verifier(), Policy(identity=self.name, issuer=self.issuer)

        def made(signature: Signature, content: bytes) -> bool:
            if not signature.extension or signature.extension.get("kind") != EXTENSION:
                return False
            try:
                verifier.verify_artifact(content, Bundle.from_json(_bundle(signature, content)), policy)
            except (Error, ValueError, TypeError, KeyError):
                return False
            return True

        return made

    def _verifier(self) -> Any:
        """Asks nobody: what vouches for certificates and log came with the library, or is the file."""
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier

        if self.trust is None:
            logging.getLogger("sigstore").setLevel(logging.ERROR)  # it warns that it does what is asked: to fetch nothing
            return Verifier.production(offline=True)
        try:
            return Verifier(trusted_root=TrustedRoot.from_file(str(self.trust)))
        except Exception as exc:  # the library has no one kind for what such a file may hold
            what = f"is no trusted_root.json: {type(exc).__name__}: {str(exc).partition(chr(10))[0]}"
            raise UsageError(what, where=str(self.trust), hint="take the one of that instance of Sigstore") from exc


class IdentitySigner:
    """Signs as who the provider says it is."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def sign(self, content: bytes) -> Signature:
        """UsageError where there is no token; InfrastructureError where nobody certifies the key, or no log takes it."""
        from securesystemslib.signer import SigstoreSigner

        if self._identity.trust:
            hint = "sign without `trust`, or by the tools of that instance"
            raise UsageError("signs by Sigstore's own instance alone", where=str(self._identity.trust), hint=hint)
        uri = SCHEME if self._identity.ambient else f"{SCHEME}?ambient=false"
        try:
            made = SigstoreSigner.from_priv_key_uri(uri, self._identity.key).sign(content)
        except (ValueError, RuntimeError) as exc:
            hint = "run it where the provider's token is (a CI job), or add &ambient=false and log in"
            raise UsageError(f"nobody vouches here for {self._identity}: {_line(exc)}", where=SCHEME, hint=hint) from exc
        except Exception as exc:  # of the network, and of each service there
            raise InfrastructureError(f"no signature by {self._identity}: {_line(exc)}", where=SCHEME) from exc
        material = made.unrecognized_fields["bundle"]["verificationMaterial"]
        return Signature(
            key_id=made.keyid, value=base64.b64decode(made.signature), extension={"kind": EXTENSION, "ext": material}
        )


def _bundle(signature: Signature, content: bytes) -> str:
    """What Sigstore keeps in one file, put together again: what was certified and logged, and of which signature of what."""
    assert signature.extension is not None
    digest = {"algorithm": "SHA2_256", "digest": _text(hashlib.sha256(content).digest())}
    return json.dumps(
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": signature.extension.get("ext"),
            "messageSignature": {"messageDigest": digest, "signature": _text(signature.value)},
        }
    )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _line(exc: Exception) -> str:
    return f"{type(exc).__name__}: {str(exc).partition(chr(10))[0]}"


def _require_library(uri: str) -> None:
    try:
        import sigstore.models
        import sigstore.verify  # noqa: F401
    except ImportError as exc:
        raise UsageError("identities need more of hallmark", where=uri, hint="pip install 'pytest-hallmark[sigstore]'") from exc
