"""What clients are admitted by, without the cryptography: how long a key or a secret must be, and what a token must say."""

from __future__ import annotations

from dataclasses import dataclass

from hallmark.core.errors import UsageError

SAFE_KEY_LENGTH = 16
"""Characters of a plain key, below which it can be guessed at the rate at which a server answers."""
SAFE_SECRET_BYTES = 32
"""Below the size of the hash (RFC 7518, 3.2), a secret can be searched for from any one token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What a token must say besides who signed it. What is empty is not asked for."""

    audience: str = ""
    """The claim `aud`, or one of its values where it is a list."""
    issuer: str = ""
    """The claim `iss`."""
    server: str = ""
    """A name that no other server has. A token that names it needs no expiry: it ends with this server."""


ANYTHING = TokenRules()


def is_safe(secret: str) -> bool:
    """Whether it is long enough not to be found from a token; an empty one signs none."""
    return not secret or len(secret.encode()) >= SAFE_SECRET_BYTES


def require_safe(secret: str, *, insecure: bool) -> None:
    """UsageError for a secret that is too short, unless `insecure` allows it."""
    if not is_safe(secret) and not insecure:
        raise UsageError(
            f"the secret is shorter than {SAFE_SECRET_BYTES} bytes: it can be found from any one token",
            where="JWT_SECRET",
            hint=f"make one with `openssl rand -hex {SAFE_SECRET_BYTES}`; for a trial alone, GATEWAY_INSECURE=yes takes this one",
        )
