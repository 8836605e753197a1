"""How a server can let a client down; each is a CheckFailed, because it is the server's fault."""

from __future__ import annotations

from hallmark.core.errors import CheckFailed


class ConnectionLost(CheckFailed):
    """No connection, no answer in time, or an answer that broke off."""


class StreamBroken(CheckFailed):
    """What came is not the stream that was asked for."""


class StreamTruncated(StreamBroken):
    """The stream ended without `data: [DONE]`."""


class StreamedError(StreamBroken):
    """An error payload inside a stream whose status said 200."""
