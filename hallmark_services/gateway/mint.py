"""`python -m hallmark_services.gateway.mint`: a token for a client of the gateway, on standard output.

The secret comes from JWT_SECRET or the file that JWT_SECRET_FILE names, and what a token must say from GATEWAY_AUDIENCE and
GATEWAY_ISSUER, as the gateway itself reads them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from hallmark.core.errors import HallmarkError, UsageError
from hallmark.core.tokens import sign_token
from hallmark_services.gateway.settings import read_settings

HOUR_S = 3600.0
_READ = ("JWT_SECRET", "GATEWAY_AUDIENCE", "GATEWAY_ISSUER", "GATEWAY_INSECURE")
"""What is about tokens; whatever else is set for a gateway, wrong or right, is no matter here."""


def minted(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """The token; UsageError where there is no secret or the lifetime is none."""
    parser = argparse.ArgumentParser(prog="python -m hallmark_services.gateway.mint", description=__doc__, allow_abbrev=False)
    parser.add_argument("--subject", default="client", help="for whom, as the token itself tells (default: client)")
    parser.add_argument("--hours", type=float, default=24.0, help="how long it is good (default: 24)")
    options = parser.parse_args(arguments)
    if not 0 < options.hours < 24 * 3660:
        raise UsageError(f"no lifetime: {options.hours:g} hours", where="--hours", hint="more than 0, at most ten years")
    settings = read_settings([], {name: value for name, value in environ.items() if name.startswith(_READ)})
    return sign_token(settings.jwt_secret, subject=options.subject, lifetime_s=options.hours * HOUR_S, rules=settings.token_rules)


def main() -> int:
    try:
        print(minted(sys.argv[1:], os.environ))
    except HallmarkError as exc:
        print(f"mint: {exc}", file=sys.stderr)
        return exc.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
