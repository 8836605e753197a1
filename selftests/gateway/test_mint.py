"""A token from the command line opens the gateway that has the same secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.core.errors import UsageError
from hallmark.core.keys import TokenRules
from hallmark.core.tokens import verify_token
from hallmark_services.gateway.mint import minted
from selftests.gateway.gateways import SECRET


def test_a_minted_token_is_good_for_its_hours(tmp_path: Path) -> None:
    claims = verify_token(minted(["--subject", "ci", "--hours", "2"], {"JWT_SECRET": SECRET, "PORT": "rubbish"}), SECRET)
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("ci", 7200)
    (tmp_path / "secret").write_text(SECRET + "\n")
    assert verify_token(minted([], {"JWT_SECRET_FILE": str(tmp_path / "secret")}), SECRET)


def test_a_minted_token_says_what_the_gateway_asks_for() -> None:
    environ = {"JWT_SECRET": SECRET, "GATEWAY_AUDIENCE": "models", "GATEWAY_ISSUER": "ci"}
    assert verify_token(minted([], environ), SECRET, rules=TokenRules(audience="models", issuer="ci"))
    with pytest.raises(UsageError, match="shorter than 32 bytes"):
        minted([], {"JWT_SECRET": "x" * 31})


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf"])
def test_a_lifetime_that_is_none(hours: str) -> None:
    with pytest.raises(UsageError, match="no lifetime"):
        minted([f"--hours={hours}"], {"JWT_SECRET": SECRET})


def test_no_secret_no_token() -> None:
    with pytest.raises(UsageError, match="JWT_SECRET"):
        minted([], {})
