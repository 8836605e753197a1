"""The command `hallmark-runtime`: reads its settings, binds its port, serves until it is told to end."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from hallmark.core.errors import HallmarkError, InfrastructureError
from hallmark.core.redact import Redactor
from hallmark_services.connections.descriptors import connections_that_fit
from hallmark_services.connections.places import Places
from hallmark_services.log_lines import handler, tell_failure
from hallmark_services.sidecar.settings import SidecarSettings, parse

_GRACE_S = 5


def main(argv: Sequence[str] | None = None) -> int:
    """0 after an orderly end, 2 for settings that cannot be used, 3 where the port or a library is missing."""
    try:
        serve(parse(sys.argv[1:] if argv is None else argv, os.environ), os.environ)
    except HallmarkError as exc:
        tell_failure("hallmark-runtime", exc)
        return exc.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def serve(settings: SidecarSettings, environ: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT."""
    try:
        import uvicorn

        from hallmark_services.sidecar.app import create_app
        from hallmark_services.sidecar.connection import LimitedConnection
        from hallmark_services.sidecar.downloads import DownloadSettings
    except ModuleNotFoundError as exc:
        hint = "pip install 'pytest-hallmark[services]'"
        raise InfrastructureError(f"{exc.name} is not installed", where="hallmark_services.sidecar", hint=hint) from exc
    downloads = DownloadSettings.of_environment(environ)
    redact = Redactor.of_environment(environ, extra=downloads.credentials.secrets())
    # Whatever a library logs passes the one place that knows the secrets.
    logging.basicConfig(level=logging.INFO, handlers=[handler(settings.log_format, redact)], force=True)
    log = logging.getLogger("hallmark_services.sidecar")
    for setting in settings.origins:
        log.info("%s = %s (%s)", setting.name, setting.value, setting.origin)
    if not settings.token:
        log.warning("RUNTIME_API_TOKEN is not set: whoever reaches this port can have models and adapters loaded")
    listener = _bind(settings.host, settings.port)
    log.info("listening on http://%s:%d", settings.host, listener.getsockname()[1])
    app = create_app(settings, downloads, redact)

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            """Downloads end first: whoever waits for one hears of it, and the grace is for what is short."""
            await app.state.runtime.downloads.close()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        # By h11, which ends a request whose head has no end; httptools gathers it, and the event loop with it.
        http=partial(LimitedConnection, places=_places(settings), head_timeout_s=settings.head_timeout_s),  # type: ignore[arg-type]
        timeout_graceful_shutdown=_GRACE_S,
    )
    Server(config).run(sockets=[listener])


def _places(settings: SidecarSettings) -> Places:
    kept = settings.probe_connections
    fit = connections_that_fit(settings.max_connections, kept=kept, each=1)
    return Places(most=fit, most_of_one=settings.max_connections_per_client, kept=kept)


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, UnicodeError) as exc:
        hint = "choose another with --host or --port, or stop what listens there"
        why = (exc.strerror or exc) if isinstance(exc, OSError) else "that is no host"
        raise InfrastructureError(f"cannot listen: {why}", where=f"{host}:{port}", hint=hint) from exc


if __name__ == "__main__":
    raise SystemExit(main())
