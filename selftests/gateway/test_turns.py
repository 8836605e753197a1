"""An upload that comes as fast as it is read: others, probes among them, have their turn after each read."""

from __future__ import annotations

import asyncio

from hallmark_services.gateway.connection import ClientConnection
from hallmark_services.gateway.server import Gateway
from hallmark_services.gateway.settings import MIB, Settings

UPLOAD = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (32 * MIB)


class Recorded(asyncio.Transport):
    """A transport that knows whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = True

    def pause_reading(self) -> None:
        self.read = False

    def resume_reading(self) -> None:
        self.read = True

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        self.read = False


async def read_after(*pieces: bytes) -> list[bool]:
    """Whether the connection is read right after each piece, and then once all others had their turn."""
    transport = Recorded()
    connection = ClientConnection(Gateway(Settings()))
    connection.connection_made(transport)
    found = []
    for piece in pieces:
        connection.data_received(piece)
        found.append(transport.read)
    await asyncio.sleep(0)
    connection.connection_lost(None)
    return [*found, transport.read]


def test_after_a_large_read_others_have_their_turn() -> None:
    assert asyncio.run(read_after(UPLOAD, b"x" * 256_000)) == [True, False, True]


def test_small_reads_go_on() -> None:
    assert asyncio.run(read_after(UPLOAD, b"x" * 1000, b"x" * 1000)) == [True, True, True, True]
