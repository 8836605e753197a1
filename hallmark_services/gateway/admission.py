"""Who may ask: a signed token, or one of the plain keys. Health stays open, so that a probe needs no secret."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any

from hallmark.core.tokens import TokenRefused, require_current, signed_claims
from hallmark_services.gateway.heads import RequestHead
from hallmark_services.gateway.refusals import Refusal
from hallmark_services.gateway.settings import Settings

OPEN_PATHS = frozenset({"/livez", "/healthz", "/health", "/version"})
_MOST_REMEMBERED = 1024


class Admission:
    """Decides from a request's head alone."""

    def __init__(self, settings: Settings, *, now_s: Callable[[], float] = time.time) -> None:
        self._secret = settings.jwt_secret
        self._rules = settings.token_rules
        self._keys = [_digest(key.encode()) for key in settings.api_keys]
        self._guarded = settings.guarded
        self._now_s = now_s
        self._signed: dict[bytes, Mapping[str, Any]] = {}
        """Claims of tokens whose signature was found good, by the tokens' digests: the signature of one is always the same."""

    @property
    def kind(self) -> str:
        """For /version: how clients prove themselves."""
        return "+".join(filter(None, ["jwt" if self._secret else "", "api-key" if self._keys else ""])) or "none"

    def check(self, head: RequestHead) -> None:
        """Return, or raise the Refusal (401) that says what is wrong with the token."""
        if not self._guarded or head.path in OPEN_PATHS:
            return
        scheme, _, token = head.value(b"authorization").partition(b" ")
        token = token.strip()
        if scheme.lower() != b"bearer" or not token:
            raise _unauthorised("missing_token", "no token: send 'Authorization: Bearer TOKEN'")
        shown = _digest(token)
        if self._is_key(shown):
            return
        if not self._secret:
            raise _unauthorised("invalid_token", "the key is not known here")
        try:
            require_current(self._claims(shown, token), rules=self._rules, now_s=self._now_s)
        except TokenRefused as exc:
            raise _unauthorised("invalid_token", str(exc)) from exc

    def _claims(self, shown: bytes, token: bytes) -> Mapping[str, Any]:
        """What the token says; whether it has ended is asked at each request."""
        claims = self._signed.get(shown)
        if claims is None:
            claims = signed_claims(token, self._secret, rules=self._rules)
            if len(self._signed) >= _MOST_REMEMBERED:
                del self._signed[next(iter(self._signed))]
            self._signed[shown] = claims
        return claims

    def _is_key(self, shown: bytes) -> bool:
        # In constant time: how long it took tells nothing of a key that is nearly right.
        return any(hmac.compare_digest(shown, key) for key in self._keys)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _unauthorised(code: str, message: str) -> Refusal:
    return Refusal(401, code, message, fields=((b"www-authenticate", b"Bearer"),))
