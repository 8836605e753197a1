"""Keys and gateways around a launch plan. Pure: the secrets come in, and go into environments, never onto command lines.

An engine's own key closes what its makers thought of: vLLM 0.32 answers `/invocations` and `/tokenize` without one. So
whenever a server that is started here demands something of its clients, hallmark's gateway stands before the engine.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hallmark.core.endpoint import Endpoint
from hallmark.core.keys import ANYTHING, SAFE_KEY_LENGTH, TokenRules, is_safe
from hallmark.serving.server import GatewayPlan, LaunchPlan

_SECRETS = re.compile(r"JWT_SECRET(_FILE)?|VLLM_API_KEY|GATEWAY_\w+|ENGINE_\w+")
"""Variables of the gateway; the engine's own environment must not hold what admits its clients."""
_PASSED_PATHS = "/metrics,/tokenize,/openapi.json"
"""What is passed on beside /v1/*, to those who show a key: what the suite measures by, and what the engine says it serves."""
_RUN_S = 7 * 24 * 3600.0
"""How long a token is good that is shown to a server which somebody else started: longer than any run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What admits the clients of a server; nothing does where both are empty, and everybody gets in."""

    api_key: str = field(default="", repr=False)
    jwt_secret: str = field(default="", repr=False)
    rules: TokenRules = ANYTHING
    """What the tokens say; `rules.server` names the server where it is started here."""

    @classmethod
    def of(cls, api_key: str, jwt_secret: str, *, server: str, environ: Mapping[str, str]) -> Keys:
        """What the gateway's own variables say of tokens holds here, too."""
        rules = TokenRules(audience=environ.get("GATEWAY_AUDIENCE", ""), issuer=environ.get("GATEWAY_ISSUER", ""), server=server)
        return cls(api_key=api_key, jwt_secret=jwt_secret, rules=rules)

    @property
    def demanded(self) -> bool:
        return bool(self.api_key or self.jwt_secret)

    def shown(self) -> str:
        """What our own requests show: a token that ends with the server (or after a week, with another's), else the key."""
        if not self.jwt_secret:
            return self.api_key
        from hallmark.core.tokens import sign_token  # brings the cryptography

        return sign_token(self.jwt_secret, rules=self.rules, lifetime_s=None if self.rules.server else _RUN_S)

    def variables(self) -> dict[str, str]:
        """By which a gateway of hallmark's lets in those who show one of them."""
        found = {"GATEWAY_API_KEYS": self.api_key}
        if self.jwt_secret:
            found |= {
                "JWT_SECRET": self.jwt_secret,
                "GATEWAY_AUDIENCE": self.rules.audience,
                "GATEWAY_ISSUER": self.rules.issuer,
                "GATEWAY_SERVER_ID": self.rules.server,
                "GATEWAY_INSECURE": "" if is_safe(self.jwt_secret) else "yes",
            }
        return {name: value for name, value in found.items() if value}

    def doubts(self) -> Iterator[str]:
        """For a person who starts a server."""
        if 0 < len(self.api_key) < SAFE_KEY_LENGTH:
            yield f"HALLMARK_API_KEY has fewer than {SAFE_KEY_LENGTH} characters: it can be guessed"
        if not is_safe(self.jwt_secret):
            yield "JWT_SECRET is so short that it can be found from any one token"


def demanding(plan: LaunchPlan, api_key: str) -> LaunchPlan:
    """`plan` with an engine that demands `api_key`, by the variable that vLLM reads; the same plan where there is no key."""
    env = {name: value for name, value in plan.env.items() if not _SECRETS.fullmatch(name)}
    if api_key:
        env["VLLM_API_KEY"] = api_key
    return replace(plan, env=env)


def behind_gateway(plan: LaunchPlan, keys: Keys, *, host: str, port: int, environ: Mapping[str, str], folder: Path) -> LaunchPlan:
    """`plan` (whose endpoint is the engine's) with a gateway at `host`:`port` as what clients speak to."""
    env = {name: value for name, value in environ.items() if not _SECRETS.fullmatch(name)}
    env |= keys.variables()
    env |= {
        "ENGINE_API_KEY": plan.endpoint.api_key,
        "ENGINE_URL": plan.endpoint.base_url,
        "MODEL_ID": plan.endpoint.model,
        "HOST": host,
        "PORT": str(port),
        "GATEWAY_EXTRA_PATHS": _PASSED_PATHS,
        # A perf point of ours may open more connections than one client should.
        "GATEWAY_TRUSTED_PROXIES": "127.0.0.0/8,::1",
        # Off: a line for each request of a perf point would be written while it is being timed.
        "GATEWAY_ACCESS_LOG": "no",
    }
    return replace(
        plan,
        endpoint=Endpoint(base_url=f"http://{host}:{port}", model=plan.endpoint.model, api_key=keys.shown()),
        gateway=GatewayPlan(
            argv=(sys.executable, "-m", "hallmark_services.gateway"),
            env=env,
            engine=plan.endpoint,
            log_path=folder / "gateway.log",
        ),
        warnings=(*plan.warnings, *keys.doubts()),
    )
