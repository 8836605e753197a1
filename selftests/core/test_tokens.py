"""Tokens: what is signed is accepted, and each way of being wrong is refused by its own words."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import jwt
import pytest

from hallmark.core.errors import UsageError
from hallmark.core.keys import TokenRules
from hallmark.core.redact import MASK, Redactor
from hallmark.core.tokens import TokenRefused, sign_token, verify_token

SECRET = "a secret of forty bytes, for selftests!!"
OTHER = "another secret of the same length, 40 b."


def encoded(payload: object, key: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(payload, key, algorithm=algorithm)  # type: ignore[arg-type]


def unsigned(payload: object) -> str:
    parts = [{"alg": "none", "typ": "JWT"}, payload]
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


def test_a_signed_token_says_who_and_until_when() -> None:
    claims = verify_token(sign_token(SECRET, subject="ci", lifetime_s=60, now_s=lambda: 1000.0), SECRET, now_s=lambda: 1059.0)
    assert (claims["sub"], claims["iat"], claims["exp"]) == ("ci", 1000, 1060)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (sign_token(OTHER), "another secret"),
        (sign_token(SECRET, lifetime_s=60, now_s=lambda: 1000.0), "expired"),
        (encoded({"sub": "x"}), "no expiry"),
        (encoded({"exp": "tomorrow"}), "no numbers"),
        (encoded({"exp": True}), "no numbers"),
        (encoded({"exp": float("nan")}), "expired"),
        (encoded({"exp": 10**12, "nbf": 10**11}), "valid only in"),
        (encoded({"exp": 10**12}, algorithm="HS512", key=SECRET * 2), "HS256"),
        (unsigned({"exp": 10**12}), "HS256"),
        ("sk-a-literal-key", "no signed token"),
        ("a.b.c", "no signed token"),
        ("", "no signed token"),
        ("é", "no signed token"),
    ],
)
def test_a_wrong_token_is_refused_and_told_why(token: str, why: str) -> None:
    with pytest.raises(TokenRefused, match=why):
        verify_token(token, SECRET)


def test_a_token_of_another_library_is_accepted() -> None:
    assert verify_token(encoded({"exp": 10**12, "team": "x"}), SECRET)["team"] == "x"


def test_the_end_of_a_token_is_exact() -> None:
    token = sign_token(SECRET, lifetime_s=60, now_s=lambda: 1000.0)
    assert verify_token(token, SECRET, now_s=lambda: 1059.99)
    with pytest.raises(TokenRefused, match="expired 0 s ago"):
        verify_token(token, SECRET, now_s=lambda: 1060.0)


RULES = TokenRules(audience="models", issuer="https://id.example", server="server-1")


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"aud": ["others", "models"], "iss": "https://id.example", "exp": 10**12}, ""),
        ({"aud": "models", "iss": "https://id.example", "hallmark_server": "server-1"}, ""),
        ({"aud": "models", "iss": "https://id.example", "hallmark_server": "server-1", "exp": 1}, "expired"),
        ({"aud": "models", "iss": "https://id.example", "hallmark_server": "server-2"}, "ended with the server"),
        ({"aud": "models", "iss": "https://id.example", "hallmark_server": ["server-1"]}, "ended with the server"),
        ({"aud": "models", "iss": "https://id.example"}, "no expiry"),
        ({"aud": "models ", "iss": "https://id.example", "exp": 10**12}, "another audience"),
        ({"aud": {"models": 1}, "iss": "https://id.example", "exp": 10**12}, "another audience"),
        ({"iss": "https://id.example", "exp": 10**12}, "does not say 'aud'"),
        ({"aud": "models", "iss": "https://id.example/", "exp": 10**12}, "another issuer"),
        ({"aud": "models", "exp": 10**12}, "does not say 'iss'"),
    ],
)
def test_rules_are_kept_or_the_token_is_refused(claims: dict[str, object], why: str) -> None:
    if not why:
        assert verify_token(encoded(claims), SECRET, rules=RULES)
        return
    with pytest.raises(TokenRefused, match=why):
        verify_token(encoded(claims), SECRET, rules=RULES)


def test_a_token_that_would_never_end_is_not_signed() -> None:
    with pytest.raises(ValueError, match="ends"):
        sign_token(SECRET, lifetime_s=None)


def test_an_empty_secret_signs_nothing() -> None:
    with pytest.raises(UsageError, match="JWT_SECRET"):
        sign_token("")


def test_a_token_is_redacted_wherever_it_is_written() -> None:
    assert Redactor()(f"Bearer {sign_token(SECRET)}!") == f"Bearer {MASK}!"
