"""Signed bearer tokens: JWT by HS256 with an expiry, from a secret that both sides know.

PyJWT does the cryptography. This module fixes what is left open there: one algorithm, an expiry that is demanded,
and one line for each way in which a token can be wrong - a 401 that does not say why costs its reader hours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt
from jwt.types import Options

from hallmark.core.errors import UsageError

ALGORITHM = "HS256"
DAY_S = 24 * 3600.0
SAFE_SECRET_BYTES = 32
"""Below the size of the hash (RFC 7518, 3.2), a secret can be searched for from any one token."""
# PyJWT would take its own clock: the signature is its part, the times are ours.
_SIGNATURE_ONLY: Options = {
    "require": ["exp"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
}


class TokenRefused(Exception):
    """A token that proves nothing; the text says why and holds nothing secret."""


def sign_token(
    secret: str,
    *,
    subject: str = "hallmark",
    lifetime_s: float = DAY_S,
    now_s: Callable[[], float] = time.time,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """A token that `verify_token` accepts for `lifetime_s` seconds. UsageError for an empty secret."""
    if not secret:
        raise UsageError("the secret for tokens is empty", hint="set JWT_SECRET")
    issued = int(now_s())
    payload = {**(claims or {}), "sub": subject, "iat": issued, "exp": int(issued + lifetime_s)}
    return jwt.encode(payload, secret, algorithm=ALGORITHM)


def verify_token(token: str | bytes, secret: str, *, now_s: Callable[[], float] = time.time) -> dict[str, Any]:
    """The claims of a token that was signed with `secret` and has not expired; TokenRefused otherwise."""
    try:
        claims = jwt.decode(token, secret, algorithms=[ALGORITHM], options=_SIGNATURE_ONLY)
    except jwt.InvalidSignatureError as exc:
        raise TokenRefused("the token was signed with another secret") from exc
    except jwt.MissingRequiredClaimError as exc:
        raise TokenRefused("the token has no expiry (claim 'exp')") from exc
    except jwt.InvalidAlgorithmError as exc:
        raise TokenRefused(f"the token must be signed by {ALGORITHM}") from exc
    except jwt.InvalidTokenError as exc:
        raise TokenRefused("this is no signed token (JWT)") from exc
    _require_in_time(claims, now_s())
    return claims


def _require_in_time(claims: Mapping[str, Any], now: float) -> None:
    expiry, start = claims["exp"], claims.get("nbf", 0)
    if any(isinstance(moment, bool) or not isinstance(moment, int | float) for moment in (expiry, start)):
        raise TokenRefused("the token's times ('exp', 'nbf') are no numbers")
    # Written so that NaN, which JSON of Python may hold, is refused.
    if not now < expiry:
        raise TokenRefused(f"the token expired {now - expiry:.0f} s ago")
    if not start <= now:
        raise TokenRefused(f"the token is valid only in {start - now:.0f} s")
