"""Keys and gateways around a launch plan. Pure: the secrets come in, and go into environments, never onto command lines."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hallmark.serving.server import Endpoint, GatewayPlan, LaunchPlan

_SECRETS = re.compile(r"JWT_SECRET(_FILE)?|VLLM_API_KEY|GATEWAY_\w+|ENGINE_\w+")
"""Variables of the gateway; the engine's own environment must not hold what admits its clients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What a gateway needs to stand before a local engine."""

    jwt_secret: str
    token: str
    """What our own requests show."""
    host: str
    port: int
    """Where clients reach the gateway."""


def demanding(plan: LaunchPlan, api_key: str) -> LaunchPlan:
    """`plan` with an engine that demands `api_key`, by the variable that vLLM reads; the same plan where there is no key."""
    env = {name: value for name, value in plan.env.items() if not _SECRETS.fullmatch(name)}
    if api_key:
        env["VLLM_API_KEY"] = api_key
    return replace(plan, env=env)


def behind_gateway(plan: LaunchPlan, guard: Guard, *, environ: Mapping[str, str], folder: Path) -> LaunchPlan:
    """`plan` (whose endpoint is the engine's) with a gateway as what clients speak to."""
    env = {name: value for name, value in environ.items() if not _SECRETS.fullmatch(name)}
    env |= {
        "JWT_SECRET": guard.jwt_secret,
        "ENGINE_API_KEY": plan.endpoint.api_key,
        "ENGINE_URL": plan.endpoint.base_url,
        "MODEL_ID": plan.endpoint.model,
        "HOST": guard.host,
        "PORT": str(guard.port),
        "GATEWAY_EXTRA_PATHS": "/metrics,/tokenize",
        # Off: a line for each request of a perf point would be written while it is being timed.
        "GATEWAY_ACCESS_LOG": "no",
    }
    return replace(
        plan,
        endpoint=Endpoint(base_url=f"http://{guard.host}:{guard.port}", model=plan.endpoint.model, api_key=guard.token),
        gateway=GatewayPlan(
            argv=(sys.executable, "-m", "hallmark.gateway"), env=env, engine=plan.endpoint, log_path=folder / "gateway.log"
        ),
    )
