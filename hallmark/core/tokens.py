"""Signed bearer tokens: JWT by HS256 that end - at a time, or with the one server that they are for.

PyJWT does the cryptography. This module fixes what is left open there: one algorithm, an end that is demanded, and one line
for each way in which a token can be wrong - a 401 that does not say why costs its reader hours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

import jwt
from jwt.types import Options

from hallmark.core.errors import UsageError
from hallmark.core.keys import ANYTHING, TokenRules

ALGORITHM = "HS256"
DAY_S = 24 * 3600.0
_SERVER_CLAIM = "hallmark_server"


class TokenRefused(Exception):
    """A token that proves nothing; the text says why and holds nothing secret."""


def sign_token(
    secret: str,
    *,
    subject: str = "hallmark",
    lifetime_s: float | None = DAY_S,
    rules: TokenRules = ANYTHING,
    now_s: Callable[[], float] = time.time,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """A token that `verify_token` accepts by the same rules for `lifetime_s` seconds; None: as long as `rules.server` lives.

    UsageError for an empty secret, ValueError for a token that would never end.
    """
    if not secret:
        raise UsageError("the secret for tokens is empty", hint="set JWT_SECRET")
    issued = int(now_s())
    payload = {**(claims or {}), "sub": subject, "iat": issued}
    payload |= {name: value for name, value in (("aud", rules.audience), ("iss", rules.issuer)) if value}
    if lifetime_s is not None:
        payload["exp"] = int(issued + lifetime_s)
    elif rules.server:
        payload[_SERVER_CLAIM] = rules.server
    else:
        raise ValueError("a token ends at a time or with a server")
    return jwt.encode(payload, secret, algorithm=ALGORITHM)


def verify_token(
    token: str | bytes, secret: str, *, rules: TokenRules = ANYTHING, now_s: Callable[[], float] = time.time
) -> dict[str, Any]:
    """The claims of a token that was signed with `secret`, keeps the rules and has not ended; TokenRefused otherwise."""
    claims = signed_claims(token, secret, rules=rules)
    require_current(claims, rules=rules, now_s=now_s)
    return claims


def signed_claims(token: str | bytes, secret: str, *, rules: TokenRules = ANYTHING) -> dict[str, Any]:
    """The claims of a token that `secret` signed for the rules' audience and issuer, ended or not; TokenRefused otherwise."""
    # PyJWT would take its own clock: the signature, `aud` and `iss` are its part, the times are ours.
    options: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": bool(rules.audience)}
    audience, issuer = rules.audience or None, rules.issuer or None
    try:
        return jwt.decode(token, secret, algorithms=[ALGORITHM], audience=audience, issuer=issuer, options=options)
    except jwt.InvalidTokenError as exc:
        raise TokenRefused(_reason(exc)) from exc


def require_current(claims: Mapping[str, Any], *, rules: TokenRules = ANYTHING, now_s: Callable[[], float] = time.time) -> None:
    """TokenRefused where what was signed has ended, or has not begun."""
    if claims.get("exp") is None:
        _require_named(claims, rules.server)
    _require_in_time(claims, now_s())


def _reason(exc: jwt.InvalidTokenError) -> str:
    match exc:
        case jwt.InvalidSignatureError():
            return "the token was signed with another secret"
        case jwt.InvalidAlgorithmError():
            return f"the token must be signed by {ALGORITHM}"
        case jwt.MissingRequiredClaimError():
            return f"the token does not say '{exc.claim}', which is demanded here"
        case jwt.InvalidAudienceError():
            return "the token is for another audience (claim 'aud')"
        case jwt.InvalidIssuerError():
            return "the token is of another issuer (claim 'iss')"
    return "this is no signed token (JWT)"


def _require_named(claims: Mapping[str, Any], server: str) -> None:
    """Without an expiry, a token ends with the server that it names."""
    named = claims.get(_SERVER_CLAIM)
    if named is None:
        raise TokenRefused("the token has no expiry (claim 'exp')")
    if not server or named != server:
        raise TokenRefused("the token ended with the server that it was made for")


def _require_in_time(claims: Mapping[str, Any], now: float) -> None:
    expiry, start = claims.get("exp"), claims.get("nbf", 0)
    expiry = inf if expiry is None else expiry
    if any(isinstance(moment, bool) or not isinstance(moment, int | float) for moment in (expiry, start)):
        raise TokenRefused("the token's times ('exp', 'nbf') are no numbers")
    # Written so that NaN, which JSON of Python may hold, is refused.
    if not now < expiry:
        raise TokenRefused(f"the token expired {now - expiry:.0f} s ago")
    if not start <= now:
        raise TokenRefused(f"the token is valid only in {start - now:.0f} s")
