"""What the gateway itself refuses or cannot do, as an OpenAI client understands it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields in their order: (name in lower case, value)."""

_TYPES = {401: "authentication_error", 404: "not_found_error"}


class Refusal(Exception):
    """A request that ends here, with this status and a body in OpenAI's form."""

    def __init__(self, status: int, code: str, message: str, *, fields: Fields = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields

    def body(self) -> bytes:
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return json.dumps({"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}).encode()


def bad_request(message: str) -> Refusal:
    return Refusal(400, "bad_request", message)


def reply(status: int, body: bytes, *, fields: Fields = (), close: bool = False, head_only: bool = False) -> bytes:
    """A whole HTTP/1.1 answer. `fields` win over content-type; content-length and connection are set here."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = ""
    names = {name for name, _ in fields}
    lines = [b"HTTP/1.1 %d %b" % (status, reason.encode())]
    lines += [b"%b: %b" % field for field in fields if field[0] not in (b"content-length", b"connection")]
    if b"content-type" not in names:
        lines.append(b"content-type: application/json")
    lines.append(b"content-length: %d" % len(body))
    if close:
        lines.append(b"connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if head_only else body)
