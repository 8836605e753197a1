"""The gateway as a whole: listens, sweeps deadlines, probes, and drains when it is told to end."""

from __future__ import annotations

import asyncio
import logging
import signal
from math import inf
from urllib.parse import urlsplit

from hallmark.core.errors import InfrastructureError
from hallmark_services.connections.descriptors import connections_that_fit
from hallmark_services.connections.places import Place, Places
from hallmark_services.gateway.admission import Admission
from hallmark_services.gateway.connection import ClientConnection
from hallmark_services.gateway.control import create_control
from hallmark_services.gateway.memory import RequestMemory
from hallmark_services.gateway.pool import Pool
from hallmark_services.gateway.prober import Prober
from hallmark_services.gateway.progress import Engine
from hallmark_services.gateway.settings import Settings

_SWEEP_S = 0.25
_BACKLOG = 2048
_TELL_EVERY_S = 10.0
_FOR_CLIENT_AND_ENGINE = 2
"""Descriptors of one client's connection: its own, and the engine's that answers it."""

log = logging.getLogger(__name__)


class Gateway:
    """What all connections share. `serve()` runs it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = Engine(stall_s=settings.stall_s)
        self.admission = Admission(settings)
        self.control = create_control(settings, self.engine, auth=self.admission.kind)
        url = urlsplit(settings.engine_url)
        self.pool = Pool(url.hostname or "", url.port or 80)
        self.memory = RequestMemory(settings.request_memory_bytes)
        self.places = Places(
            most=connections_that_fit(settings.max_connections, kept=settings.probe_connections, each=_FOR_CLIENT_AND_ENGINE),
            most_of_one=settings.max_connections_per_client,
            kept=settings.probe_connections,
            proxies=settings.proxies,
        )
        self.draining = False
        self._connections: set[ClientConnection] = set()
        self._emptied = asyncio.Event()
        self._logged = (0, 0)
        self._logged_s = -inf
        self._told_to_end = asyncio.Event()

    def admit(self, connection: ClientConnection) -> Place | None:
        """The place of a new connection; None where it must end at once."""
        self._connections.add(connection)
        self._emptied.clear()
        return self.places.take(connection, connection.address)

    def forget(self, connection: ClientConnection, place: Place | None) -> None:
        if place:
            self.places.leave(place)
        self._connections.discard(connection)
        if not self._connections:
            self._emptied.set()

    async def serve(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain; a second signal ends at once. InfrastructureError if it cannot listen."""
        loop = asyncio.get_running_loop()
        settings = self.settings
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        try:
            server = await loop.create_server(
                lambda: ClientConnection(self), settings.host, settings.port, backlog=_BACKLOG, reuse_address=True
            )
        except OSError as exc:
            where = f"{settings.host}:{settings.port}"
            raise InfrastructureError(f"cannot listen: {exc.strerror or exc}", where=where, hint="choose another --port") from exc
        port = server.sockets[0].getsockname()[1]
        log.info("listening on http://%s:%d, engine %s, auth %s", settings.host, port, settings.engine_url, self.admission.kind)
        prober = Prober(settings, self.engine)
        tasks = [loop.create_task(prober.run()), loop.create_task(self._sweep())]
        try:
            await self._told_to_end.wait()
            server.close()
            await self._drain()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.pool.close()
            await prober.close()
        log.info("ended")

    def _end(self) -> None:
        if self._told_to_end.is_set():
            self._cut_all()
        self._told_to_end.set()

    async def _drain(self) -> None:
        self.draining = True
        for connection in list(self._connections):
            connection.drain()
        log.info("draining: %d connections are under way", len(self._connections))
        try:
            async with asyncio.timeout(self.settings.drain_s):
                while self._connections:
                    await self._emptied.wait()
        except TimeoutError:
            log.warning("draining: %d connections are cut after %g s", len(self._connections), self.settings.drain_s)
            self._cut_all()
            await asyncio.sleep(0)

    def _cut_all(self) -> None:
        for connection in list(self._connections):
            connection.cut()

    async def _sweep(self) -> None:
        """One clock for all deadlines: cheaper than a timer for each token of each stream."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = clock()
            for connection in [c for c in self._connections if c.deadline_s < now]:
                connection.expire()
            self.pool.expire()
            self._tell_of_crowds(now)

    def _tell_of_crowds(self, now_s: float) -> None:
        """A line now and then, and not one for each connection of an attack."""
        shed, turned_away = self.places.shed, self.places.turned_away
        if (shed, turned_away) != self._logged and now_s - self._logged_s > _TELL_EVERY_S:
            log.warning("too many connections: %d silent ones made room, %d were turned away", shed, turned_away)
            self._logged, self._logged_s = (shed, turned_away), now_s
