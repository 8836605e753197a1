"""How a server can let a client down; each is a CheckFailed, because it is the server's fault."""

from __future__ import annotations

from hallmark.core.errors import CheckFailed


class ConnectionLost(CheckFailed):
    """No connection, or an answer that broke off."""


class NoAnswerInTime(ConnectionLost):
    """Nothing came for as long as the client waits."""

    def __init__(self, message: str, *, waited_s: float) -> None:
        super().__init__(message)
        self.late_s = waited_s


class StreamBroken(CheckFailed):
    """What came is not the stream that was asked for."""


class StreamTruncated(StreamBroken):
    """The stream ended without `data: [DONE]`."""


class StreamedError(StreamBroken):
    """An error payload inside a stream whose status said 200."""


class TooLate(CheckFailed):
    """Right, but later than it should have been."""

    def __init__(self, message: str, *, late_s: float) -> None:
        super().__init__(message)
        self.late_s = late_s
