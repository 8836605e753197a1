"""Keys that never leave a device (PKCS#11): a smart card, a hardware security module, a token in software.

A key is named as securesystemslib does: `hsm:`, `hsm:2`, `hsm:2?label=TOKEN`. The variable PYKCS11LIB says which library speaks
to the device, and HALLMARK_SIGNING_PIN its PIN.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qsl, urlparse

from hallmark.core.errors import UsageError

SCHEME = "hsm:"
PIN_VARIABLE = "HALLMARK_SIGNING_PIN"
LIBRARY_VARIABLE = "PYKCS11LIB"
_HINT = f"{LIBRARY_VARIABLE} names the device's library, {PIN_VARIABLE} its PIN; a key is named hsm:NUMBER?label=TOKEN"


def public_pem(uri: str) -> bytes:
    """The public half of a key (an elliptic curve's) in a device; UsageError where it cannot be had."""
    from securesystemslib.exceptions import UnsupportedLibraryError
    from securesystemslib.signer import HSMSigner

    parts = urlparse(uri)
    try:
        number = int(parts.path) if parts.path else None
        _, public = HSMSigner.import_(number, dict(parse_qsl(parts.query)).get("label"), _pin)
    except UnsupportedLibraryError as exc:
        raise UsageError(
            "keys in devices need more of hallmark", where=uri, hint="pip install 'pytest-hallmark[pkcs11]'"
        ) from exc
    except UsageError:
        raise
    except Exception as exc:  # each library of a device has errors of its own
        raise _refused(uri, exc) from exc
    return str(public.keyval["public"]).encode()


class DeviceSigner:
    """Signs by the key in the device."""

    def __init__(self, uri: str, public: Any) -> None:
        """`public`: what securesystemslib has of its public half."""
        from securesystemslib.signer import HSMSigner

        self._uri = uri
        self._signer = HSMSigner.from_priv_key_uri(uri, public, _pin)

    def sign(self, content: bytes) -> Any:
        """UsageError where the device refuses."""
        try:
            return self._signer.sign(content)
        except UsageError:
            raise
        except Exception as exc:
            raise _refused(self._uri, exc) from exc


def _pin(_asked: str) -> str:
    pin = os.environ.get(PIN_VARIABLE, "")
    if not pin:
        raise UsageError("the device asks for a PIN", where=PIN_VARIABLE, hint="set it in the environment")
    return pin


def _refused(uri: str, exc: Exception) -> UsageError:
    why = f"{type(exc).__name__}{f': {exc}' if str(exc) else ''}"
    return UsageError(f"no key of a device that can sign: {why}", where=uri, hint=_HINT)
