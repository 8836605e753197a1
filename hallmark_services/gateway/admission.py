"""Who may ask: a signed token, or one of the plain keys. Health stays open, so that a probe needs no secret."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable

from hallmark.core.tokens import TokenRefused, verify_token
from hallmark_services.gateway.heads import RequestHead
from hallmark_services.gateway.refusals import Refusal
from hallmark_services.gateway.settings import Settings

OPEN_PATHS = frozenset({"/livez", "/healthz", "/health", "/version"})


class Admission:
    """Decides from a request's head alone."""

    def __init__(self, settings: Settings, *, now_s: Callable[[], float] = time.time) -> None:
        self._secret = settings.jwt_secret
        self._rules = settings.token_rules
        self._keys = [_digest(key.encode()) for key in settings.api_keys]
        self._guarded = settings.guarded
        self._now_s = now_s

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
        if self._is_key(token):
            return
        if not self._secret:
            raise _unauthorised("invalid_token", "the key is not known here")
        try:
            verify_token(token, self._secret, rules=self._rules, now_s=self._now_s)
        except TokenRefused as exc:
            raise _unauthorised("invalid_token", str(exc)) from exc

    def _is_key(self, token: bytes) -> bool:
        # In constant time: how long it took tells nothing of a key that is nearly right.
        shown = _digest(token)
        return any(hmac.compare_digest(shown, key) for key in self._keys)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _unauthorised(code: str, message: str) -> Refusal:
    return Refusal(401, code, message, fields=((b"www-authenticate", b"Bearer"),))
