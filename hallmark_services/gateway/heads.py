"""Heads of HTTP/1.1 requests and answers, read strictly: what two readers could understand differently is refused.

Pure: bytes in, values or a Refusal (ValueError for an answer) out. Nothing is repaired - no folded lines, no bare line
feeds, no blanks before a colon, no second length - because the engine behind might repair it otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from hallmark_services.gateway.refusals import Fields, Refusal, bad_request

MOST_FIELDS = 128

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD = re.compile(rb"(%b):[ \t]*([\t\x20-\x7e\x80-\xff]*)" % _TOKEN)
_LENGTH = re.compile(rb"[0-9]{1,18}")

_HOP_BY_HOP = frozenset(
    [
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    method: bytes
    target: bytes
    """Path and query, as they came."""
    path: str
    """Without the query."""
    old: bool
    """HTTP/1.0: such a client knows neither chunks nor connections that are used again."""
    fields: Fields
    length: int
    """Of the body, in bytes; 0 where it comes in chunks."""
    chunked: bool
    keep_alive: bool
    expects_continue: bool

    def value(self, name: bytes) -> bytes:
        """The first field of that name; empty where there is none."""
        return next((value for key, value in self.fields if key == name), b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHead:
    status: int
    line: bytes
    fields: Fields
    until_close: bool
    """The body ends where the connection does."""
    chunked: bool
    keep_alive: bool


def parse_request_head(raw: bytes) -> RequestHead:
    """A request's head, without the blank line that ends it; Refusal for what is not clearly HTTP/1.0 or 1.1."""
    first, _, rest = raw.partition(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if not line:
        raise bad_request("the request line is not 'METHOD /path HTTP/1.1'")
    method, target, major, minor = line.groups()
    if major != b"1" or minor not in (b"0", b"1"):
        raise Refusal(505, "http_version", "this server speaks HTTP/1.1")
    old = minor == b"0"
    try:
        fields = _parse_fields(rest)
        length, chunked = _framing(fields)
    except ValueError as exc:
        raise bad_request(str(exc)) from exc
    _require_plain(fields, old=old, chunked=chunked)
    target, path = _path_of(target)
    return RequestHead(
        method=method,
        target=target,
        path=path,
        old=old,
        fields=fields,
        length=length or 0,
        chunked=chunked,
        keep_alive=not old and b"close" not in _listed(fields, b"connection"),
        expects_continue=_expects_continue(fields) and not old,
    )


def parse_response_head(raw: bytes) -> ResponseHead:
    """An answer's head; ValueError for one that cannot be passed on."""
    first, _, rest = raw.partition(b"\r\n")
    line = _STATUS_LINE.fullmatch(first)
    if not line:
        raise ValueError(f"the status line is {first[:80]!r}")
    fields = _parse_fields(rest)
    length, chunked = _framing(fields)
    status = int(line[2])
    bodiless = status < 200 or status in (204, 304)
    return ResponseHead(
        status=status,
        line=first,
        fields=fields,
        until_close=not (chunked or bodiless or length is not None),
        chunked=chunked,
        keep_alive=line[1] == b"1" and b"close" not in _listed(fields, b"connection"),
    )


def end_to_end(fields: Fields) -> list[tuple[bytes, bytes]]:
    """The fields for the other end: neither hop-by-hop nor named by `Connection`."""
    named = _listed(fields, b"connection")
    return [field for field in fields if field[0] not in _HOP_BY_HOP and field[0] not in named]


def _parse_fields(raw: bytes) -> Fields:
    fields = []
    for line in raw.split(b"\r\n") if raw else ():
        found = _FIELD.fullmatch(line)
        if not found:
            raise ValueError("a header line is not 'name: value' (folded lines and bare line ends are refused)")
        fields.append((found[1].lower(), found[2].rstrip(b" \t")))
    return tuple(fields)


def _framing(fields: Fields) -> tuple[int | None, bool]:
    """(Content-Length if there is one, whether the body comes in chunks); ValueError where that is not clear."""
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0])):
        raise ValueError("there must be one Content-Length, a whole number")
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise ValueError("the only Transfer-Encoding understood is 'chunked'")
    if lengths and codings:
        raise ValueError("Content-Length and Transfer-Encoding contradict each other")
    return (int(lengths[0]) if lengths else None), bool(codings)


def _require_plain(fields: Fields, *, old: bool, chunked: bool) -> None:
    if len(fields) > MOST_FIELDS:
        raise Refusal(431, "headers_too_large", f"more than {MOST_FIELDS} header fields")
    hosts = sum(name == b"host" for name, _ in fields)
    if hosts > 1 or (hosts == 0 and not old):
        raise bad_request("there must be one Host header")
    if sum(name == b"authorization" for name, _ in fields) > 1:
        raise bad_request("there must be at most one Authorization header")
    if old and chunked:
        raise bad_request("HTTP/1.0 knows no chunks")


def _expects_continue(fields: Fields) -> bool:
    expected = [value.lower() for name, value in fields if name == b"expect"]
    if any(value != b"100-continue" for value in expected):
        raise Refusal(417, "expectation", "the only expectation understood is 100-continue")
    return bool(expected)


def _listed(fields: Fields, name: bytes) -> set[bytes]:
    return {word.strip().lower() for key, value in fields if key == name for word in value.split(b",")}


def _path_of(target: bytes) -> tuple[bytes, str]:
    """(target in origin form, its path). Dots that climb are refused: the engine may resolve them, after we decided."""
    if target[:7].lower() == b"http://":
        slash = target.find(b"/", 7)
        target = target[slash:] if slash >= 0 else b"/"
    path = target.partition(b"?")[0]
    plain = unquote_to_bytes(path)
    if not path.startswith(b"/") or b"#" in target or b"\\" in plain or b"\0" in plain:
        raise bad_request("the request target is no path")
    if any(part in (b".", b"..") for part in plain.split(b"/")):
        raise bad_request("the path climbs ('..')")
    return target, path.decode("ascii")
