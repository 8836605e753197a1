"""`python -m hallmark_services.gateway`: settings, log, event loop, exit code."""

from __future__ import annotations

import gc
import logging
import os
import sys

import uvloop

from hallmark.core.errors import HallmarkError
from hallmark.core.redact import Redactor
from hallmark_services.gateway.server import Gateway
from hallmark_services.gateway.settings import Settings, read_settings
from hallmark_services.log_lines import handler, log_format, tell_failure


def set_up_log(settings: Settings) -> None:
    secrets = [settings.jwt_secret, settings.engine_api_key, *settings.api_keys]
    redact = Redactor.of_environment(os.environ, secrets)
    logging.basicConfig(level=logging.WARNING, handlers=[handler(log_format(settings.log_format), redact, name="gateway")])
    log = logging.getLogger("hallmark_services.gateway")
    logging.getLogger("hallmark_services").setLevel(logging.INFO)
    if not settings.guarded:
        log.warning("no JWT_SECRET and no GATEWAY_API_KEYS: whoever reaches this port may use the engine")
    for doubt in settings.doubts:
        log.warning("%s", doubt)


async def serve(settings: Settings) -> None:
    gateway = Gateway(settings)
    # What is there by now stays: the collector need not walk through it, in the middle of somebody's stream.
    gc.collect()
    gc.freeze()
    await gateway.serve()


def main() -> int:
    try:
        settings = read_settings(sys.argv[1:], os.environ)
        set_up_log(settings)
        uvloop.run(serve(settings))
    except HallmarkError as exc:
        tell_failure("gateway", exc)
        return exc.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
